"""One process that is kept alive: started, watched, started again when it dies, stopped."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

_FIRST_PAUSE: Final = 0.2
_LONGEST_PAUSE: Final = 5.0
_HEALTHY_AFTER: Final = 10.0
"""Seconds a process has to live for its next death to count as the first."""
_LEASH: Final = Path(__file__).with_name("_leash.py")


def _leashed(command: Sequence[str]) -> list[str]:
    """Ends with the supervisor even when that is killed, so that nothing is left behind."""
    return [sys.executable, "-I", "-S", str(_LEASH), str(os.getpid()), *command]


class ManagedProcess:
    """A child process under a name. `changed` is called after each start and end."""

    def __init__(
        self, name: str, command: Sequence[str], environment: Mapping[str, str], log: Path, changed: Callable[[], None]
    ) -> None:
        self.name = name
        self.restarts = 0
        self.exit_code: int | None = None
        self._command = list(command)
        self._environment = dict(environment)
        self._log = log
        self._changed = changed
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """Of the process that runs now."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    @property
    def log(self) -> Path:
        """Where its output goes."""
        return self._log

    async def start(self) -> None:
        """Starts it, and keeps it alive from now on."""
        await self._spawn()
        self._keeper = asyncio.create_task(self._keep(), name=f"keep {self.name}")

    async def _spawn(self) -> None:
        with self._log.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                *_leashed(self._command),
                env=self._environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=asyncio.subprocess.STDOUT,
                process_group=0,  # Ctrl-C reaches the supervisor alone, which stops the others in order
            )
        self._changed()

    async def _keep(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            assert self._process is not None
            started = time.monotonic()
            self.exit_code = await self._process.wait()
            self._changed()
            pause = _FIRST_PAUSE if time.monotonic() - started > _HEALTHY_AFTER else min(2 * pause, _LONGEST_PAUSE)
            await asyncio.sleep(pause)  # stop() cancels it here
            self.restarts += 1
            # A machine without a free process or file handle has one again later: the ended process is seen again, and so is its pause.
            with contextlib.suppress(OSError):
                await self._spawn()

    def quit_early(self) -> bool:
        """True when it ended by itself with an error and was never healthy: a bad setting, a port in use."""
        return self.restarts >= 3 and self.exit_code not in (None, 0) and self.exit_code > 0

    def tail(self, lines: int = 12) -> str:
        """The end of its log."""
        try:
            return "\n".join(self._log.read_text(errors="replace").splitlines()[-lines:])
        except FileNotFoundError:
            return ""

    async def stop(self, grace: float = 8.0) -> None:
        """Ends it: SIGTERM, then SIGKILL after `grace` seconds."""
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
        process = self._process
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            try:
                await asyncio.wait_for(process.wait(), grace)
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
