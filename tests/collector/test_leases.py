"""No source runs twice: leases in a real Valkey, between collectors that die, lose it, or lose sight of it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis
from support.collectors import collector, sources_when

from alphapulse.api.collector.v1 import collector_service_pb2 as pb
from alphapulse.domain.errors import ConfigurationError
from collector_service.lease import Held, Leases

KEY = "alphapulse:collector:lease:{KRAKEN}"


class Runs:
    """What runs under a lease, and what was seen of it."""

    def __init__(self, ended: Callable[[], None] = lambda: None) -> None:
        self.running = asyncio.Event()
        self.stopped = asyncio.Event()
        self.fences: list[int] = []
        self.reasons: list[str] = []
        self._ended = ended

    async def run(self, held: Held) -> None:
        self.fences.append(held.fence)
        self.stopped.clear()
        self.running.set()
        try:
            await asyncio.Event().wait()
        finally:
            self._ended()
            self.running.clear()
            self.stopped.set()


@asynccontextmanager
async def holding(url: str, runs: Runs, seconds: float = 1.0) -> AsyncIterator[asyncio.Task[None]]:
    leases = Leases(url, seconds=seconds)
    task = asyncio.create_task(leases.hold("KRAKEN", runs.run, runs.reasons.append))
    try:
        async with asyncio.timeout(30):
            yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await leases.close()


async def test_one_of_two_runs_and_the_other_follows_with_a_higher_number(fresh_redis_url: str) -> None:
    one, two = Runs(), Runs()
    async with holding(fresh_redis_url, two) as second:
        await two.running.wait()
        async with holding(fresh_redis_url, one):
            while not one.reasons:  # noqa: ASYNC110 - it asks again and again
                await asyncio.sleep(0.01)
            assert not one.running.is_set()
            assert set(one.reasons) == {"another collector runs the source"}
            second.cancel()
            await one.running.wait()
            assert two.stopped.is_set()
    assert one.fences[0] > two.fences[0]


async def test_a_lease_that_is_prolonged_outlives_its_length(fresh_redis_url: str) -> None:
    runs = Runs()
    client = redis.Redis.from_url(fresh_redis_url)
    async with holding(fresh_redis_url, runs, seconds=3.0):
        await runs.running.wait()
        token = client.get(KEY)
        await asyncio.sleep(3.5)
        assert client.get(KEY) == token
        assert runs.running.is_set()
    assert client.get(KEY) is None, "it is given up at the end"
    client.close()


@pytest.mark.parametrize("answers", [0, 1], ids=["as it is taken", "as it is prolonged"])
async def test_who_is_cancelled_at_a_time_limit_of_the_client_ends(
    fresh_redis_url: str, monkeypatch: pytest.MonkeyPatch, answers: int
) -> None:
    """The client may tell of its time limit alone where a cancellation comes with it."""
    leases, runs, asked = Leases(fresh_redis_url, seconds=1.0), Runs(), asyncio.Event()
    eval_there = leases._redis.eval
    left = answers

    async def limited(*arguments: Any) -> Any:
        nonlocal left
        left -= 1
        if left >= 0:
            return await eval_there(*arguments)
        asked.set()
        try:
            return await asyncio.Event().wait()
        except asyncio.CancelledError:
            monkeypatch.undo()
            raise redis.TimeoutError("Timeout reading from socket") from None

    monkeypatch.setattr(leases._redis, "eval", limited)
    task = asyncio.create_task(leases.hold("KRAKEN", runs.run, runs.reasons.append))
    await asked.wait()
    task.cancel()
    done, _ = await asyncio.wait({task}, timeout=10)
    await leases.close()
    assert done
    assert task.cancelled()


async def test_a_lease_that_another_one_has_is_not_touched(fresh_redis_url: str) -> None:
    """As after a pause that was longer than the lease: the source stops, and the other one's lease stays as it is."""
    runs = Runs()
    client = redis.Redis.from_url(fresh_redis_url)
    async with holding(fresh_redis_url, runs):
        await runs.running.wait()
        client.set(KEY, "another")
        await runs.stopped.wait()
        assert client.get(KEY) == b"another"
        client.delete(KEY)
        await runs.running.wait()
    client.close()
    assert runs.fences[1] > runs.fences[0]


async def test_a_clock_that_was_set_back_gives_no_lower_number(fresh_redis_url: str) -> None:
    runs = Runs()
    client = redis.Redis.from_url(fresh_redis_url)
    client.set("alphapulse:collector:fence:{KRAKEN}", "4999999999999999000")
    async with holding(fresh_redis_url, runs):
        await runs.running.wait()
    client.close()
    assert runs.fences == [5_000_000_000_999_999_000]


async def test_a_source_stops_before_a_lease_ends_that_cannot_be_prolonged(fresh_redis_url: str) -> None:
    """Redis is out of reach: what runs is over while the lease still stands, and comes back when Redis does."""
    parts = urlsplit(fresh_redis_url)
    client = redis.Redis.from_url(fresh_redis_url)
    writers: list[asyncio.StreamWriter] = []
    left: list[int] = []

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        try:
            while data := await reader.read(1 << 16):
                writer.write(data)
        except OSError:
            pass
        finally:
            writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection(parts.hostname, parts.port)
        await asyncio.gather(pump(reader, up_writer), pump(up_reader, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    url = parts._replace(netloc=f"{parts.netloc.rpartition(':')[0]}:{port}").geturl()
    runs = Runs(lambda: left.append(int(client.pttl(KEY))))
    async with holding(url, runs, seconds=4.0):
        await runs.running.wait()
        server.close()
        for writer in writers:
            writer.transport.abort()
        await runs.stopped.wait()
        assert 0 < left[0] < 4_000
        assert client.get(KEY) is not None
        server = await asyncio.start_server(serve, "127.0.0.1", port)
        await runs.running.wait()
    server.close()
    client.close()


async def test_a_collector_that_is_killed_is_followed_by_another(small_relay: Any, fresh_redis_url: str) -> None:
    """The source runs once, before and after; the relay sees an epoch above the one before."""
    settings = {
        "SOURCES": "KRAKEN",
        "SYMBOLS": "BTC/USDT",
        "COLLECTOR_LEASE_URL": fresh_redis_url,
        "COLLECTOR_LEASE_SECONDS": "3",
        "RELAY_INGRESS_SOCKET": str(small_relay.path),
    }
    quiet = {"METRICS_PORT": "off", "GRPC_PORT": "0"}
    first = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "collector_service", env={**os.environ, **settings, **quiet},
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        await small_relay.until(lambda: small_relay.count() > 20)
        async with collector(**settings) as (stub, _):
            found = await sources_when(stub, lambda all_: all_["KRAKEN"].state == pb.SOURCE_STATE_BACKING_OFF)
            assert found["KRAKEN"].error == "another collector runs the source"
            before = small_relay.count()
            await small_relay.until(lambda: small_relay.count() > before + 20)
            assert len(small_relay.hellos) == 1
            first.send_signal(signal.SIGKILL)
            await first.wait()
            await sources_when(stub, lambda all_: all_["KRAKEN"].state == pb.SOURCE_STATE_RUNNING)
            await small_relay.until(lambda: len(small_relay.hellos) == 2)
            answer = await stub.StopSource(pb.StopSourceRequest(name="KRAKEN"))
            assert answer.source.state == pb.SOURCE_STATE_STOPPED
    finally:
        if first.returncode is None:
            first.kill()
            await first.wait()
    one, two = small_relay.hellos
    assert (one.source, two.source) == ("KRAKEN", "KRAKEN")
    assert two.epoch > one.epoch
    client = redis.Redis.from_url(fresh_redis_url)
    assert client.get(KEY) is None
    client.close()


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="COLLECTOR_LEASE_URL"):
        Leases("nowhere:1", seconds=1.0)
