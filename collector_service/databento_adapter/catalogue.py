"""The sources that Databento's client library reads: one for each data set, since a session is of one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from alphapulse.domain.errors import FailedPrecondition
from collector_service.book import SnapshotOnlyMachine
from collector_service.databento_adapter.dialect import SCHEMAS, dialect_of
from collector_service.databento_adapter.transport import PORT, DatabentoTransport, Place
from collector_service.source import Discovery, Source
from collector_service.spec import (
    CHANNEL,
    Channel,
    Dialect,
    Endpoints,
    Heartbeat,
    Limits,
    SourceKind,
    SourceSpec,
    Subscribe,
    Verification,
)
from collector_service.transport.base import Transport

_KEY: Final = "DATABENTO_API_KEY"
_GATEWAY: Final = "DATABENTO_GATEWAY"
_ALL_SYMBOLS: Final = 1_000_000
"""A session takes all of them."""


@dataclass(frozen=True, slots=True)
class DataSet:
    """A data set, and what of it is read."""

    name: str
    id: str
    title: str
    schemas: tuple[str, ...]
    symbols: str
    """What its list is asked for where nobody says otherwise."""
    notes: tuple[str, ...] = ()


_STREAMED: Final = ("trades", "status", "mbp-1", "mbp-10")
DATA_SETS: Final = (
    DataSet(
        "DATABENTO_XNAS",
        "XNAS.ITCH",
        "Nasdaq TotalView by Databento",
        _STREAMED,
        "ALL_SYMBOLS",
        ("Shares that other exchanges list trade on Nasdaq as well: each is listed where its definition says.",),
    ),
    DataSet(
        "DATABENTO_EQUS",
        "EQUS.MINI",
        "US Equities Mini by Databento",
        ("trades", "mbp-1"),
        "ALL_SYMBOLS",
        ("The best bid and offer over several venues, without a book.",),
    ),
    DataSet(
        "DATABENTO_GLBX",
        "GLBX.MDP3",
        "CME Globex by Databento",
        _STREAMED,
        "ES.FUT,NQ.FUT,RTY.FUT,YM.FUT,CL.FUT,NG.FUT,GC.FUT,SI.FUT,HG.FUT,ZN.FUT,ZB.FUT,ZF.FUT,ZT.FUT,6E.FUT,6J.FUT,6B.FUT",
        (
            "Futures are listed at their exchange with the day they expire, and options (ES.OPT) on futures of the same list; no spreads.",
            "What a future is of is registered as an index of its exchange: the price of ES, of CL.",
            "Prices are as the exchange writes them; its display factor is not applied. One below zero is refused.",
        ),
    ),
)
NOTES: Final = (
    "Read by Databento's client library, the extra `databento`. DATABENTO_API_KEY is the key, DATABENTO_GATEWAY another host:port.",
    "NAME_SYMBOLS says what is listed: AAPL, ES.FUT, ALL_SYMBOLS.",
    "SYMBOLS of the collector chooses what is subscribed to, by symbol: AAPL, ESZ6.",
    "Quotes and books are told when an event of the exchange is complete (F_LAST), as its ten best levels a side.",
    "Lost packets (F_MAYBE_BAD_BOOK) are told as the gap MAYBE_BAD_BOOK, records that the gateway left out as RECORDS_SKIPPED.",
    "Tried against a gateway of its protocol made of the library's own records, not against Databento's.",
)


def databento_sources() -> tuple[Source, ...]:
    """A source for each data set."""
    return tuple(map(_source, DATA_SETS))


def _source(one: DataSet) -> Source:
    channels = {channel: wanted for channel, wanted in SCHEMAS.items() if any(name in one.schemas for name in wanted)}
    streamed: dict[Channel, tuple[str, ...]] = {
        channel: tuple(name for name in wanted if name in one.schemas) for channel, wanted in channels.items()
    }
    spec = SourceSpec(
        name=one.name,
        title=one.title,
        kind=SourceKind.TRADITIONAL,
        documentation="https://databento.com/docs/api-reference-live",
        read_on="2026-11-30",
        terms="For the holder of the key, under Databento's agreement and the licences of the exchanges; redistribution needs theirs.",
        verified=frozenset({Verification.ADAPTER}),
        endpoints=Endpoints(f"databento.{one.id}", ""),
        limits=Limits(_ALL_SYMBOLS, 10.0, 1.0),
        heartbeat=Heartbeat(stale_after_s=45.0),
        dialects=(Dialect(name="DBN version 3", subscribe=Subscribe(message={"schema": CHANNEL}, channels=streamed)),),
        notes=(*NOTES, *one.notes),
    )
    return Source.of(
        spec,
        (dialect_of(one.schemas),),
        Discovery(()),
        book_machine="snapshot only" if Channel.BOOKS in streamed else "",
        new_book=SnapshotOnlyMachine,
        reach=partial(_reach, one),
    )


def place_of(one: DataSet, secrets: Mapping[str, str]) -> Place:
    """Where a data set is, by the environment. Raises FailedPrecondition where it says that wrongly."""
    key = secrets.get(_KEY, "")
    if not key:
        raise FailedPrecondition(f"{one.name} needs {_KEY}: set it in the environment")
    asked = secrets.get(f"{one.name}_SYMBOLS") or one.symbols
    symbols = tuple(dict.fromkeys(filter(None, (symbol.strip() for symbol in asked.split(",")))))
    if not symbols:
        raise FailedPrecondition(f"{one.name}_SYMBOLS={asked!r}: symbols with commas between, or ALL_SYMBOLS")
    gateway = secrets.get(_GATEWAY) or f"{one.id.lower().replace('.', '-')}.lsg.databento.com:{PORT}"
    host, _, port = gateway.rpartition(":")
    if not host or not (port.isascii() and port.isdecimal() and 0 < int(port) < 65_536):
        raise FailedPrecondition(f"{_GATEWAY}={gateway!r}: host:port")
    return Place(one.id, key, symbols, host, int(port))


def _reach(one: DataSet, _: Source, secrets: Mapping[str, str]) -> Transport:
    return DatabentoTransport(place_of(one, secrets))
