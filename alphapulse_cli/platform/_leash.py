"""Becomes the given program, which the kernel ends when the process that started it is gone: `python _leash.py PARENT PROGRAM ...`.

A program of its own, because code between fork and exec is not safe in a process with threads, and gRPC makes some.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1

if __name__ == "__main__":
    parent, *command = sys.argv[1:]
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != int(parent):  # it was gone before the line above held
        sys.exit(1)
    os.execv(command[0], command)  # noqa: S606 - to become the program is the purpose
