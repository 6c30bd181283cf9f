"""A small TWS that speaks the wire protocol of Interactive Brokers, field by field, and a source that runs against it."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from alphapulse.client import Backoff
from alphapulse.domain.provenance import Provenance
from collector_service.listing_index import ListingIndex
from collector_service.session import Session
from collector_service.sources import SOURCES
from collector_service.spec import Channel
from collector_service.tws_adapter import contracts
from collector_service.tws_adapter.transport import Place, TwsTransport

ib_client = pytest.importorskip("ib_async.client", reason="ib_async is not installed")
SOURCE = SOURCES["INTERACTIVE_BROKERS"]
FAST = Backoff(first=0.01, cap=0.02)
NOW = 1_790_000_000 * 10**9
VERSION = 178


def details(request: str, symbol: str, kind: str, **told: str) -> list[str]:
    """A message of kind 10 as TWS 178 sends it."""
    one = {
        "times": "", "exchange": "SMART", "currency": "USD", "local": symbol, "class": symbol, "con_id": "1", "tick": "0.01",
        "multiplier": "", "magnifier": "1", "name": symbol, "primary": "", "stock": "", "identifiers": "", **told,
    }  # fmt: skip
    pairs = [part for pair in one["identifiers"].split() for part in pair.split("=")]
    return [
        "10", request, symbol, kind, one["times"], "0", "", one["exchange"], one["currency"], one["local"], one["local"], one["class"],
        one["con_id"], one["tick"], one["multiplier"], "LMT,MKT", "SMART", one["magnifier"], "0", one["name"], one["primary"], "202612",
        "Technology", "Computers", "Computers", "US/Eastern", "20261218:0930-1600", "20261218:0930-1600", "", "0",
        str(len(pairs) // 2), *pairs, "1", "", "", "26", one["times"][:8], one["stock"], "1", "1", "100",
    ]  # fmt: skip


APPLE = {
    "con_id": "265598", "name": "APPLE INC", "primary": "NASDAQ", "stock": "COMMON", "identifiers": "ISIN=US0378331005",
}  # fmt: skip
ES = {
    "con_id": "495512563", "local": "ESZ6", "class": "ES", "exchange": "CME", "times": "20261218 08:30 US/Central", "tick": "0.25",
    "multiplier": "50", "name": "E-mini S&P 500",
}  # fmt: skip


class Tws:
    """Signs clients in, answers requests for details, remembers the others, and says what the test says."""

    def __init__(self) -> None:
        self.port = 0
        self.version = VERSION
        self.asked: list[list[str]] = []
        self.streams: list[asyncio.StreamWriter] = []
        self.clients: list[str] = []
        self.news = asyncio.Condition()
        self.known: dict[str, Callable[[str], list[list[str]]]] = {
            "AAPL": lambda request: [details(request, "AAPL", "STK", **APPLE)],
            "ESZ6": lambda request: [details(request, "ES", "FUT", **ES)],
        }
        self.refuses = ""
        self.mute = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            assert await reader.readexactly(4) == b"API\0"
            versions = await _message(reader)
            assert versions == ["v157..178"], versions
            _write(writer, str(self.version), "20261130 17:00:00 UTC")
            while True:
                await self._answer(await _message(reader), writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, fields: list[str], writer: asyncio.StreamWriter) -> None:
        kind = fields[0]
        if kind == "71":
            self.clients.append(fields[2])
            if self.refuses:
                _write(writer, "4", "2", "-1", "326", self.refuses, "")
                writer.close()
                return
            _write(writer, "15", "1", "DU1")
            _write(writer, "9", "1", "1")
            self.streams.append(writer)
            return
        if kind == "9":
            name = fields[4] if fields[5] == "STK" else fields[13]
            answers = self.known.get(name)
            if answers is None:
                _write(writer, "4", "2", fields[2], "200", "No security definition has been found for the request", "")
                return
            for answer in answers(fields[2]):
                _write(writer, *answer)
            _write(writer, "52", "1", fields[2])
            return
        if kind == "49" and not self.mute:
            _write(writer, "49", "1", "1790000000")
        async with self.news:
            self.asked.append(fields)
            self.news.notify_all()

    async def until(self, holds: Callable[[], Any]) -> None:
        async with asyncio.timeout(20), self.news:
            await self.news.wait_for(holds)

    def requests(self, kind: str) -> list[list[str]]:
        return [one for one in self.asked if one[0] == kind]

    def say(self, *messages: tuple[object, ...]) -> None:
        for message in messages:
            _write(self.streams[-1], *map(str, message))


async def _message(reader: asyncio.StreamReader) -> list[str]:
    (size,) = struct.unpack(">I", await reader.readexactly(4))
    return (await reader.readexactly(size)).decode().rstrip("\0").split("\0")


def _write(writer: asyncio.StreamWriter, *fields: str) -> None:
    body = "".join(f"{field}\0" for field in fields).encode()
    writer.write(struct.pack(">I", len(body)) + body)


@asynccontextmanager
async def tws() -> AsyncIterator[Tws]:
    made = Tws()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        for writer in made.streams:
            writer.transport.abort()
        await server.wait_closed()


def transport(made: Tws, wanted: str = "AAPL:SMART:USD,ESZ6:CME", **options: Any) -> TwsTransport:
    place = Place("127.0.0.1", made.port, 10, contracts.read_wanted(wanted))
    return TwsTransport(place, backoff=FAST, **{"settle_seconds": 0.01, **options})


class Run:
    """A session over a transport, as a runner has it."""

    def __init__(self, way: TwsTransport, *channels: Channel) -> None:
        self.way, self.channels = way, channels
        self.news = asyncio.Condition()
        self.session: Session
        self.task: asyncio.Task[None]

    async def __aenter__(self) -> Run:
        await self.way.__aenter__()
        entries = (await self.way.instruments(SOURCE)).entries
        listings = ListingIndex(SOURCE.venue)
        listings.learn(entries)
        self.session = Session(SOURCE, listings, Provenance.LIVE, subscriptions=[entries], channels=self.channels)
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

    async def until(self, holds: Callable[[], Any]) -> None:
        async with asyncio.timeout(20), self.news:
            await self.news.wait_for(holds)
