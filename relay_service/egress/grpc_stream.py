"""Subscribe over gRPC: responses are bytes that are already encoded, one write under way at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc

from alphapulse.domain.errors import Draining
from relay_service.egress.envelope import GrpcEncoder
from relay_service.egress.fanout import FanOut
from relay_service.egress.session import MAX_ID, Session
from relay_service.egress.subscriber import Subscriber


class SubscribeStream:
    """The handler of Subscribe."""

    def __init__(self, fanout: FanOut) -> None:
        self._fanout = fanout

    async def __call__(self, requests: AsyncIterator[Any], context: grpc.aio.ServicerContext[Any, Any]) -> None:
        """One stream, until the client leaves or the relay drains. While more than half of the bound waits, no request is read."""
        ready, room = asyncio.Event(), asyncio.Event()
        subscriber = self._fanout.connect("grpc", GrpcEncoder(), ready.set)
        reader = asyncio.create_task(self._read(requests, subscriber, room))
        reader.add_done_callback(lambda _: ready.set())
        try:
            while True:
                data = subscriber.take()
                if data is not None:
                    await context.write(data)
                    continue
                room.set()
                if subscriber.ending:
                    raise Draining("this relay is going away; connect again", retry_after=0.5)
                if reader.done():
                    # A client that asks no more still listens; one that broke the rules does not.
                    reader.result()
                ready.clear()
                await ready.wait()
        finally:
            reader.cancel()
            self._fanout.disconnect(subscriber)
            await asyncio.gather(reader, return_exceptions=True)

    async def _read(self, requests: AsyncIterator[Any], subscriber: Subscriber, room: asyncio.Event) -> None:
        session = Session(self._fanout, subscriber, MAX_ID)
        async for request in requests:
            session.handle(request)
            if subscriber.queue.is_lagging:
                room.clear()
                await room.wait()
