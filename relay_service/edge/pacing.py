"""After an outage an edge reads faster than its subscribers do. They are waited for, so that what the log has kept for them is not dropped here."""

from __future__ import annotations

import asyncio
from typing import Final

from alphapulse.domain.domains import Domain
from relay_service.egress.fanout import FanOut
from relay_service.egress.subscriber import Subscriber

PATIENCE_SECONDS: Final = 5.0
"""What all of them together may hold up the others by; then queues fill as they do of anybody who is slow."""
REGAINED: Final = 0.02
"""Seconds of it that each second gives back."""
STALLED_SECONDS: Final = 0.2
"""One that takes nothing for so long is not waited for any more."""
MANY: Final = 8
"""Entries read at once that say that this edge is behind."""


class Pacing:
    """`page` with each page read; `room` before rows are handed on."""

    def __init__(self, fanout: FanOut, domain: Domain) -> None:
        self._fanout = fanout
        self._domain = domain
        self._behind = False
        self._left = PATIENCE_SECONDS
        self._counted = 0.0
        self._stalled: set[str] = set()

    def page(self, entries: int) -> None:
        """So many entries were read at once."""
        now = asyncio.get_running_loop().time()
        self._left = min(self._left + REGAINED * (now - self._counted), PATIENCE_SECONDS)
        self._counted = now
        self._behind = entries >= MANY
        if not self._behind:
            self._stalled.clear()

    async def room(self) -> None:
        """While behind, wait for whoever is at half of what may wait for it."""
        if not self._behind:
            return
        for name, subscriber in tuple(self._fanout.subscribers.items()):
            if self._is_behind(subscriber) and name not in self._stalled:
                await self._wait(name, subscriber)

    async def _wait(self, name: str, subscriber: Subscriber) -> None:
        loop = asyncio.get_running_loop()
        while self._is_behind(subscriber) and self._left > 0 and name in self._fanout.subscribers:
            began = loop.time()
            subscriber.taken.clear()
            subscriber.wake()
            try:
                async with asyncio.timeout(STALLED_SECONDS):
                    await subscriber.taken.wait()
            except TimeoutError:
                self._stalled.add(name)
                return
            finally:
                self._left -= loop.time() - began

    def _is_behind(self, subscriber: Subscriber) -> bool:
        """Whether it has much left to take of the domain: what waits of another holds up nothing of this one."""
        return subscriber.queue.lane(self._domain).is_lagging
