"""Serve as the fork server of a sweep does, with the process that stands in for the check."""

import os
import runpy
import socket
import sys
from pathlib import Path

from smallport.sweep import fork_server

STAND_IN = str(Path(__file__).with_name("stand_in.py"))


def run(arguments):
    """Do what the name of the architecture says."""
    sys.argv = [STAND_IN, sys.argv[1], *arguments]
    runpy.run_path(STAND_IN, run_name="__main__")


if __name__ == "__main__":
    fork_server.serve(socket.socket(fileno=sys.stdin.fileno()), run)
    os._exit(0)
