"""BatchLookup of ISINs: identifiers a second from one registry process, of ids alone and of full answers, against a bare server that gives back
ready bytes and against Redis."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import redis
from calls import open_bytes_channel, run_load, unary
from harness import Metric, Options, alternate, main, say, start
from registry import SERVICE, Registry, batch_requests, equity, instrument_registry, isin_of, register, warm

from alphapulse.api.instrument.v1 import instrument_service_pb2 as service

IN_FLIGHT = {500: 8, 5_000: 4}
"""Calls under way, by identifiers a call."""


class _Peer:
    """Redis MGET of the same values in the same batches, one connection, one after the other: redis-py with hiredis, which packs
    the commands and parses the answers in C."""

    def __init__(self, url: str) -> None:
        self._client = redis.Redis.from_url(url)
        self._batches: list[list[str]] = []

    def fill(self, isins: Sequence[str], answers: Sequence[bytes], size: int) -> None:
        """Keeps each answer under its ISIN; they are asked for by `size`."""
        keys = [f"bench:{isin}" for isin in isins]
        self._batches = [keys[at : at + size] for at in range(0, len(keys), size)]
        for at in range(0, len(keys), 500):
            self._client.mset(dict(zip(keys[at : at + 500], answers[at : at + 500], strict=True)))

    def _run(self, seconds: float) -> float:
        found = 0
        begin = time.perf_counter()
        while (spent := time.perf_counter() - begin) < seconds:
            for keys in self._batches:
                found += len(self._client.mget(keys))
        return found / spent

    async def round(self, seconds: float) -> float:
        """Values a second."""
        return await asyncio.to_thread(self._run, seconds)

    def close(self) -> None:
        """Gives the connection back."""
        self._client.close()


def _each(answers: Sequence[bytes]) -> list[bytes]:
    """The answers of batches, one an identifier, each as it stands in the batch's."""
    results = [one for answer in answers for one in service.BatchLookupResponse.FromString(answer).results]
    return [service.BatchLookupResponse(results=[one]).SerializeToString() for one in results]


@dataclass(frozen=True, slots=True)
class _View:
    """How much of each holder is asked for."""

    ids: bool
    name: str
    """In the names of its figures."""
    holds: str
    """What an answer holds."""


VIEWS = (
    _View(True, "_ids", "outcome, instrument_id, asset class and status (LOOKUP_VIEW_IDS)"),
    _View(False, "", "the outcome and the whole instrument (LOOKUP_VIEW_FULL)"),
)


@dataclass(frozen=True, slots=True)
class _Bench:
    """A registry that holds the answers of these ISINs."""

    options: Options
    registry: Registry
    isins: list[str]

    async def measure(self, view: _View, each: list[bytes], size: int) -> list[Metric]:
        """The figures of one view and one size of batch; `each` are the answers."""
        rounds, seconds, in_flight = self.options.pick(12, 2), self.options.seconds(0.4), IN_FLIGHT[size]
        child, requests = self.registry.child, batch_requests(self.isins, size, ids=view.ids)
        async with AsyncExitStack() as stack:
            fixed = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "answer"
            fixed.write_bytes(b"".join(each[:size]))
            echo = await start(stack, "child_echo", fixed)
            channels = [open_bytes_channel(address) for address in (self.registry.address, echo.facts["address"])]
            for channel in channels:
                stack.push_async_callback(channel.close)
            ours, bare = unary(channels[0], f"{SERVICE}/BatchLookup"), unary(channels[1], "/floor.Floor/Fixed")
            peer = _Peer(self.registry.stores.redis_url)
            stack.callback(peer.close)
            peer.fill(self.isins, each, size)
            spent = [0.0, 0.0]

            async def ours_round() -> float:
                before = child.cpu_seconds()
                load = await run_load(ours, requests, in_flight, seconds)
                spent[0] += child.cpu_seconds() - before
                spent[1] += size * load.calls
                return size * load.rate

            async def bare_round() -> float:
                return size * (await run_load(bare, requests, in_flight, seconds)).rate

            async def peer_round() -> float:
                return await peer.round(seconds)

            await ours_round()
            await bare_round()
            floor = await alternate(rounds, ours_round, bare_round)
            mget = await alternate(rounds, ours_round, peer_round)
        timed = (
            f"BatchLookup of {size} ISINs a call out of {len(self.isins)} held in the process's cache, {in_flight} in flight; an answer is "
            f"{view.holds}, {len(each[0])} bytes; client does not parse; median of {rounds} rounds of {seconds:g} s"
        )
        return _figures(view.name + ("" if size == 500 else f"_{size}"), timed, floor, mget, spent[0] / spent[1])


def _figures(
    name: str, timed: str, floor: tuple[float, float, float], mget: tuple[float, float, float], cpu: float
) -> list[Metric]:
    """Of rounds beside the bare server, of rounds beside Redis, and the processor seconds an identifier cost."""
    floors = f"{timed}; floor: bare grpc.aio server that gives ready bytes of the same size"
    redis_timed = f"{timed}; floor: redis-py (hiredis) MGET of the same bytes, as many keys a call, one connection"
    cpu_timed = "processor time of the registry's process an identifier, all threads"
    rate, bare, ratio = floor
    return [
        Metric(f"identifiers{name}", rate, "identifiers/s", floors, bare, ratio, {"redis_mget": mget[1]}),
        Metric(f"beside_mget{name}", mget[0], "identifiers/s", redis_timed, mget[1], mget[2]),
        Metric(f"identifier{name}_cpu", cpu * 1e6, "us", cpu_timed),
    ]


async def measure(options: Options) -> Sequence[Metric]:
    count = options.pick(20_000, 5_000)
    isins = [isin_of(number) for number in range(count)]
    async with AsyncExitStack() as stack:
        registry = await stack.enter_async_context(instrument_registry())
        say(f"registering {count} instruments ...")
        await register(registry.address, (equity(n) for n in range(count)))
        channel = open_bytes_channel(registry.address)
        stack.push_async_callback(channel.close)
        bench, figures = _Bench(options, registry, isins), []
        for view in VIEWS:
            each = _each(await warm(channel, isins, ids=view.ids))
            for size in IN_FLIGHT:
                figures += await bench.measure(view, each, size)
        return figures


if __name__ == "__main__":
    main("lookup_batch", measure)
