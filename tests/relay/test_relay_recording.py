"""`alphapulse record` as a process on a real relay: killed and run again, the relay replaced under it, everything is recorded or declared."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.dataset as ds
import pytest

from alphapulse.api.relay.v1 import relay_service_pb2 as pb
from alphapulse.recording import RECORDER_DIED, read_definitions, read_gaps, read_rows
from alphapulse.records import QUOTE
from strategy_sdk import RECONNECTED

PATIENCE = 60.0
Start = Callable[..., Any]


class Recording:
    """A recorder's process over a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process: Process | None = None

    async def start(self, relay: str | Path, *arguments: str) -> None:
        """Run until it has subscribed."""
        command = [sys.executable, "-m", "alphapulse_cli", "record", "--out", str(self.folder), "--relay", str(relay)]
        self.process = await asyncio.create_subprocess_exec(
            *command, "--json", *arguments, stdout=PIPE, stderr=PIPE, env={**os.environ, "PYTHONUNBUFFERED": "1"}
        )
        before = set(self._journals())
        await self.until(lambda: set(self._journals()) - before)

    async def until(self, reached: Callable[[], Any]) -> None:
        """Look until something is so, or the process has ended."""
        assert self.process is not None
        async with asyncio.timeout(PATIENCE):
            while not reached():
                assert self.process.returncode is None, (await self.process.communicate())[1].decode()
                await asyncio.sleep(0.01)

    async def received(self, found: bytes) -> None:
        """Until bytes are in the newest journal: a row, or the name of a source."""
        await self.until(lambda: found in max(self._journals()).read_bytes())

    def _journals(self) -> list[Path]:
        return list(self.folder.glob("journal/*.frames"))

    async def kill(self) -> None:
        """SIGKILL."""
        assert self.process is not None
        self.process.kill()
        await self.process.communicate()

    async def stop(self) -> tuple[dict[str, Any], str]:
        """SIGTERM; the summary, and what it told."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE):
            out, told = await self.process.communicate()
        assert self.process.returncode == 0, told.decode()
        return json.loads(out), told.decode()

    def rows(self) -> list[tuple[int, int]]:
        """(sequence, bid) of the quotes recorded, in their order."""
        return [
            pair
            for _, rows in read_rows(self.folder)
            for pair in zip(rows["sequence"].tolist(), rows["bid_price"].tolist(), strict=True)
        ]


@pytest.fixture
async def recording(tmp_path: Path) -> AsyncIterator[Recording]:
    """A recorder that is ended with the test."""
    found = Recording(tmp_path / "recording")
    yield found
    if found.process is not None and found.process.returncode is None:
        await found.kill()


async def test_killed_and_run_again_everything_is_recorded_or_declared(
    start_relay: Start, build: Any, recording: Recording
) -> None:
    relay = await start_relay()
    relay.define(*(build.listing(key) for key in (1, 2, 3)))
    collector = await relay.collector("SOMEWHERE")
    published: list[int] = []

    async def publish(count: int) -> None:
        bid = 1 + len(published)
        rows = build.quotes([1 + k % 3 for k in range(count)], first_bid=bid)
        published.extend(range(bid, bid + count))
        await collector.send(rows)

    await recording.start(relay.config.egress_socket)
    publishing = asyncio.create_task(_again_and_again(publish))
    await recording.received(_bid(20))
    await recording.received(b"SOMEWHERE")
    await recording.kill()  # while events come
    publishing.cancel()
    await asyncio.wait((publishing,))
    await publish(50)  # nobody records these
    await _all_taken(relay, len(published))
    await recording.start(relay.handle.address)  # over gRPC this time
    begun = len(published)
    await publish(500)
    await recording.received(_bid(len(published)))
    summary, told = await recording.stop()

    rows = recording.rows()
    assert all(
        bid == sequence for sequence, bid in rows
    )  # bids were published in order, so a bid is its event's sequence
    recorded = [sequence for sequence, _ in rows]
    assert recorded == sorted(set(recorded))
    (gap,) = [one.missing for one in read_gaps(recording.folder)]
    assert (gap.reason, gap.after_relay_id, gap.before_sequence) == (RECORDER_DIED, await _relay_id(relay), begun + 1)
    assert "RECORDER_DIED" in told
    assert gap.after_sequence > 0  # what the killed one had received is there
    declared = range(gap.after_sequence + 1, gap.before_sequence)
    assert sorted([*recorded, *declared]) == published
    assert len(declared) >= 50
    assert summary["events"] == len(recorded)
    assert not list(recording.folder.glob("journal/*"))

    table = ds.dataset(recording.folder / "quote", partitioning="hive").to_table()
    assert pc.sum(table.column("bid_price")).as_py() == sum(map(Decimal, recorded))
    assert set(table.column("source").to_pylist()) == {"SOMEWHERE"}
    definitions = list(read_definitions(recording.folder))
    assert {one.listing_key for one in definitions} == {1, 2, 3}
    listing = pb.ListingDefinition.FromString(definitions[0].definition).listing
    assert (listing.venue, listing.currency) == ("XV", "USD")


async def test_killed_and_run_again_at_a_relay_with_a_log_nothing_is_missing(
    open_relay: Start, build: Any, recording: Recording, fresh_redis_url: str
) -> None:
    """Killed while events come, again while it fetches what came meanwhile, and run the last time at the next life of the relay."""
    async with open_relay(log_url=fresh_redis_url) as relay:
        relay.define(build.listing(1))
        lives = [await _relay_id(relay)]
        await recording.start(relay.config.egress_socket)
        collector = await relay.collector("SOMEWHERE")
        await collector.send(build.quotes([1] * 500, first_bid=1))
        await recording.received(_bid(20))
        await recording.kill()
        await collector.send(build.quotes([1] * 5_000, first_bid=501))
        await _all_taken(relay, 5_500)
        await recording.start(relay.handle.address)
        await recording.kill()
    async with open_relay(log_url=fresh_redis_url) as relay:
        relay.define(build.listing(1))
        lives.append(await _relay_id(relay))
        collector = await relay.collector("SOMEWHERE")
        await collector.send(build.quotes([1] * 10, first_bid=5_501))
        await recording.start(relay.config.egress_socket)
        await recording.received(_bid(5_510))
        summary, told = await recording.stop()
    assert [bid for _, bid in recording.rows()] == list(range(1, 5_511))
    assert [sequence for sequence, _ in recording.rows()] == [*range(1, 5_501), *range(1, 11)]
    assert read_gaps(recording.folder) == []
    assert "gap" not in told
    assert summary["gaps"] == 0
    assert {one.relay_id for one in read_definitions(recording.folder)} <= set(lives)


async def test_a_relay_that_is_replaced_is_another_life_behind_a_gap(
    start_relay: Start, build: Any, recording: Recording
) -> None:
    first = await start_relay()
    first.define(build.listing(1), build.listing(2))
    await recording.start(first.config.egress_socket, "--venue", "XV", "--type", "quote")
    collector = await first.collector()
    await collector.send(build.quotes([1] * 100))
    await recording.received(_bid(199))
    lives = [await _relay_id(first)]
    await first.handle.drain()
    second = await start_relay()
    second.define(build.listing(1), build.listing(2))
    lives.append(await _relay_id(second))
    await _subscribed(second)
    collector = await second.collector()
    await collector.send(build.quotes([2] * 100, first_bid=500))
    await recording.received(_bid(599))
    await recording.stop()
    assert [bid for _, bid in recording.rows()] == [*range(100, 200), *range(500, 600)]
    (gap,) = [one.missing for one in read_gaps(recording.folder)]
    assert (gap.reason, gap.after_relay_id, gap.after_sequence) == (RECONNECTED, lives[0], 100)
    parts = sorted(one.name for one in recording.folder.glob("quote/*/*"))
    assert parts == sorted(f"part-{life}-{1:020}.parquet" for life in lives)


def _bid(price: int) -> bytes:
    """A bid as it lies in a row, with its tag."""
    rows = QUOTE.new(1)
    rows["bid_price"] = price
    assert QUOTE.dtype.fields is not None
    place = QUOTE.dtype.fields["bid_price"][1]
    return rows.tobytes()[place - 1 : place + 8]


async def _until(reached: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            if await reached():
                return
            await asyncio.sleep(0.01)


async def _again_and_again(publish: Callable[[int], Any]) -> None:
    while True:
        await publish(20)
        await asyncio.sleep(0.002)


async def _all_taken(relay: Any, count: int) -> None:
    async def reached() -> bool:
        status = await relay.stub.GetRelayStatus(pb.GetRelayStatusRequest())
        return bool(status.last_sequence >= count)

    await _until(reached)


async def _subscribed(relay: Any) -> None:
    async def reached() -> bool:
        answer = await relay.stub.ListSubscribers(pb.ListSubscribersRequest())
        return any(one.subscriptions for one in answer.subscribers)

    await _until(reached)


async def _relay_id(relay: Any) -> str:
    status = await relay.stub.GetRelayStatus(pb.GetRelayStatusRequest())
    found: str = status.relay_id
    return found
