"""One step at a time, whoever takes it: several tasks wait for what a stream says, and one of them reads."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable


class InTurn:
    """Steps of one stream."""

    def __init__(self) -> None:
        self._busy = False
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def until(self, done: Callable[[], bool], step: Callable[[], Awaitable[None]]) -> None:
        """Take steps until `done`. One task takes them at a time; the others wait their turn, and look again after each."""
        while not done():
            if self._busy:
                turn = asyncio.get_running_loop().create_future()
                self._waiting.append(turn)
                await turn
                continue
            self._busy = True
            try:
                await step()
            finally:
                self._busy = False
                while self._waiting:
                    turn = self._waiting.popleft()
                    if not turn.done():
                        turn.set_result(None)
