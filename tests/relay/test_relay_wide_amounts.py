"""Trades of tokens of 18 digits through a relay: sizes of up to 256 bits come whole to strategies and into recordings, for whoever asks for them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from decimal import Context, Decimal
from pathlib import Path
from typing import Any

import duckdb
import polars
import pytest
from support.relay_partitions import INSTRUMENTS, PATIENCE, Homes, parts, until, ways

from alphapulse.domain.decimal import ExactDecimal
from alphapulse.domain.ids import source_id
from alphapulse.domain.provenance import Provenance, RecordFlag
from alphapulse.domain.wide import WideDecimal
from alphapulse.publishing import SplitLink
from alphapulse.recording import Recorder, read_rows
from alphapulse.records import LAYOUTS, TRADE, WIDE_AMOUNT
from alphapulse_cli.recording_session import RecordingSession
from collector_service.book import SnapshotUpdatesMachine
from collector_service.emitter import Emitter
from collector_service.listing_index import ListingIndex
from collector_service.listings import VenueSymbol
from collector_service.rows import RowSink, as_array
from strategy_sdk import (
    AmountKind,
    Event,
    EventFilter,
    EventType,
    Gap,
    Latest,
    MarketStream,
    PartitionedStream,
    Trade,
    WideAmount,
    connect,
    connect_partitions,
)

SYMBOL = "WETH-USDC"
SIZES = [*(2**bits - 1 for bits in (1, 62, 63, 64, 128, 256)), 10**30, 10**30 + 1, 2**255, 2**256, 12]
"""In smallest units, of which 10**18 are one. All but 2**256 are carried."""


def whole(size: int) -> Decimal | None:
    return Decimal(size).scaleb(-18, Context(prec=100)) if size < 2**256 else None


class Pool:
    """What a collector writes of trades."""

    def __init__(self) -> None:
        listings = ListingIndex("UNISWAP")
        listings.learn([VenueSymbol(SYMBOL, "WETH", "USDC", frozenset({"USDC"}))])
        self.sink = RowSink(source_id("UNISWAP"))
        self._out = Emitter("UNISWAP", listings, self.sink, Provenance.LIVE, SnapshotUpdatesMachine)
        self._number = 0

    @property
    def key(self) -> int:
        self.traded(1)
        (row,) = as_array(TRADE, self.sink.take()[TRADE.event_type])
        return int(row["listing_key"])

    def traded(self, *sizes: int) -> None:
        for size in sizes:
            self._number += 1
            self._out.trade(SYMBOL, (3_000, 0), (size, -18), trade_id=self._number)

    async def send(self, collector: Any) -> None:
        """As a port does: a frame a type, in the order of the sink."""
        for kind, pieces in self.sink.take().items():
            await collector.send(as_array(LAYOUTS[kind], pieces), LAYOUTS[kind])


async def read(stream: MarketStream | PartitionedStream, trades: int) -> list[Event]:
    """Until so many trades have come."""
    found: list[Event] = []
    async with asyncio.timeout(PATIENCE):
        async for one in stream:
            assert not isinstance(one, Gap), one
            found.append(one)
            if sum(isinstance(event, Trade) for event in found) == trades:
                return found
    raise AssertionError("the stream ended")


def sizes_of(events: Sequence[Event]) -> list[Decimal | None]:
    return [None if event.size is None else event.size.to_decimal() for event in events if isinstance(event, Trade)]


@pytest.mark.parametrize("over_grpc", [False, True])
async def test_sizes_are_exact_to_the_last_of_256_bits(relay: Any, build: Any, over_grpc: bool) -> None:
    pool = Pool()
    relay.define(build.listing(pool.key))
    way = {"address": relay.handle.address} if over_grpc else {"egress_socket": str(relay.config.egress_socket)}
    async with connect(**way) as stream:
        await stream.subscribe(event_types=[EventType.TRADE, EventType.WIDE_AMOUNT])
        collector = await relay.collector("UNISWAP")
        pool.traded(*SIZES)
        await pool.send(collector)
        found = await read(stream, len(SIZES))
        assert sizes_of(found) == [whole(size) for size in SIZES]
        wide = [event for event in found if isinstance(event, WideAmount)]
        held = [size for size in SIZES if 2**63 <= size < 2**256 and size != 10**30]
        assert [(one.kind, one.amount.to_decimal()) for one in wide] == [(AmountKind.SIZE, whole(one)) for one in held]
        trades = {event.trade_id: event for event in found if isinstance(event, Trade)}
        for one in wide:
            assert one.sequence < trades[one.trade_id].sequence
            assert trades[one.trade_id].has(RecordFlag.OVERSIZE)
            assert one.definition_version == trades[one.trade_id].definition_version == 1


async def test_who_asks_for_trades_alone_has_what_fits(relay: Any, build: Any) -> None:
    pool = Pool()
    relay.define(build.listing(pool.key))
    async with connect(egress_socket=str(relay.config.egress_socket)) as stream:
        await stream.subscribe(event_types=[EventType.TRADE])
        collector = await relay.collector("UNISWAP")
        pool.traded(5, 2**64 + 1, 6)
        await pool.send(collector)
        found = await read(stream, 3)
        assert [type(event) for event in found] == [Trade] * 3
        assert sizes_of(found) == [whole(5), None, whole(6)]


async def test_frames_in_any_pieces_give_the_same(relay: Any, build: Any) -> None:
    chance = random.Random(20)
    pool = Pool()
    relay.define(build.listing(pool.key))
    sizes = [chance.getrandbits(chance.randrange(1, 257)) | 1 for _ in range(2_000)]
    async with connect(egress_socket=str(relay.config.egress_socket)) as stream:
        await stream.subscribe()
        await stream.subscribe(event_types=[EventType.TRADE, EventType.WIDE_AMOUNT])  # another's amounts are its own
        collector = await relay.collector("UNISWAP")
        left = list(sizes)
        while left:
            count = chance.randrange(1, 60)
            pool.traded(*left[:count])
            del left[:count]
            await pool.send(collector)
        found = await read(stream, 2 * len(sizes))
        for subscription in stream.subscriptions:
            own = [event for event in found if event.subscription_id == subscription.id]
            assert sizes_of(own) == [whole(size) for size in sizes]
            assert [event.number for event in own] == list(range(1, len(own) + 1))


async def test_the_latest_of_each_type_is_never_another_trades_size(relay: Any, build: Any) -> None:
    pool = Pool()
    relay.define(build.listing(pool.key))
    async with connect(egress_socket=str(relay.config.egress_socket)) as stream:
        await stream.subscribe(event_types=[EventType.TRADE, EventType.WIDE_AMOUNT], contract=Latest())
        collector = await relay.collector("UNISWAP")
        pool.traded(2**70 + 1, 7, *[2**80 + number for number in range(1, 1_000, 2)])
        await pool.send(collector)
        last = 2**80 + 999
        async with asyncio.timeout(PATIENCE):
            async for event in stream:
                if isinstance(event, Trade) and event.size is not None:
                    number = event.trade_id - 2  # the pool's first trade asked for its key
                    expected = [2**70 + 1, 7, *range(2**80 + 1, 2**80 + 1_000, 2)][number]
                    assert event.size.to_decimal() == whole(expected)
                    if expected == last:
                        return


async def test_a_recording_holds_amounts_that_others_read(relay: Any, build: Any, tmp_path: Path) -> None:
    pool = Pool()
    relay.define(build.listing(pool.key))
    async with connect(egress_socket=str(relay.config.egress_socket)) as stream:
        with Recorder(tmp_path) as recorder:
            session = RecordingSession(stream, recorder, lambda missing: None)
            wanted = EventFilter(event_types=(EventType.TRADE, EventType.WIDE_AMOUNT))
            recording = asyncio.create_task(session.run(wanted))
            await until(lambda: any(tmp_path.glob("journal/*.frames")))
            collector = await relay.collector("UNISWAP")
            pool.traded(*SIZES)
            await pool.send(collector)
            await until(lambda: sum(stream.stats().events.values()) == len(SIZES) + 5)
            stream.stop()
            await recording
    files = str(tmp_path / "wide_amount" / "*" / "*.parquet")
    table = polars.read_parquet(files)
    held = [str(whole(size)) for size in SIZES if 2**63 <= size < 2**256 and size != 10**30]
    assert [Decimal(text) for text in table["amount"]] == [Decimal(text) for text in held]
    joined = duckdb.sql(
        f"SELECT t.size, w.amount FROM '{tmp_path}/trade/*/*.parquet' t LEFT JOIN '{files}' w USING (listing_key, trade_id)"
        " ORDER BY trade_id"
    ).fetchall()
    assert [
        Decimal(size if amount is None else amount) for size, amount in joined if (size, amount) != (None, None)
    ] == [whole(size) for size in SIZES if whole(size) is not None]
    rows = [rows for layout, rows in read_rows(tmp_path) if layout is WIDE_AMOUNT]
    assert sum(len(one) for one in rows) == len(held)


async def test_amounts_reach_the_relay_of_their_trade_before_it(
    open_relay: Any, build: Any, fresh_redis_url: str, socket_folder: Path
) -> None:
    open_part = parts(open_relay, build, fresh_redis_url, socket_folder)
    sockets = [str(socket_folder / f"in{index}.sock") for index in range(2)]
    live, marked = int(Provenance.LIVE), int(Provenance.LIVE | RecordFlag.OVERSIZE)
    async with open_part(0) as first, open_part(1) as second, SplitLink(sockets) as link:
        sink = RowSink(1)
        port = link.port("UNISWAP", Provenance.LIVE, sink, homes=Homes())
        async with connect_partitions(ways(first, second)) as stream:
            await stream.subscribe(event_types=[EventType.TRADE, EventType.WIDE_AMOUNT])
            await until(lambda: all(one.app.core.sources.all() for one in (first, second)))
            for key in INSTRUMENTS:
                sink.trade(key, 0, live, 7, 5, 100, 0, 0, 0)
            port.flush()
            for key in INSTRUMENTS:
                sink.wide_amount(key, 0, live, 101, 2**70 + key, -18, AmountKind.SIZE)
                sink.trade(key, 0, marked, 7, 0, 101, 0, 0, 0)
            port.flush()
            found = await read(stream, 2 * len(INSTRUMENTS))
    sizes = {(one.listing_key, one.trade_id): one.size for one in found if isinstance(one, Trade)}
    assert sizes == {
        (key, number): WideDecimal(2**70 + key, -18) if number == 101 else ExactDecimal(5)
        for key in INSTRUMENTS
        for number in (100, 101)
    }
