<?php
header('Content-Type: text/plain');
// Some requests take a while, so that a few are in flight whenever the server is told to stop.
if (str_ends_with($_GET['id'] ?? '', '0')) {
    usleep(100000);
}
printf("id=%s. generation=%s worker=%s\n", $_GET['id'] ?? '', getenv('DUTCH_MASTER_GENERATION'),
    getenv('DUTCH_MASTER_WORKER_ID'));
