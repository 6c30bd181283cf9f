"""What a connection has received and the stream has not taken yet, bounded so that a slow strategy slows the relay's sends."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from alphapulse.api.relay.v1 import relay_service_pb2 as relay
from alphapulse.domain.errors import AlphaPulseError
from strategy_sdk._batch import EventBatch

Received = EventBatch | relay.SubscribeResponse

HIGH_BYTES: Final = 8 << 20
"""Bytes held at which nothing more is read from the connection: the relay then sees a slow consumer."""
LOW_BYTES: Final = 2 << 20


class Inbox:
    """Filled by the connection, emptied by one reader. Cancelling `take` loses nothing."""

    def __init__(self, resume: Callable[[], None]) -> None:
        self._items: deque[tuple[Received, int]] = deque()
        self._resume = resume
        self._waiter: asyncio.Future[None] | None = None
        self.held = 0
        self.paused = False
        self.end: AlphaPulseError | None = None
        """Why nothing more will come; raised once everything before it is taken."""

    def put(self, item: Received, size: int) -> None:
        """Received `item` of `size` bytes; when `paused` afterwards, read no more until `resume` is called."""
        self._items.append((item, size))
        self.held += size
        self.paused = self.paused or self.held > HIGH_BYTES
        self._wake()

    def close(self, error: AlphaPulseError) -> None:
        """Nothing more will come."""
        if self.end is None:
            self.end = error
        self._wake()

    async def take(self) -> Received:
        """The next item, or what the connection ended with."""
        while not self._items:
            if self.end is not None:
                raise self.end
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        item, size = self._items.popleft()
        self.held -= size
        if self.paused and self.held < LOW_BYTES:
            self.paused = False
            self._resume()
        return item

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
