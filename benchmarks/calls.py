"""One client for a server and its floor: unary calls of bytes, a fixed number in flight; streams of bytes."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import grpc

from alphapulse.api.marketdata.v1 import marketdata_pb2
from alphapulse.api.relay.v1 import relay_service_pb2 as relay

_SUBSCRIBE: Final = "/alphapulse.api.relay.v1.RelayService/Subscribe"
_HEARTBEAT_MS: Final = 600_000
"""Longer than a benchmark lasts."""


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


async def relay_stream(channel: grpc.aio.Channel, name: str, predicate: str = "") -> Any:
    """A relay's Subscribe stream of quotes, of all or of those of listings that satisfy a predicate: `read()` gives bytes, first what follows the
    acknowledgement. RuntimeError when the relay refuses it."""
    open_stream: Any = channel.stream_stream(_SUBSCRIBE, request_serializer=relay.SubscribeRequest.SerializeToString)
    call = open_stream()
    await call.write(relay.SubscribeRequest(hello=relay.ClientHello(name=name, heartbeat_interval_ms=_HEARTBEAT_MS)))
    wanted = relay.SubscriptionFilter(event_types=[marketdata_pb2.EVENT_TYPE_QUOTE], predicate=predicate)
    await call.write(relay.SubscribeRequest(put=relay.PutSubscription(subscription_id=1, filter=wanted)))
    while True:
        answer = relay.SubscribeResponse.FromString(await call.read())
        if answer.HasField("acknowledged"):
            return call
        if answer.HasField("refused"):
            raise RuntimeError(f"the relay refuses: {answer}")
