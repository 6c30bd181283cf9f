"""Frames of recorded venues decoded to records, books kept in step: events a second of processor time, against cryptofeed's handlers over the same
frames in the same run; and 200 instruments with books on one core.

An event is a trade, a quote, or a snapshot or update of a book that was delivered; cryptofeed's are its callbacks. The floor is msgspec's JSON
decoder alone over the same frames. cryptofeed's pins are not those of this project, so it runs in an environment of its own: CRYPTOFEED_PYTHON names
its Python (`python -m venv DIR; DIR/bin/pip install cryptofeed==2.3.2`). RECORDINGS names the folder of recordings where it is not
`../shared/recordings`.
"""

from __future__ import annotations

import gc
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
from harness import Metric, Options, main, say

from alphapulse.domain.provenance import Provenance
from collector_service.batching import BatchSession
from collector_service.decode import read_instruments, recording_files
from collector_service.lane.kernel import load
from collector_service.listing_index import ListingIndex
from collector_service.listings import VenueSymbol
from collector_service.sources import SOURCES
from collector_service.transport.base import Arrival, ArrivalKind
from collector_service.transport.recording import is_stream, read_recording

HERE: Final = Path(__file__).resolve().parent
RECORDINGS: Final = Path(os.environ.get("RECORDINGS") or HERE.parents[1] / "shared" / "recordings")
THEIR_PYTHON: Final = os.environ.get("CRYPTOFEED_PYTHON", "")
NAMED: Final = ("BINANCE", "COINBASE", "KRAKEN")
INSTRUMENTS: Final = 200
DEPTH: Final = 500
"""Levels a side of each of the 200 books."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """What one program made of a recording."""

    events: int
    seconds: float

    @property
    def rate(self) -> float:
        """Events a second."""
        return self.events / self.seconds


def venues() -> list[str]:
    """Those of the folder."""
    return sorted({path.name.split(".")[0] for path in RECORDINGS.glob("*.ws.*.gz")} & SOURCES.keys())


class Ours:
    """The frames of one venue, read into memory, and its list."""

    def __init__(self, venue: str) -> None:
        files = recording_files(RECORDINGS, venue)
        self._spec = SOURCES[venue]
        self._listings = ListingIndex(self._spec.venue)
        self._listings.learn(read_instruments(files, venue).entries)
        self._arrivals = tuple(read_recording(filter(is_stream, files)))

    def decode(self, *, compiled: bool = True) -> Decoded:
        """A session of its own each time, as after a start."""
        session = BatchSession(self._spec, self._listings, Provenance.REPLAY)
        if compiled:
            session.use_compiled()
        seconds = _timed(lambda: _decode(session, self._arrivals))
        rows = session.sink.rows_written
        return Decoded(rows.get(1, 0) + rows.get(2, 0) + sum(session.emitter.book_updates.values()), seconds)

    def parse(self) -> float:
        """The floor: seconds for the JSON alone; frames that are packed are left packed."""
        frames = [one.data for one in self._arrivals if one.data[:1] in (b"{", b"[")]
        decode = msgspec.json.decode
        return _timed(lambda: [decode(frame) for frame in frames])


def _decode(session: BatchSession, arrivals: Sequence[Arrival]) -> None:
    done = 0
    while done < len(arrivals):
        done += session.handle_many(arrivals, done)[0]


def _timed(call: Callable[[], object]) -> float:
    gc.collect()
    begin = time.process_time()
    call()
    return time.process_time() - begin


def theirs(venue: str, rounds: int) -> Decoded | None:
    """cryptofeed, a process of its own; None where it is not there, or cannot read the venue."""
    if not THEIR_PYTHON:
        return None
    program = [THEIR_PYTHON, str(HERE / "child_cryptofeed.py"), str(RECORDINGS), venue, str(rounds)]
    done = subprocess.run(program, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        say(f"cryptofeed cannot read {venue}: {(done.stderr.splitlines() or ['?'])[-1]}")
        return None
    found = json.loads(done.stdout.splitlines()[-1])
    return Decoded(found["events"], found["seconds"]) if found["events"] else None


def measure_venue(venue: str, options: Options) -> tuple[Decoded, float, Decoded | None]:
    """(ours, the floor's seconds, theirs): medians over rounds that alternate, cryptofeed's the best of its own in each."""
    ours = Ours(venue)
    ours.decode()  # caches of both are warm: what is compared is how they decode
    rounds = options.pick(5, 1)
    decoded: list[Decoded] = []
    floors: list[float] = []
    peers: list[Decoded] = []
    for _ in range(rounds):
        decoded.append(min((ours.decode() for _ in range(options.pick(3, 1))), key=lambda one: one.seconds))
        floors.append(ours.parse())
        peer = theirs(venue, options.pick(3, 1))
        if peer is not None:
            peers.append(peer)
    middle = Decoded(decoded[0].events, statistics.median(one.seconds for one in decoded))
    found = Decoded(peers[0].events, statistics.median(one.seconds for one in peers)) if peers else None
    return middle, statistics.median(floors), found


def _metric(name: str, ours: Decoded, floor: float, peer: Decoded | None, timed: str) -> Metric:
    return Metric(
        name,
        ours.rate,
        "events/s",
        timed,
        ours.events / floor,
        floor / ours.seconds,
        {"cryptofeed": peer.rate} if peer is not None else {},
    )


def recorded(options: Options) -> list[Metric]:
    """Each venue, and those together that both read."""
    if not RECORDINGS.is_dir():
        say(f"{RECORDINGS} is not there: no recorded venue is decoded")
        return []
    if not THEIR_PYTHON:
        say("CRYPTOFEED_PYTHON is not set: ours alone is measured")
    metrics: list[Metric] = []
    shared: list[tuple[Decoded, float, Decoded]] = []
    for venue in NAMED[:1] if options.quick else venues():
        ours, floor, peer = measure_venue(venue, options)
        said = "from frames in memory to rows, books in step, processor time, median of rounds"
        metrics.append(_metric(venue.lower(), ours, floor, peer, said))
        if peer is not None:
            shared.append((ours, floor, peer))
    if shared:
        ours, peer = (
            Decoded(sum(one[place].events for one in shared), sum(one[place].seconds for one in shared))  # type: ignore[union-attr]
            for place in (0, 2)
        )
        timed = f"the {len(shared)} recorded venues that both read, one after the other: all events by all seconds"
        metrics.append(_metric("overall", ours, sum(one[1] for one in shared), peer, timed))
    return metrics


def _books(count: int, rng: random.Random) -> tuple[list[VenueSymbol], list[Arrival], list[Arrival]]:
    """(the list, snapshots, updates of three levels each), as Binance writes them."""
    entries = [VenueSymbol(f"C{n:03}USDT", f"C{n:03}", "USDT", frozenset()) for n in range(INSTRUMENTS)]
    opening: list[Arrival] = [Arrival(ArrivalKind.OPENED, 1, url="wss://local")]
    mids = [rng.randrange(50_000, 5_000_000) for _ in entries]

    def level(place: int, side: int, away: int) -> list[str]:
        size = rng.randrange(0, 9_000_000) if away < 40 and rng.random() < 0.8 else rng.randrange(1, 9_000_000)
        return [f"{(mids[place] + side * (1 + away)) / 100:.2f}", f"{size / 100_000:.5f}"]

    for place, entry in enumerate(entries):
        body = {
            "lastUpdateId": 1,
            "bids": [level(place, -1, 100 + away) for away in range(DEPTH)],
            "asks": [level(place, 1, 100 + away) for away in range(DEPTH)],
        }
        url = f"https://local/api/v3/depth?symbol={entry.symbol}&limit=1000"
        opening.append(Arrival(ArrivalKind.RESPONSE, 1, msgspec.json.encode(body), url=url))
    updates: list[Arrival] = []
    last = [1] * len(entries)
    for number in range(count):
        place = rng.randrange(len(entries))
        first, last[place] = last[place] + 1, last[place] + 3
        data = {
            "e": "depthUpdate",
            "E": 1_700_000_000_000 + number,
            "s": entries[place].symbol,
            "U": first,
            "u": last[place],
        }
        data["b"] = [level(place, -1, rng.randrange(100))]
        data["a"] = [level(place, 1, rng.randrange(100)) for _ in range(2)]
        frame = msgspec.json.encode({"stream": f"{entries[place].symbol.lower()}@depth@100ms", "data": data})
        updates.append(Arrival(ArrivalKind.FRAME, 2 + number, frame))
    return entries, opening, updates


def many_books(options: Options) -> list[Metric]:
    """200 instruments on one core: in batches, and one frame at a time; memory a book."""
    entries, opening, updates = _books(options.pick(100_000, 2_000), random.Random(7))
    spec = SOURCES["BINANCE"]
    listings = ListingIndex(spec.venue)
    listings.learn(entries)
    frames = [one.data for one in updates]
    decode = msgspec.json.decode
    floor = len(updates) / _timed(lambda: [decode(frame) for frame in frames])
    metrics: list[Metric] = []
    for name, size, compiled in (
        ("books_200", 64, True),
        ("books_200_single", 1, True),
        ("books_200_ordinary", 1, False),
    ):
        rates: list[float] = []
        for _ in range(options.pick(3, 1)):
            session = BatchSession(spec, listings, Provenance.LIVE)
            if compiled:
                session.use_compiled()
            _decode(session, opening)
            parts = [updates[at : at + size] for at in range(0, len(updates), size)]

            def run(session: BatchSession = session, parts: list[list[Arrival]] = parts) -> None:
                for part in parts:
                    _decode(session, part)
                    session.sink.take()

            rates.append(len(updates) / _timed(run))
            delivered = sum(session.emitter.book_updates.values())
            assert delivered == len(updates) + INSTRUMENTS, delivered
        rate = statistics.median(rates)
        said = f"updates of three levels to {INSTRUMENTS} books of {2 * DEPTH} levels, {size} frames at a time, processor time"
        metrics.append(Metric(name, rate, "updates/s", said, floor, rate / floor))
        if name == "books_200":
            assert session.lane is not None
            used = session.lane.shelf.bytes_used / INSTRUMENTS
            told = (
                f"bytes of the arena a book of {2 * DEPTH} levels takes, room to grow included; floor: 18 bytes a level"
            )
            metrics.append(Metric("memory_book", used, "bytes", told, 18.0 * 2 * DEPTH, used / (18.0 * 2 * DEPTH)))
    return metrics


async def measure(options: Options) -> list[Metric]:
    """All of it."""
    load()
    return [*many_books(options), *recorded(options)]


if __name__ == "__main__":
    sys.path.insert(0, str(HERE.parent))
    main("decode", measure)
