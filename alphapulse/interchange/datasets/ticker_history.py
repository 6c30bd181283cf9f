"""The ticker histories of QuantConnect Lean ("map files"): one file a US listing, `YYYYMMDD,ticker,exchange`.

A row says until which day, inclusive, the listing bore that ticker; the first row is its first day, 20501231 means that it is
listed still. Every span of a ticker is an assertion of its own, and each spelling a listing. The files say neither names nor
classes: an instrument is called by its file, and is an EQUITY priced in USD. Days begin at midnight UTC.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple, Self

from google.protobuf.timestamp_pb2 import Timestamp

from alphapulse.api.common.v1 import common_pb2 as common
from alphapulse.api.instrument.v1 import instrument_pb2 as wire
from alphapulse.api.instrument.v1 import instrument_service_pb2 as service
from alphapulse.domain.errors import InvalidArgument
from alphapulse.domain.violations import FieldViolation
from alphapulse.interchange.blocks import Entry
from alphapulse.interchange.sources import EntrySource, OpenSource, provenance

SOURCE: Final = "QuantConnect Lean map files"
LICENCE: Final = "Apache-2.0"
UNTOLD: Final = "US"
"""The venue of a row that names none: somewhere in the United States."""
_VENUES: Final = {"N": "XNYS", "Q": "XNAS", "P": "ARCX", "Z": "BATS", "A": "XASE", "": UNTOLD}
_STILL: Final = "20501231"
_DAY: Final = timedelta(days=1)


class Span(NamedTuple):
    """Who bore what from when (inclusive) until when (exclusive)."""

    venue: str
    ticker: str
    valid_from: datetime
    valid_to: datetime | None


@dataclass(frozen=True, slots=True)
class TickerHistory:
    """A folder of such files, or one of them."""

    path: Path
    source: str = SOURCE
    licence: str = LICENCE

    @property
    def name(self) -> str:
        """Its path."""
        return str(self.path)

    @property
    def files(self) -> Sequence[Path]:
        """The files in it, by name."""
        found = sorted(self.path.glob("*.csv")) if self.path.is_dir() else [self.path]
        if not found or not found[0].is_file():
            raise InvalidArgument.field("file", str(self.path), "file-missing", "no .csv file is there")
        return found

    def open(self) -> OpenSource:
        """Opens it."""
        return _OpenHistory(self.files, provenance(self.source, self.licence))


class _OpenHistory:
    """The files, a row of the source each."""

    notes: Sequence[str] = ()

    def __init__(self, files: Sequence[Path], source: str) -> None:
        self._files = files
        self._source = source
        self._done = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Each file is closed when it is read."""

    def entries(self, skip: int = 0) -> Iterator[Entry]:
        """An entry a file; its line is the number of the file."""
        for number, path in enumerate(self._files):
            if number < skip:
                continue
            self._done = number + 1
            try:
                body = _entry(path, self._source).SerializeToString()
            except InvalidArgument as error:
                yield Entry(number, number + 1, number + 1, b"", error.violations)
                continue
            yield Entry(number, number + 1, number + 1, body)

    def fraction(self) -> float:
        """Of the files."""
        return self._done / max(len(self._files), 1)

    def column(self, name: str) -> str:
        """They have no columns that a user would know by another name."""
        return name


def ticker_history(path: str, source: str = "", licence: str = "") -> EntrySource:
    """The folder or file at `path`."""
    return TickerHistory(Path(path), source or SOURCE, licence or LICENCE)


def spans_of(path: Path) -> list[Span]:
    """The spans of one file, in order. InvalidArgument with every row that is wrong."""
    rows: list[tuple[datetime, str, str, bool]] = []
    faults: list[FieldViolation] = []
    with path.open(newline="", encoding="utf-8") as file:
        for number, row in enumerate(csv.reader(file), 1):
            where = f"{path.name}:{number}"
            venue = _VENUES.get(row[2].strip() if len(row) > 2 else "")
            try:
                day = datetime.strptime(row[0], "%Y%m%d").replace(tzinfo=UTC)
                ticker = row[1].strip().upper()
            except (ValueError, IndexError):
                faults.append(FieldViolation(where, ",".join(row), "history-format", "YYYYMMDD,ticker,exchange"))
                continue
            if venue is None:
                known = ", ".join(filter(None, _VENUES))
                faults.append(FieldViolation(where, row[2], "exchange-unknown", f"one of {known}, or none"))
            elif rows and day < rows[-1][0]:
                faults.append(FieldViolation(where, row[0], "history-order", "the days rise"))
            else:
                rows.append((day, ticker, venue, row[0] == _STILL))
    if len(rows) < 2 and not faults:
        faults.append(FieldViolation(path.name, "", "history-format", "at least the first day and one span"))
    if faults:
        raise InvalidArgument.of(faults)
    spans: list[Span] = []
    start = rows[0][0]
    for day, ticker, venue, still in rows[1:]:
        end = None if still else day + _DAY
        if end is None or start < end:
            spans.append(Span(venue, ticker, start, end))
            start = day + _DAY
    return spans


def _entry(path: Path, source: str) -> service.InstrumentEntry:
    spans = spans_of(path)
    instrument = wire.Instrument(
        asset_class=common.ASSET_CLASS_EQUITY,
        name=path.stem.upper(),
        equity=wire.EquityDetails(currency="USD", country="US"),
        source=source,
        identifiers=[
            wire.IdentifierAssertion(
                scheme=common.IDENTIFIER_SCHEME_TICKER,
                value=span.ticker,
                level=common.IDENTIFIER_LEVEL_LISTING,
                venue=span.venue,
                valid_from=_stamp(span.valid_from),
                valid_to=_stamp(span.valid_to),
                source=source,
            )
            for span in spans
        ],
    )
    # A symbol taken again later is one listing, of its last span; the ticker's assertions tell all of them.
    last = {(span.venue, span.ticker): span for span in spans}
    return service.InstrumentEntry(instrument=instrument, listings=[_listing(span, source) for span in last.values()])


def _listing(span: Span, source: str) -> wire.Listing:
    return wire.Listing(
        venue=span.venue,
        symbol=span.ticker,
        currency="USD",
        source=source,
        status=wire.LISTING_STATUS_TRADING if span.valid_to is None else wire.LISTING_STATUS_DELISTED,
        valid_from=_stamp(span.valid_from),
        valid_to=_stamp(span.valid_to),
    )


def _stamp(moment: datetime | None) -> Timestamp | None:
    return None if moment is None else Timestamp(seconds=int(moment.timestamp()))
