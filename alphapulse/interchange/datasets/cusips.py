"""The CUSIP table of edgartools: CUSIPs of securities with the tickers they trade under in the United States.

CUSIP content is licensed, so the table is never part of this project: it is read from an installed edgartools, or from a path, when
the user asks. It says neither names nor classes, and a CUSIP alone does not tell whether an ISIN begins with US or CA. So nothing is made
of it: instruments that bear a CUSIP of the table get its ticker, and other rows are passed over and counted.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

import grpc

from alphapulse.api.common.v1 import common_pb2 as common
from alphapulse.api.instrument.v1 import instrument_pb2 as wire
from alphapulse.api.instrument.v1 import instrument_service_pb2 as service
from alphapulse.api.instrument.v1 import instrument_service_pb2_grpc
from alphapulse.client.errors import translated_errors
from alphapulse.domain.errors import InvalidArgument
from alphapulse.interchange.blocks import Block, Entry
from alphapulse.interchange.readers import open_reader
from alphapulse.interchange.sources import EntrySource, OpenSource, provenance

INSTALLED: Final = "installed"
"""In place of a path: the table of the edgartools that is installed."""
SOURCE: Final = "edgartools"
LICENCE: Final = "CUSIP content: for licensees"
COLUMNS: Final = ("Cusip", "Ticker")
_TABLE: Final = Path("reference", "data", "ct.pq")
_IDENTIFYING: Final = frozenset(
    (
        common.IDENTIFIER_SCHEME_ISIN,
        common.IDENTIFIER_SCHEME_FIGI,
        common.IDENTIFIER_SCHEME_CUSIP,
        common.IDENTIFIER_SCHEME_SEDOL,
    )
)


@dataclass(slots=True)
class CusipTable:
    """The table at a path. `prepare` asks the registry which CUSIPs it knows."""

    path: Path
    source: str = SOURCE
    licence: str = LICENCE
    _found: list[Entry] = field(default_factory=list, repr=False)
    _unknown: int = field(default=0, repr=False)

    @property
    def name(self) -> str:
        """Its path."""
        return str(self.path)

    @property
    def files(self) -> Sequence[Path]:
        """The one."""
        return (self.path,)

    async def prepare(self, channel: grpc.aio.Channel) -> None:
        """Finds the instruments of the table. InvalidArgument where it is not such a table."""
        stub = instrument_service_pb2_grpc.InstrumentServiceStub(channel)
        stated = provenance(self.source, self.licence)
        with open_reader(self.path, "parquet") as reader:
            if not set(COLUMNS) <= set(reader.columns):
                rule = f"{self.path}: expected the columns {' and '.join(COLUMNS)}, found {', '.join(reader.columns)}"
                raise InvalidArgument.field("file", str(self.path), "cusip-table-format", rule)
            for block in reader.blocks():
                values = [one or "" for one in block.columns["Cusip"]]
                request = service.BatchLookupRequest(scheme=common.IDENTIFIER_SCHEME_CUSIP, values=values)
                with translated_errors():
                    answer = await stub.BatchLookup(request)
                self._take(block, answer.results, stated)

    def open(self) -> OpenSource:
        """After `prepare`."""
        return _OpenTable(self._found, [f"{self._unknown:,} CUSIPs are not registered: passed over"])

    def _take(self, block: Block, results: Sequence[service.LookupResult], stated: str) -> None:
        for row, (ticker, result) in enumerate(zip(block.columns["Ticker"], results, strict=True)):
            if result.outcome != common.LOOKUP_OUTCOME_RESOLVED or not ticker:
                self._unknown += 1
                continue
            body = _named(result.entries[0].instrument, ticker, stated).SerializeToString()
            number = block.rows[row]
            self._found.append(Entry(number, number + 1, block.lines[row], body))


def _named(held: wire.Instrument, ticker: str, source: str) -> service.InstrumentEntry:
    """What identifies a registered instrument, with the ticker."""
    known = wire.Instrument(asset_class=held.asset_class, name=held.name, source=source)
    details = held.WhichOneof("details")
    if details is not None:
        getattr(known, details).CopyFrom(getattr(held, details))
    known.identifiers.extend(
        wire.IdentifierAssertion(scheme=one.scheme, value=one.value, level=one.level)
        for one in held.identifiers
        if one.scheme in _IDENTIFYING and not one.HasField("valid_from") and not one.HasField("valid_to")
    )
    known.identifiers.add(scheme=common.IDENTIFIER_SCHEME_TICKER, value=ticker)
    return service.InstrumentEntry(instrument=known)


class _OpenTable:
    def __init__(self, entries: Sequence[Entry], notes: Sequence[str]) -> None:
        self._entries = entries
        self._done = 0
        self.notes = notes

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is open."""

    def entries(self, skip: int = 0) -> Iterator[Entry]:
        """Those found, after the first `skip` rows of the table."""
        for at, entry in enumerate(self._entries):
            if entry.row >= skip:
                self._done = at + 1
                yield entry

    def fraction(self) -> float:
        """Of those found."""
        return self._done / max(len(self._entries), 1)

    def column(self, name: str) -> str:
        """The table's own names."""
        return {"cusip": "Cusip", "ticker": "Ticker"}.get(name, name)


def cusips(path: str = INSTALLED, source: str = "", licence: str = "") -> EntrySource:
    """The table at `path`, or that of the installed edgartools. InvalidArgument says how to install it."""
    return CusipTable(table() if path == INSTALLED else Path(path), source or SOURCE, licence or LICENCE)


def table() -> Path:
    """Where the installed edgartools keeps it."""
    spec = importlib.util.find_spec("edgar")
    folder = Path(spec.origin).parent if spec is not None and spec.origin else None
    if folder is None or not (folder / _TABLE).is_file():
        rule = "edgartools is not installed here: pip install edgartools, or give the path of its edgar/reference/data/ct.pq"
        raise InvalidArgument.field("file", INSTALLED, "package-missing", rule)
    return folder / _TABLE
