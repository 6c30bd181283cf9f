"""Frames of recorded venues decoded to records, books kept in step: events a second of processor time, against cryptofeed's and ccxt's handlers over
the same frames in the same run; and 200 instruments with books on one core.

An event is a trade, a quote, or a snapshot or update of a book that was delivered; cryptofeed's are its callbacks, ccxt's the frames that made a
handler resolve something. The floor is msgspec's JSON decoder alone over the same frames. Rounds are short and alternate, each begins anew as after a
start, and the first of each program is not counted; figures are of the median round.

cryptofeed's pins are not those of this project, so it runs in an environment of its own: CRYPTOFEED_PYTHON names its Python (`python -m venv DIR;
DIR/bin/pip install cryptofeed==2.3.2`). ccxt is fed the venues whose recorded format it still reads (`child_ccxt.py`). RECORDINGS names the folder of
recordings where it is not `../shared/recordings`.
"""

from __future__ import annotations

import gc
import json
import os
import random
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
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
NAMED_ROUNDS: Final = 7
ROUNDS: Final = 3
"""Of the other venues."""
_PATIENCE: Final = 300.0
"""Seconds that a peer may take for a round."""
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
        # As services do and as the peers do here: else each look for garbage would walk all that is held for good and empty the caches.
        gc.collect()
        gc.freeze()

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


class Peer:
    """A program that decodes a round of a venue when it is told to, in a process of its own; one start for all venues."""

    def __init__(self, name: str, python: str) -> None:
        self.name = name
        command = [python, str(HERE / f"child_{name}.py"), str(RECORDINGS)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, bufsize=1
        )

    def decode(self, venue: str) -> Decoded | None:
        """A round; None where it cannot read the venue."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        watch = threading.Timer(_PATIENCE, self._process.kill)
        watch.start()
        try:
            self._process.stdin.write(f"{venue}\n")
            line = self._process.stdout.readline()
        finally:
            watch.cancel()
        if not line:
            raise RuntimeError(f"{self.name} ended, or took more than {_PATIENCE:.0f} s for a round of {venue}")
        found = json.loads(line)
        if "error" in found:
            say(f"{self.name} does not read {venue}: {found['error']}")
            return None
        return Decoded(found["events"], found["seconds"]) if found["events"] else None

    def close(self) -> None:
        """Ends it."""
        self._process.kill()
        self._process.communicate()


@dataclass(frozen=True, slots=True)
class Compared:
    """Medians over the rounds of a venue."""

    ours: Decoded
    floor: float
    """Seconds of the JSON alone."""
    peers: dict[str, Decoded]


def measure_venue(venue: str, peers: Sequence[Peer], rounds: int) -> Compared:
    """Rounds of all that read the venue, by turns."""
    ours = Ours(venue)
    # The first round of each warms its caches: what is compared is how they decode.
    ours.decode()
    reading = [peer for peer in peers if peer.decode(venue) is not None]
    decoded: list[Decoded] = []
    floors: list[float] = []
    theirs: dict[str, list[Decoded]] = {peer.name: [] for peer in reading}
    for _ in range(rounds):
        decoded.append(ours.decode())
        floors.append(ours.parse())
        for peer in reading:
            found = peer.decode(venue)
            assert found is not None  # it could a moment ago
            theirs[peer.name].append(found)
    return Compared(
        _middle(decoded), statistics.median(floors), {name: _middle(found) for name, found in theirs.items()}
    )


def _middle(found: Sequence[Decoded]) -> Decoded:
    return Decoded(found[0].events, statistics.median(one.seconds for one in found))


def _metric(name: str, found: Compared, timed: str) -> Metric:
    ours, floor = found.ours, found.floor
    rates = {peer: one.rate for peer, one in found.peers.items()}
    return Metric(name, ours.rate, "events/s", timed, ours.events / floor, floor / ours.seconds, rates)


def overall(venues: Sequence[Compared], peer: str) -> Compared:
    """Those that a peer reads as well, one after the other."""
    both = [one for one in venues if peer in one.peers]
    ours, theirs = (
        Decoded(sum(one.events for one in which), sum(one.seconds for one in which))
        for which in ([one.ours for one in both], [one.peers[peer] for one in both])
    )
    return Compared(ours, sum(one.floor for one in both), {peer: theirs})


def recorded(options: Options) -> list[Metric]:
    """Each venue, and those together that both read."""
    if not RECORDINGS.is_dir():
        say(f"{RECORDINGS} is not there: no recorded venue is decoded")
        return []
    if not THEIR_PYTHON:
        say("CRYPTOFEED_PYTHON is not set: cryptofeed is not measured")
    metrics: list[Metric] = []
    compared: list[Compared] = []
    with ExitStack() as open_peers:
        peers = [Peer("ccxt", sys.executable)]
        if THEIR_PYTHON:
            peers.append(Peer("cryptofeed", THEIR_PYTHON))
        for peer in peers:
            open_peers.callback(peer.close)
        for venue in NAMED[:1] if options.quick else venues():
            rounds = options.pick(NAMED_ROUNDS if venue in NAMED else ROUNDS, 1)
            found = measure_venue(venue, peers, rounds)
            said = f"from frames in memory to rows, books in step, processor time, median of {rounds} rounds"
            metrics.append(_metric(venue.lower(), found, said))
            compared.append(found)
    for name, peer_name in (("overall", "cryptofeed"), ("overall_ccxt", "ccxt")):
        count = sum(peer_name in one.peers for one in compared)
        if count:
            timed = f"the {count} recorded venues that {peer_name} reads as well: all events by all seconds, so that venues weigh by their time"
            metrics.append(_metric(name, overall(compared, peer_name), timed))
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
    entries, opening, updates = _books(options.pick(20_000, 2_000), random.Random(7))
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
