"""Loads of answers that are missing: those asked for in one turn of the event loop, and while others are under way, go together.

A thousand cold look-ups that come in one by one cost a few statements, not thousands; and ten thousand in one call are read in
parts, between which the loop serves others.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

from registry_service.storage.model import CachedAnswer, Loader

LOAD_KEYS: Final = 250
"""Keys of one load at most."""
LOADS_AT_ONCE: Final = 2
"""Loads of one loader under way at most: the next keys gather meanwhile. Two, so that one that takes long holds nobody up; with more
each has fewer keys, and a process that is busy answers fewer."""


class Load:
    """Some keys that are read together, now or soon, and who waits for them."""

    __slots__ = ("answers", "done", "keys", "min_revision")

    def __init__(self) -> None:
        self.keys: dict[str, None] = {}
        self.min_revision = 0
        self.answers: dict[str, CachedAnswer] = {}
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        # A failure that nobody waits for any more is no error of the program.
        self.done.add_done_callback(lambda done: done.cancelled() or done.exception())

    def answer(self, key: str) -> CachedAnswer:
        """What was read; KeyError when the loader left the key out."""
        self.done.result()
        if key not in self.answers:
            raise KeyError(f"the loader gave no answer for {key!r}")
        return self.answers[key]


Run = Callable[[Loader, Load], Awaitable[None]]
"""Reads a load and settles it: it never raises but to be cancelled."""


class Loads:
    """The loads of one loader. `run` reads one; `ended` is told when there is nothing more to do."""

    def __init__(self, loader: Loader, run: Run, ended: Callable[[Loader], None]) -> None:
        self._loader = loader
        self._run = run
        self._ended = ended
        self._waiting: deque[Load] = deque()
        self._running: set[asyncio.Task[None]] = set()
        self._woken = False

    def take(self, key: str, min_revision: int) -> Load:
        """The load a key goes with: the last that has not begun and has room, or that has the key already."""
        last = self._waiting[-1] if self._waiting else None
        if last is None or (len(last.keys) >= LOAD_KEYS and key not in last.keys):
            last = Load()
            self._waiting.append(last)
        last.keys[key] = None
        last.min_revision = max(last.min_revision, min_revision)
        if not self._woken:
            # Not at once: whoever asks in this turn of the loop goes along.
            self._woken = True
            asyncio.get_running_loop().call_soon(self._begin)
        return last

    async def close(self) -> None:
        """Ends what is under way and gives up what has not begun."""
        waiting, self._waiting = self._waiting, deque()
        for load in waiting:
            load.done.cancel()
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def _begin(self) -> None:
        self._woken = False
        while self._waiting and len(self._running) < LOADS_AT_ONCE:
            load = self._waiting.popleft()
            # A task of its own: it goes on when the caller that began it is cancelled, for the others who wait.
            task = asyncio.create_task(self._read(load))
            self._running.add(task)
            task.add_done_callback(self._finished)

    async def _read(self, load: Load) -> None:
        await self._run(self._loader, load)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._begin()
        if not self._running and not self._waiting:
            self._ended(self._loader)
