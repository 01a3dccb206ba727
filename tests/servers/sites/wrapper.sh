#!/bin/sh
# A start script as many images have one: the server is the shell's child, of which a shell that
# is told to stop tells nobody.
/dutch-master exec -- /worker delay=1
exit $?
