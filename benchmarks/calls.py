"""One client for a server and its floor: unary calls of bytes, a fixed number in flight."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import grpc


@dataclass(frozen=True, slots=True)
class Load:
    """What a round did."""

    calls: int
    seconds: float

    @property
    def rate(self) -> float:
        """Calls a second."""
        return self.calls / self.seconds


def unary(channel: grpc.aio.Channel, method: str) -> Callable[[bytes], Any]:
    """A method called with bytes that answers bytes."""
    call: Any = channel.unary_unary(method)
    return cast(Callable[[bytes], Any], call)


def bare_stream(channel: grpc.aio.Channel) -> Any:
    """The call of the bare forwarder's stream: `read()` gives bytes."""
    open_stream: Any = channel.unary_stream("/floor.Floor/Stream")
    return open_stream(b"")


def open_bytes_channel(address: str) -> grpc.aio.Channel:
    """A plain channel, the same for both sides."""
    options = [("grpc.max_receive_message_length", 8 << 20), ("grpc.use_local_subchannel_pool", 1)]
    return grpc.aio.insecure_channel(address, options=options)


async def run_load(call: Callable[[bytes], Any], requests: Sequence[bytes], in_flight: int, seconds: float) -> Load:
    """Calls with the requests in turn, `in_flight` at a time, for that long."""
    source = itertools.cycle(requests)
    begin = time.perf_counter()
    end = begin + seconds

    async def worker() -> int:
        done = 0
        while time.perf_counter() < end:
            await call(next(source))
            done += 1
        return done

    counts = await asyncio.gather(*(worker() for _ in range(in_flight)))
    return Load(sum(counts), time.perf_counter() - begin)
