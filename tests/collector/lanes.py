"""Both ways of decoding beside each other: what one gives, and what is left of it in the session."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from alphapulse.domain.provenance import Provenance
from collector_service.batching import BatchSession
from collector_service.decode import read_instruments, recording_files
from collector_service.listing_index import ListingIndex
from collector_service.sources import SOURCES
from collector_service.transport.base import Arrival
from collector_service.transport.recording import is_stream, read_recording


@dataclass(frozen=True)
class Recorded:
    """One venue's recording, read."""

    source: str
    arrivals: tuple[Arrival, ...]
    listings: ListingIndex

    def session(self, *, compiled: bool, provenance: Provenance = Provenance.REPLAY) -> BatchSession:
        session = BatchSession(SOURCES[self.source], self.listings, provenance)
        if compiled:
            session.use_compiled()
        return session


@cache
def recorded(folder: Path, source: str) -> Recorded:
    files = recording_files(folder, source)
    listings = ListingIndex(SOURCES[source].venue)
    listings.learn(read_instruments(files, source).entries)
    return Recorded(source, tuple(read_recording(filter(is_stream, files))), listings)


def one_by_one(session: BatchSession, arrivals: Sequence[Arrival]) -> list[Any]:
    """The ordinary path. Answers what has to be said."""
    return [request for arrival in arrivals for request in session.handle(arrival)]


def in_batches(session: BatchSession, arrivals: Sequence[Arrival], size: Callable[[], int]) -> list[Any]:
    """As they come, so many at once."""
    said: list[Any] = []
    at = 0
    while at < len(arrivals):
        batch = arrivals[at : at + size()]
        at += len(batch)
        done = 0
        while done < len(batch):
            count, requests = session.handle_many(batch, done)
            assert count > 0
            done += count
            said += requests
    return said


def picture(session: BatchSession) -> dict[str, Any]:
    """All that anybody can see of what a session made: rows to the byte, counters, gaps, books."""
    emitter = session.emitter
    return {
        "written": session.sink.rows_written,
        "waiting": len(session.sink),
        "rows": {kind: b"".join(rows) for kind, rows in session.sink.take().items()},
        "frames": (session.frames, session.last_frame_ns),
        "rejects": session.rejects,
        "unknown messages": session.unknown_messages,
        "unknown values": emitter.unknown_values,
        "unknown symbols": emitter.unknown_symbols,
        "venue errors": session.venue_errors,
        "resyncs": session.resyncs,
        "gaps": session.gaps,
        "updates": emitter.book_updates,
        "steps": +emitter.book_steps,
        "heard": emitter.heard,
        "last trades": emitter.last_trades,
        "books": {
            symbol: (
                machine.synced, machine.sequence, machine.depth, [*machine.book.bids], [*machine.book.asks], [*machine.held],
            )
            for symbol, machine in emitter.books.items()
        },
    }  # fmt: skip
