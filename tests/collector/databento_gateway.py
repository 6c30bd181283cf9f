"""A local gateway that speaks Databento's protocol (challenge and response, then records), and a source that runs against it."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from alphapulse.client import Backoff
from alphapulse.domain.provenance import Provenance
from collector_service.databento_adapter import records
from collector_service.databento_adapter.transport import DatabentoTransport, Place
from collector_service.listing_index import ListingIndex
from collector_service.listings import VenueSymbol
from collector_service.session import Session
from collector_service.sources import SOURCES

dbn = pytest.importorskip("databento_dbn", reason="databento is not installed")
KEY = "db-0123456789abcdefghijklmnopqrs"
FAST = Backoff(first=0.01, cap=0.02)
UNIT = 10**9
NOW = 1_790_000_000 * UNIT
GLBX, XNAS = SOURCES["DATABENTO_GLBX"], SOURCES["DATABENTO_XNAS"]


def definition(number: int, symbol: str, kind: str = "F", **fields: Any) -> Any:
    told = {
        "min_price_increment": UNIT // 4,
        "display_factor": UNIT,
        "asset": symbol[:2],
        "security_type": "FUT",
        "exchange": "XCME",
        "currency": "USD",
        "expiration": 1_797_604_200 * UNIT,  # 2026-12-18 14:30
        "unit_of_measure_qty": 50 * UNIT,
        **fields,
    }
    action = dbn.SecurityUpdateAction.ADD
    told |= {"instrument_class": dbn.InstrumentClass(kind), "security_update_action": action}
    return dbn.InstrumentDefMsg(1, number, NOW, NOW, raw_symbol=symbol, **told)


def mapping(number: int, symbol: str, end: int = records._NO_TIME) -> Any:
    numbered = dbn.SType.INSTRUMENT_ID
    return dbn.SymbolMappingMsg(1, number, NOW, dbn.SType.RAW_SYMBOL, symbol, numbered, symbol, NOW - 1, end)


def trade(number: int, price: int, size: int = 3, side: str = "B", **fields: Any) -> Any:
    return dbn.TradeMsg(
        1, number, NOW + 7, price, size, dbn.Action.TRADE, dbn.Side(side), 0, NOW + 9, **{"flags": 128, **fields}
    )


def level(bid: int, ask: int, bid_size: int, ask_size: int) -> Any:
    return dbn.BidAskPair(bid_px=bid, ask_px=ask, bid_sz=bid_size, ask_sz=ask_size, bid_ct=1, ask_ct=1)


def quote(number: int, one: Any, flags: int = 128) -> Any:
    return dbn.MBP1Msg(1, number, NOW + 8, one.bid_px, 1, dbn.Action.ADD, dbn.Side.BID, 0, NOW + 9, flags, levels=one)


def book(number: int, levels: list[Any], flags: int = 128) -> Any:
    nothing = level(records._NO_PRICE, records._NO_PRICE, 0, 0)
    padded = [*levels, *[nothing] * (10 - len(levels))]
    return dbn.MBP10Msg(1, number, NOW + 8, UNIT, 1, dbn.Action.ADD, dbn.Side.BID, 0, NOW + 9, flags, levels=padded)


class Gateway:
    """Signs in, takes subscriptions, replays its definitions, and says what the test says."""

    def __init__(self) -> None:
        self.definitions: list[Any] = []
        self.subscribed: list[dict[str, str]] = []
        self.streams: list[asyncio.StreamWriter] = []
        self.news = asyncio.Condition()
        self.port = 0
        self.refuses = ""
        self.drops_lists = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(b"lsg_version=0.7.0\ncram=aChallenge\n")
            request = _fields(await reader.readline())
            told = hashlib.sha256(f"aChallenge|{KEY}".encode()).hexdigest() + f"-{KEY[-5:]}"
            if request["auth"] != told or self.refuses:
                writer.write(f"success=0|error={self.refuses or 'Authentication failed.'}\n".encode())
                return
            writer.write(b"success=1|session_id=5\n")
            own: list[dict[str, str]] = []
            while line := await reader.readline():
                told_fields = _fields(line)
                if "start_session" in told_fields:
                    await self._start(own[0], request["dataset"], writer)
                else:
                    own.append(told_fields)
                    await self._notice(told_fields)
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def _start(self, first: dict[str, str], dataset: str, writer: asyncio.StreamWriter) -> None:
        writer.write(bytes(dbn.Metadata(dataset=dataset, start=NOW, stype_in=None, stype_out=dbn.SType.INSTRUMENT_ID, schema=None)))  # fmt: skip
        if first["schema"] == "definition":
            assert first["start"] == "0"
            parents = first["stype_in"] == "parent"
            for one in self.definitions:
                if (str(one.instrument_class) != "K") == parents:
                    writer.write(bytes(one))
            if self.drops_lists:
                writer.transport.abort()
                return
            writer.write(bytes(dbn.SystemMsg(NOW, "Finished definition replay", dbn.SystemCode.REPLAY_COMPLETED)))
        else:
            self.streams.append(writer)
            async with self.news:
                self.news.notify_all()

    async def _notice(self, told: dict[str, str]) -> None:
        async with self.news:
            self.subscribed.append(told)
            self.news.notify_all()

    async def until(self, connections: int, subscriptions: int) -> None:
        def there() -> bool:
            streamed = [one for one in self.subscribed if one["schema"] != "definition"]
            return len(self.streams) >= connections and len(streamed) >= subscriptions

        async with asyncio.timeout(20), self.news:
            await self.news.wait_for(there)

    def say(self, *told: Any) -> None:
        for one in told:
            self.streams[-1].write(bytes(one))


def _fields(line: bytes) -> dict[str, str]:
    return dict(part.split("=", 1) for part in line.decode().strip().split("|"))  # type: ignore[misc]


@asynccontextmanager
async def gateway() -> AsyncIterator[Gateway]:
    made = Gateway()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        for writer in made.streams:
            writer.transport.abort()
        await server.wait_closed()


def transport(made: Gateway, dataset: str, *symbols: str, key: str = KEY, **options: Any) -> DatabentoTransport:
    return DatabentoTransport(Place(dataset, key, symbols, "127.0.0.1", made.port), backoff=FAST, **options)


def session_of(entries: Iterable[VenueSymbol], source: Any = GLBX) -> Session:
    chosen = list(entries)
    listings = ListingIndex(source.venue)
    listings.learn(chosen)
    return Session(source, listings, Provenance.LIVE, subscriptions=[chosen])


class Run:
    """A session over a transport, as a runner has it."""

    def __init__(self, way: DatabentoTransport) -> None:
        self.way = way
        self.news = asyncio.Condition()
        self.session: Session
        self.task: asyncio.Task[None]

    async def __aenter__(self) -> Run:
        await self.way.__aenter__()
        self.session = session_of((await self.way.instruments(GLBX)).entries)
        self.task = asyncio.create_task(self._pump())
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        await self.way.__aexit__()

    async def _pump(self) -> None:
        async for arrival in self.way.arrivals(1):
            for request in self.session.handle(arrival):
                self.way.submit(request)
            async with self.news:
                self.news.notify_all()

    async def until(self, rows: dict[int, int]) -> None:
        async with asyncio.timeout(20), self.news:
            await self.news.wait_for(
                lambda: all(self.session.sink.rows_written.get(kind, 0) >= count for kind, count in rows.items())
            )
