<?php
printf("hello from generation=%s\n", getenv('DUTCH_MASTER_GENERATION'));
