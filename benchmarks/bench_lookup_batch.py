"""BatchLookup of 500 ISINs: identifiers a second from one registry process, against a bare server that gives back ready bytes."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import redis
from calls import open_bytes_channel, run_load, unary
from harness import Metric, Options, alternate, main, say, start
from registry import BATCH, SERVICE, batch_requests, equity, instrument_registry, isin_of, register, warm

IN_FLIGHT = 8


class _Peer:
    """Redis MGET of the same values in the same batches, one connection, one after the other."""

    def __init__(self, url: str, isins: list[str], answers: list[bytes]) -> None:
        self._client = redis.Redis.from_url(url)
        self._batches = [[f"bench:{isin}" for isin in isins[at : at + BATCH]] for at in range(0, len(isins), BATCH)]
        for keys, answer in zip(self._batches, answers, strict=True):
            part = len(answer) // len(keys)
            self._client.mset({key: answer[at * part : (at + 1) * part] for at, key in enumerate(keys)})

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


async def measure(options: Options) -> Sequence[Metric]:
    count, rounds, seconds = options.pick(20_000, 1_000), options.pick(16, 2), options.seconds(0.4)
    isins = [isin_of(number) for number in range(count)]
    requests = batch_requests(isins)
    async with AsyncExitStack() as stack:
        registry = await stack.enter_async_context(instrument_registry())
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        fixed = Path(folder) / "answer"
        echo = await start(stack, "child_echo", fixed)
        say(f"registering {count} instruments ...")
        await register(registry.address, (equity(n) for n in range(count)))
        channel = open_bytes_channel(registry.address)
        stack.push_async_callback(channel.close)
        answers = await warm(channel, isins)
        fixed.write_bytes(answers[0])
        bare_channel = open_bytes_channel(echo.facts["address"])
        stack.push_async_callback(bare_channel.close)
        ours, bare = unary(channel, f"{SERVICE}/BatchLookup"), unary(bare_channel, "/floor.Floor/Fixed")
        peer = _Peer(registry.stores.redis_url, isins, answers)
        stack.callback(peer.close)

        async def ours_round() -> float:
            return BATCH * (await run_load(ours, requests, IN_FLIGHT, seconds)).rate

        async def bare_round() -> float:
            return BATCH * (await run_load(bare, requests, IN_FLIGHT, seconds)).rate

        await ours_round()
        await bare_round()
        rate, floor, ratio = await alternate(rounds, ours_round, bare_round)
        mget = statistics.median([await peer.round(seconds) for _ in range(options.pick(3, 1))])
    size = len(answers[0]) / BATCH
    timed = (
        f"BatchLookup of {BATCH} ISINs out of {count} held in the process's cache, {IN_FLIGHT} in flight, {size:.0f} bytes an "
        f"answer, client does not parse; floor: bare grpc.aio server that gives ready bytes of the same size; peer: redis-py "
        f"MGET of the same bytes, {BATCH} keys a call; median of {rounds} rounds of {seconds:g} s"
    )
    return [Metric("identifiers", rate, "identifiers/s", timed, floor, ratio, {"redis_mget": mget})]


if __name__ == "__main__":
    main("lookup_batch", measure)
