"""What one source hands to the recorder."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import msgspec

from alphapulse.domain.provenance import Provenance
from collector_service.recorder.files import ANSWERS, LISTS, day_of
from collector_service.source import InstrumentList, Source
from collector_service.spec import Channel
from collector_service.transport import lines
from collector_service.transport.base import Arrival, ArrivalKind

_NAMES: Final = {Channel.TRADES: "trades", Channel.QUOTES: "ticker", Channel.BOOKS: "l2_book"}
"""Channels as recordings call them."""
_OVERHEAD: Final = 200
"""Bytes in the queue of an arrival that has none of its own."""
_SET_BACK_NS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class RecorderFigures:
    """What became of what one source gave."""

    written: int = 0
    """Arrivals that can be read in the files."""
    lost: int = 0
    """Arrivals that are not in them, since the disk was full, slow or gone."""
    error: str = ""
    """Why nothing can be written now."""


class Entry(msgspec.Struct, frozen=True, gc=False):
    """A line to be written: of an arrival, or of something besides."""

    stem: str
    """Which file of the source: `ws.N`, ANSWERS or LISTS."""
    time_ns: int
    arrival: Arrival | None
    line: bytes = b""
    """Where there is no arrival."""
    address: str = ""
    """That of the arrival."""

    @property
    def counts(self) -> bool:
        """Whether it is an arrival: what a recorder says itself is none."""
        return self.arrival is not None and self.arrival.kind is not ArrivalKind.LOST

    def bytes(self) -> bytes:
        """The line."""
        return self.line if self.arrival is None else lines.line_of(self.arrival, self.address)


class Progress:
    """How far one source's writing is: changed by the thread that writes, read by others."""

    written = 0
    lost = 0
    failures = 0
    """How often the disk took something no more."""
    error = ""


class Queue(Protocol):
    """Where entries of a source wait to be written."""

    def put(self, entry: Entry, size: int) -> bool:
        """Lets an entry of about so many bytes wait; False where too much waits already. Does not wait itself."""
        ...


class SourceRecorder:
    """On the event loop: no method waits or raises."""

    def __init__(self, source: Source, queue: Queue, progress: Progress) -> None:
        self._name = source.name
        self._queue = queue
        self._progress = progress
        self._websocket = lines.shown(source.endpoints.websocket or source.endpoints.rest, "wss")
        self._rest = lines.shown(source.endpoints.rest, "https")
        self._addresses: dict[int, str] = {}
        self._stems: dict[int, str] = {}
        self._last_ns = 0
        self._listed: tuple[int, int, InstrumentList] | None = None
        self._provenance = Provenance.LIVE
        self._conversation: tuple[dict[str, list[str]], list[list[str]], str, int] | None = None
        self._refused = 0
        self._missing = 0
        """How many arrivals in a row found no room."""

    @property
    def figures(self) -> RecorderFigures:
        """What became of what was handed over."""
        progress = self._progress
        error = progress.error or ("the disk takes less than the source gives" if self._missing else "")
        return RecorderFigures(progress.written, progress.lost + self._refused, error)

    def arrived(self, arrival: Arrival) -> Arrival:
        """Takes an arrival, and answers it with the time that it is recorded at: no two of a source share one, so that their order can be read
        again. A clock that is set back by more than a second is believed."""
        last = self._last_ns
        if last - _SET_BACK_NS < arrival.time_ns <= last:
            arrival = Arrival(arrival.kind, last + 1, arrival.data, arrival.connection, arrival.url)
        self._last_ns = at = arrival.time_ns
        kind, number = arrival.kind, arrival.connection
        if kind is ArrivalKind.FRAME:
            entry = Entry(self._stems.get(number) or self._stem(number), at, arrival)
        elif kind is ArrivalKind.RESPONSE or kind is ArrivalKind.FAILED:
            entry = Entry(ANSWERS, at, arrival, b"", self._asked(arrival.url))
        else:
            if kind is ArrivalKind.OPENED:
                self._addresses[number] = self._opened(arrival.url)
            entry = Entry(self._stem(number), at, arrival, b"", self._addresses.get(number, self._websocket))
        size = len(arrival.data) + _OVERHEAD
        if self._missing or not self._queue.put(entry, size):
            self._refuse(entry, size)
        return arrival

    def sent(self, connection: int, text: str) -> None:
        """Takes a frame of ours, whose secrets are not filled in."""
        now = time.time_ns()
        line = lines.sent_line(self._addresses.get(connection, self._websocket), now, text)
        self._put(Entry(self._stem(connection), now, None, line))

    def listed(self, answers: Sequence[tuple[str, bytes | None, bytes, int]], found: InstrumentList) -> None:
        """Takes the answers that held a list: (path, what was posted, answer, when it came). What says the same as the list before is written once a
        day."""
        at = max((time_ns for *_, time_ns in answers), default=time.time_ns())
        # After a failure it may not stand anywhere.
        said = day_of(at), self._progress.failures, found
        if self._listed == said:
            return
        self._listed = said
        for path, body, answer, time_ns in answers:
            address = lines.posted(self._asked(path), body)
            line = lines.line_of(Arrival(ArrivalKind.RESPONSE, time_ns, answer), address)
            self._put(Entry(LISTS, at, None, line))
        self._configure(at)

    def begin(
        self,
        channels: Mapping[Channel, Sequence[str]],
        connections: Sequence[Sequence[str]],
        provenance: Provenance = Provenance.LIVE,
    ) -> None:
        """A conversation begins: the symbols of each channel, and of each connection; and whether it is with a venue or a simulated one."""
        self._provenance = provenance
        now = self._last_ns = max(time.time_ns(), self._last_ns + 1)
        self._addresses.clear()
        self._tell(channels, connections, now, now)

    def carries(self, channels: Mapping[Channel, Sequence[str]], connections: Sequence[Sequence[str]]) -> None:
        """The conversation goes on with other symbols than those it began with."""
        now = self._last_ns = max(time.time_ns(), self._last_ns + 1)
        self._tell(channels, connections, self._conversation[-1] if self._conversation is not None else now, now)

    def _tell(
        self, channels: Mapping[Channel, Sequence[str]], connections: Sequence[Sequence[str]], begun: int, now: int
    ) -> None:
        told = {_NAMES[channel]: list(symbols) for channel, symbols in channels.items()}
        self._conversation = told, [list(symbols) for symbols in connections], self._provenance.name.lower(), begun
        self._configure(now)

    def _stem(self, connection: int) -> str:
        return self._stems.setdefault(connection, f"ws.{connection}")

    def _opened(self, url: str) -> str:
        """A simulated venue has paths, and no address."""
        return lines.shown(f"{self._name}{url}", "simulated") if url.startswith("/") else lines.shown(url, "wss")

    def _asked(self, path: str) -> str:
        return lines.one_word(path if "://" in path.partition("?")[0] else f"{self._rest}{path}")

    def _configure(self, at_ns: int) -> None:
        if self._conversation is not None:
            line = lines.configuration_line(*self._conversation, at_ns)
            self._put(Entry(LISTS, at_ns, None, line))

    def _put(self, entry: Entry) -> None:
        """What is no arrival: the stream is whole without it. What is in lists is said with the next one where there is no room."""
        if not self._queue.put(entry, len(entry.line) + _OVERHEAD):
            self._listed = None

    def _refuse(self, entry: Entry, size: int) -> None:
        """An arrival for which there was no room, or that comes after such: where there is room again, it is told first what is missing."""
        if self._missing:
            # Right before what is there again: until then books may still have been in step.
            at = entry.time_ns - 1
            hole = Entry(ANSWERS, at, lines.hole(self._missing, at), b"", lines.RECORDER)
            if self._queue.put(hole, _OVERHEAD):
                self._missing = 0
                if self._queue.put(entry, size):
                    return
        self._refused += 1
        self._missing += 1
