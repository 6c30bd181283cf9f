"""Ctrl-C and SIGTERM: asked once, obeyed in order, whatever the moment."""

from __future__ import annotations

import asyncio
import signal
from typing import Final

INTERRUPTED: Final = 130
"""Exit code of what was ended before it was ready, as shells give it for Ctrl-C."""


class Interrupt:
    """Made by the task that starts something. Before `ready()` a signal cancels that task; afterwards it sets `asked`.

    Only the first signal counts: a second one must not cut the clean-up short, which would leave processes behind.
    """

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self._task = asyncio.current_task()
        self._ready = False
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self._take)

    def ready(self) -> None:
        """From now on the task looks at `asked` itself."""
        self._ready = True

    def _take(self) -> None:
        if self.asked.is_set():
            return
        self.asked.set()
        if not self._ready and self._task is not None:
            self._task.cancel()
