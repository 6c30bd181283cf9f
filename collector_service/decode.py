"""Decodes recordings without a network: for tests, and to see what a recording holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from alphapulse.domain.errors import FailedPrecondition
from alphapulse.domain.provenance import Provenance
from alphapulse.records import LAYOUTS, Rows
from collector_service.batching import BatchSession
from collector_service.book import BookMachine, Level
from collector_service.listing_index import ListingIndex
from collector_service.rows import as_array
from collector_service.session import Session
from collector_service.source import InstrumentList, Source
from collector_service.sources import source_named
from collector_service.transport.listing import recorded_instruments
from collector_service.transport.recording import (
    is_stream,
    read_recording,
    recorded_answers,
)
from collector_service.transport.recording import recording_files as recording_files

_PART: Final = 256
_WORTH_COMPILED: Final = 100_000
"""After so many frames compiled code goes on: loading it takes as long as these."""


@dataclass(frozen=True, slots=True)
class DecodeReport:
    """What recordings of one source hold."""

    source: str
    frames: int
    rows: Mapping[int, Rows]
    """The rows of each event type, in order."""
    book_updates: Mapping[str, int]
    """Snapshots and updates delivered, by symbol; a row is one level of one of them."""
    rejects: Mapping[str, int]
    unknown_messages: Mapping[str, int]
    unknown_symbols: tuple[str, ...]
    unknown_values: Mapping[str, int]
    """Words of enumerations that the source does not know, as `field=word`."""
    venue_errors: Mapping[str, int]
    """Messages in which the venue refused something, by kind."""
    resyncs: int
    books: Mapping[str, BookMachine]
    listings: ListingIndex
    refused_lines: tuple[str, ...]
    """Lines of the instrument list that could not be read."""

    def count(self, event_type: int) -> int:
        """Events of a type."""
        return len(self.rows.get(event_type, ()))

    def top_of_book(self, symbol: str) -> tuple[Level | None, Level | None]:
        """The best bid and ask at the end; None for an empty side or a book that is not in step."""
        machine = self.books.get(symbol)
        if machine is None or not machine.synced:
            return None, None
        return machine.book.bids.best(), machine.book.asks.best()


def read_instruments(files: Iterable[Path], source: str | Source) -> InstrumentList:
    """The recorded instrument list. Raises FailedPrecondition where no file holds one."""
    spec = source_named(source) if isinstance(source, str) else source
    found = recorded_instruments(spec, recorded_answers(files))
    if found is None:
        raise FailedPrecondition(f"{spec.name}: no file of the recording holds an instrument list ({spec.name}.0.gz)")
    return found


def decode_files(files: Iterable[Path], source: str | Source) -> DecodeReport:
    """Decodes the files of one source, or of one that is built in by its name. Raises NotFound for a name that is unknown."""
    spec = source_named(source) if isinstance(source, str) else source
    paths = list(files)
    listed = read_instruments(paths, spec) if not all(map(is_stream, paths)) else InstrumentList(())
    listings = ListingIndex(spec.venue)
    listings.learn(listed.entries)
    session = BatchSession(spec, listings, Provenance.REPLAY)
    arrivals = read_recording(paths)
    while part := tuple(islice(arrivals, _PART)):
        if session.frames >= _WORTH_COMPILED and session.lane is None:
            session.use_compiled()
        done = 0
        while done < len(part):
            done += session.handle_many(part, done)[0]
    return report_of(session, listed.refused)


def report_of(session: Session, refused_lines: tuple[str, ...] = ()) -> DecodeReport:
    """What a session has decoded and not handed on yet."""
    taken = session.sink.take()
    return DecodeReport(
        source=session.spec.name,
        frames=session.frames,
        rows={kind: as_array(LAYOUTS[kind], rows) for kind, rows in taken.items() if rows},
        book_updates=Counter(session.emitter.book_updates),
        rejects=Counter(session.rejects),
        unknown_messages=Counter(session.unknown_messages),
        unknown_symbols=tuple(session.emitter.unknown_symbols),
        unknown_values=Counter(session.unknown_values),
        venue_errors=Counter(session.venue_errors),
        resyncs=session.resyncs,
        books=session.emitter.books,
        listings=session.emitter.listings,
        refused_lines=refused_lines,
    )
