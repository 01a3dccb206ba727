"""Runs a command and, told to stop, dies without a word to it."""
import subprocess
import sys

sys.exit(subprocess.call(sys.argv[1:], close_fds=False))
