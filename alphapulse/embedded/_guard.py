"""The small process between a launcher and a store: `python -I -S _guard.py OPTIONS -- COMMAND...`.

It starts COMMAND, prints its pid and then, unless detached, ends it in an orderly way as soon as the launcher is gone,
however the launcher died. A parent-death signal asked for by the launcher itself would not do: the kernel ties it to
the THREAD that started the child, so a store started from a pool of threads would die with that thread. The guard has
one thread, so it can ask for that signal on its own child: if the guard is killed, the store ends too.

Only the standard library: it runs isolated from any installed package, so it starts in some 20 ms.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import select
import shutil
import signal
import sys
import time

PR_SET_PDEATHSIG = 1
CHECK_SECONDS = 1.0
PATIENCE_SECONDS = 30.0
POLL_SECONDS = 0.02


def main() -> int:
    """Run the command; the exit code is the command's own."""
    options = _options()
    woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC) if hasattr(os, "pipe2") else os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    guard = os.getpid()
    child = os.fork()
    if child == 0:
        _become_command(options, guard)
    os.write(1, f"{child}\n".encode())
    os.close(1)
    if options.detach:
        return 0
    return _watch(child, woken, options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--launcher", type=int, required=True, help="pid of the launcher")
    parser.add_argument("--log", required=True, help="file the command's output is appended to")
    parser.add_argument("--signal", type=int, required=True, help="signal that ends the command in an orderly way")
    parser.add_argument("--detach", action="store_true", help="leave the command running when the launcher ends")
    parser.add_argument("--remove", help="folder to remove once the launcher and the command are gone")
    parser.add_argument("command", nargs="+")
    return parser.parse_args()


def _become_command(options: argparse.Namespace, guard: int) -> None:
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        if not options.detach:
            _die_with_guard(options.signal, guard)
        log = os.open(options.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.execvp(options.command[0], options.command)  # noqa: S606
    except OSError as error:
        os.write(2, f"cannot run {options.command[0]}: {error}\n".encode())
    finally:
        os._exit(127)


def _die_with_guard(number: int, guard: int) -> None:
    # Linux only; elsewhere the guard's own watch has to do.
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)
    if os.getppid() != guard:
        os._exit(0)


def _watch(child: int, woken: int, options: argparse.Namespace) -> int:
    while True:
        # Standard input is a pipe the launcher holds. Its forks may hold copies, so the parent is checked too.
        ready, _, _ = select.select([0, woken], [], [], CHECK_SECONDS)
        if woken in ready:
            os.read(woken, 4096)
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status) & 0xFF
        if (0 in ready and not os.read(0, 4096)) or os.getppid() != options.launcher:
            _end(child, options.signal)
            if options.remove:
                shutil.rmtree(options.remove, ignore_errors=True)
                with contextlib.suppress(OSError):
                    os.rmdir(os.path.dirname(options.remove))
            return 0


def _end(child: int, number: int) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    os.kill(child, number)
    while not os.waitpid(child, os.WNOHANG)[0]:
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return
        time.sleep(POLL_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
