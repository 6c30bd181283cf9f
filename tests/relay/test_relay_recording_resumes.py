"""A recorder that died goes on where its journal ends, at a relay with a log: everything is recorded once, or declared where the log forgot it."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from alphapulse.api.relay.v1 import relay_service_pb2 as pb
from alphapulse.client import Backoff
from alphapulse.recording import RECORDER_DIED, RECORDER_STOPPED, Point, Recorder, read_gaps, read_rows
from alphapulse.recording.folder import Folder
from alphapulse.recording.journal import read_journal
from alphapulse.records import QUOTE, TRADE, FrameType, RecordLayout, Rows, encode_control
from alphapulse_cli.recording_session import RecordingSession
from strategy_sdk import EventFilter, connect

PATIENCE = 60.0


class Traffic:
    """Quotes and trades in one count, which their bids and prices bear, and losses of the source."""

    def __init__(self, build: Any) -> None:
        self._build = build
        self.count = 0
        self.losses = 0

    async def begin(self, relay: Any) -> None:
        relay.define(self._build.listing(1), self._build.listing(2))
        self._collector, self._watcher = await relay.collector(), await relay.unix()
        self._before = self.count
        await self._watcher.put()

    async def send(self, count: int) -> None:
        """Relayed when it returns, in frames of one type."""
        for first in range(self.count + 1, self.count + count + 1, 7):
            some = min(7, self.count + count + 1 - first)
            if first % 3:
                await self._collector.send(self._build.quotes([1 + first % 2] * some, first_bid=first))
            else:
                trades = TRADE.new(some)
                trades["listing_key"], trades["flags"], trades["size"] = 1, 1, 1
                trades["price"] = range(first, first + some)
                await self._collector.send(trades, TRADE)
        self.count += count
        await self._watcher.rows(self.count - self._before)

    async def lose(self) -> None:
        loss = pb.SourceGap(slot=7, reason="BOOK_RESYNC", count=1)
        await self._collector.send_bytes(encode_control(FrameType.SOURCE_GAP, loss))
        self.losses += 1


class Recording:
    """A recorder in the test's loop. `die` leaves the files as a SIGKILL would, whatever it does later with those it had."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._folders = 0
        self.folder = root / "0"

    @asynccontextmanager
    async def running(self, relay: Any, **way: Any) -> AsyncIterator[None]:
        where = way or {"egress_socket": str(relay.config.egress_socket)}
        folder = self.folder
        async with connect(**where, heartbeat_seconds=0.02, backoff=Backoff(first=0.01, cap=0.05)) as stream:
            with Recorder(folder) as recorder:
                session = RecordingSession(stream, recorder, lambda _: None)
                recording = asyncio.create_task(session.run(EventFilter()))
                await until(lambda: recording.done() or list(folder.glob("journal/*")))
                assert not recording.done(), recording.result()
                self._begun = self.journal.stat().st_size
                try:
                    yield
                finally:
                    stream.stop()
                    await recording

    @property
    def journal(self) -> Path:
        return max(self.folder.glob("journal/*"))

    def die(self, rolled: random.Random) -> None:
        """What lies there now, cut anywhere."""
        self._folders += 1
        copied = self._root / str(self._folders)
        shutil.copytree(self.folder, copied)
        self.folder = copied
        size = self.journal.stat().st_size
        os.truncate(self.journal, rolled.randint(min(self._begun, size), size))

    def received(self) -> list[int]:
        """The counts of what is in the journal, in order."""
        return counts(entry.item for entry in read_journal(self.journal) if isinstance(entry.item, tuple))

    def found(self) -> list[int]:
        """The counts of what is recorded, in order."""
        return counts(read_rows(self.folder))


def counts(pieces: Iterable[tuple[RecordLayout, Rows]]) -> list[int]:
    name = {QUOTE.event_type: "bid_price", TRADE.event_type: "price"}
    return [one for layout, rows in pieces for one in rows[name[layout.event_type]].tolist()]


async def forgotten(relay: Any, time_ns: int) -> None:
    """Until the log no longer has what came at a time."""
    asking = await relay.unix()
    async with asyncio.timeout(PATIENCE):
        for number in range(1, 60_000):
            answer = await asking.put(number, start=pb.SubscriptionStart(time_ns=time_ns))
            if isinstance(answer, pb.SubscriptionRefused):
                assert answer.error.reason == "RESUME_TOKEN_TOO_OLD"
                return
            await asking.remove(number)


async def until(reached: Callable[[], Any]) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            if reached():
                return
            await asyncio.sleep(0.002)


async def test_a_recorder_killed_at_any_byte_goes_on_where_its_journal_ends(
    open_relay: Any, build: Any, fresh_redis_url: str, tmp_path: Path
) -> None:
    rolled = random.Random(11)
    recording, traffic = Recording(tmp_path), Traffic(build)
    for _ in range(2):
        async with open_relay(log_url=fresh_redis_url) as relay:
            await traffic.begin(relay)
            for turn in range(3):
                way = {"address": relay.handle.address} if turn % 2 else {}
                async with recording.running(relay, **way):
                    size = recording.journal.stat().st_size
                    await traffic.send(rolled.randint(1, 200))
                    await traffic.lose()
                    await traffic.send(rolled.randint(1, 200))
                    await until(lambda size=size: recording.journal.stat().st_size > size + rolled.randint(0, 30_000))
                    recording.die(rolled)
                await traffic.send(rolled.randint(0, 60))
        # The relay goes while nobody records, and the next life of it follows.
    async with open_relay(log_url=fresh_redis_url) as relay:
        await traffic.begin(relay)
        async with recording.running(relay):
            await traffic.send(1)
            await until(lambda: traffic.count in recording.received())
    assert recording.found() == list(range(1, traffic.count + 1))
    reasons = [one.missing.reason for one in read_gaps(recording.folder)]
    assert set(reasons) == {"BOOK_RESYNC"}
    assert len(reasons) >= traffic.losses


async def test_what_the_log_forgot_meanwhile_is_declared(
    open_relay: Any, build: Any, fresh_redis_url: str, tmp_path: Path
) -> None:
    rolled = random.Random(3)
    recording, traffic = Recording(tmp_path), Traffic(build)
    async with open_relay(log_url=fresh_redis_url, log_bytes=1 << 16) as relay:
        await traffic.begin(relay)
        async with recording.running(relay):
            await traffic.send(100)
            await until(lambda: 100 in recording.received())
            recording.die(rolled)
        died_ns = time.time_ns()
        await traffic.send(4_000)
        await forgotten(relay, died_ns)
        async with recording.running(relay):
            await traffic.send(10)
            await until(lambda: traffic.count in recording.received())
    found = recording.found()
    assert found == sorted(set(found))
    (gap,) = [one.missing for one in read_gaps(recording.folder)]
    assert gap.reason == RECORDER_DIED
    kept = [one for one in found if one <= gap.after_sequence]
    assert kept == list(range(1, gap.after_sequence + 1))
    later = found[len(kept) :]
    assert later == list(range(later[0], traffic.count + 1))
    assert later[0] > gap.after_sequence + 1


@pytest.mark.parametrize("point", [Point("no token", 7), None])
async def test_a_place_that_the_relay_does_not_take_is_declared(
    open_relay: Any, build: Any, fresh_redis_url: str, tmp_path: Path, point: Point | None
) -> None:
    """A token that is none, or what was received before the token's own point."""
    recording, traffic = Recording(tmp_path), Traffic(build)
    async with open_relay(log_url=fresh_redis_url) as relay:
        await traffic.begin(relay)
        async with recording.running(relay):
            await traffic.send(20)
            await until(lambda: 20 in recording.received())
            await point_behind_all(recording)
        folder = Folder(recording.folder)
        state = folder.load_state()
        assert state.point.number == 20
        state.point = point or Point(state.point.resume_token, 1)
        folder.save_state(state)
        await traffic.send(5)
        async with recording.running(relay):
            await traffic.send(3)
            await until(lambda: traffic.count in recording.received())
    assert recording.found() == [*range(1, 21), 26, 27, 28]
    (gap,) = [one.missing for one in read_gaps(recording.folder)]
    assert (gap.reason, gap.after_sequence, gap.before_sequence) == (RECORDER_STOPPED, 20, 26)


async def point_behind_all(recording: Recording) -> None:
    """Until the journal has a point behind twenty events."""

    def points() -> list[int]:
        return [one.item.number for one in read_journal(recording.journal) if isinstance(one.item, Point)]

    await until(lambda: 20 in points())
