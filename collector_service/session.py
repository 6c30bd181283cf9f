"""One source's conversation with its venue: what arrives becomes rows, and what has to be said back. No input or output of its own, so
that a live connection, a recording and a simulation take the same path.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final

import msgspec

from alphapulse.domain.ids import source_id
from alphapulse.domain.provenance import Provenance
from collector_service.emitter import Emitter
from collector_service.handover import Handover, Overlap
from collector_service.listing_index import ListingIndex
from collector_service.listings import VenueSymbol
from collector_service.refusals import REFUSALS, reason_of
from collector_service.requests import Requests
from collector_service.rows import RowSink
from collector_service.source import Dialect, Route, Source
from collector_service.spec import Channel
from collector_service.staleness import Staleness, StalenessRules
from collector_service.subscriptions import Subscriptions, first_of, partner_of, spellings_of
from collector_service.transport.base import Arrival, ArrivalKind, Request, Retire, Send
from collector_service.transport.recording import Begun

ANSWER: Final = -1
"""The connection of what was asked for beside the streams."""
_MAX_KINDS: Final = 256
ALL_CHANNELS: Final = tuple(Channel)


class Session:
    """Takes arrivals, answers with requests; rows gather in `sink`."""

    def __init__(
        self,
        spec: Source,
        listings: ListingIndex,
        provenance: Provenance,
        *,
        subscriptions: Sequence[Sequence[VenueSymbol]] = (),
        channels: Sequence[Channel] = ALL_CHANNELS,
        clock: Callable[[], int] | None = None,
        overlap: Overlap | None = None,
        staleness: StalenessRules | None = None,
    ) -> None:
        """`clock` gives the collector's time of what arrives, nanoseconds since the Unix epoch; without it, it is the arrival's own."""
        self.spec = spec
        self.sink = RowSink(source_id(spec.name))
        self.emitter = Emitter(spec.venue, listings, self.sink, provenance, spec.new_book)
        self._memory = spec.new_memory() if spec.new_memory is not None else None
        self.emitter.memory = self._memory
        self.frames = 0
        self.rejects: Counter[str] = Counter()
        """Messages refused, by reason."""
        self.unknown_messages: Counter[str] = Counter()
        """Messages of kinds this source does not know, by kind."""
        self.venue_errors: Counter[str] = Counter()
        self.resyncs = 0
        self.last_frame_ns = 0
        self.subscriptions = Subscriptions(subscriptions)
        """The symbols of each place for connections."""
        self.gaps: list[tuple[str, int]] = []
        """What was lost since it was last asked: (reason, listing key; 0: all of the source)."""
        self._clock = clock
        self._replays = provenance is Provenance.REPLAY
        self._is_placed = not self._replays
        self._begun = ""
        self._dialect = spec.live
        self._requests = Requests(spec.live, channels, self.emitter)
        self._overlap = overlap or Overlap()
        self.staleness = Staleness(staleness)
        """Which instruments are silent; nothing is said of those of a recording, whose time is not ours."""
        self._provenance = provenance
        self._retiring: set[int] = set()
        """Connections that are about to be closed, since another one gives what they gave."""

    def handle(self, arrival: Arrival) -> list[Request]:
        """Decodes one arrival; nothing it holds can raise."""
        self.sink.received_ns = arrival.time_ns if self._clock is None else self._clock()
        self.emitter.connection = arrival.connection if arrival.kind is not ArrivalKind.RESPONSE else ANSWER
        if not self._replays and self.staleness.is_due(arrival.time_ns):
            self._notice_silence(arrival.time_ns)
        if not self._is_placed:
            self._place(arrival.time_ns)
        if self.emitter.handovers:
            return [*self._take(arrival), *self._hand_over(arrival)]
        return self._take(arrival)

    @property
    def stale(self) -> list[str]:
        """The symbols that are silent while the rest of the source is not."""
        keys, listings = self.staleness.stale, self.emitter.listings
        return sorted(entry.symbol for entry in listings if listings.key(entry.symbol) in keys) if keys else []

    def _notice_silence(self, now_ns: int) -> None:
        heard, self.emitter.heard = self.emitter.heard, set()
        self.gaps += [("STALE", key) for key in self.staleness.take(heard, now_ns)]
        if self.staleness.returned:
            # Whoever was told that they are stale waits for the book as a whole.
            self.emitter.republish_books(now_ns, self.staleness.returned)

    def _take(self, arrival: Arrival) -> list[Request]:
        match arrival.kind:
            case ArrivalKind.FRAME:
                return self._frame(arrival) if arrival.connection not in self._retiring else []
            case ArrivalKind.RESPONSE:
                return self._response(arrival)
            case ArrivalKind.OPENED:
                if self._replays:
                    self._place(arrival.time_ns)
                return self._subscribe(arrival.connection)
            case ArrivalKind.CLOSED:
                self._lose(arrival.connection)
            case ArrivalKind.SUCCEEDING:
                self._announce(arrival.connection)
            case ArrivalKind.RETIRED:
                self._retire(arrival.connection)
            case ArrivalKind.FAILED:
                self.rejects["REQUEST_FAILED"] += 1
            case ArrivalKind.BROKEN:
                self.rejects["TRUNCATED_RECORDING"] += 1
            case ArrivalKind.LOST:
                self.rejects["RECORDING_LOST"] += 1
                self._doubt_books(arrival, "RECORDING_LOST")
            case ArrivalKind.BEGUN:
                self._begin(arrival)
        return []

    def _begin(self, arrival: Arrival) -> None:
        """A conversation of a recording begins: what was learned of the one before is forgotten, what was counted stays. The same one told of
        again may have other symbols."""
        told = msgspec.json.decode(arrival.data, type=Begun)
        listings = self.emitter.listings
        self.subscriptions = Subscriptions(
            [entry for symbol in symbols if (entry := listings.entry(symbol)) is not None]
            for symbols in told.connections
        )
        if told.begun == self._begun:
            return
        self._begun = told.begun
        self._place(arrival.time_ns)
        self.emitter.begin_anew()
        self._requests.forget(None)
        self._retiring.clear()
        if self.spec.new_memory is not None:
            self._memory = self.emitter.memory = self.spec.new_memory()

    def _place(self, time_ns: int) -> None:
        """Of a recording: the format that the venue spoke then."""
        self._is_placed = True
        self._dialect = self._requests.dialect = self.spec.dialect_at(time_ns)
        self.emitter.new_book = self._dialect.new_book or self.spec.new_book

    def republish_books(self, time_ns: int) -> None:
        """Writes every book as a snapshot: the relay has missed events. Notices that it may have missed come again with their feeds."""
        self.emitter.notices.doubt()
        self.sink.received_ns = time_ns
        self.emitter.republish_books(time_ns)

    def take_gaps(self) -> list[tuple[str, int]]:
        """What was lost; it is told once."""
        taken, self.gaps = self.gaps, []
        return taken

    def _lose(self, connection: int) -> None:
        """A connection is gone, and with it the books that came over it: those of a successor that is open already stay."""
        if self._memory is None:
            self.gaps.append(("RECONNECTED", 0))
        else:
            self._memory.lost()
        lost = self.subscriptions.spellings(connection)
        self.emitter.channels.forget(connection)
        self.subscriptions.closed(connection)
        self._retiring.discard(connection)
        handover = self.emitter.handovers.get(connection)
        if handover is not None:
            self.emitter.end_handover(handover, to_new=True)
            if handover.opened_ns:
                return
        # What they missed is told; that they are silent until the connection is back says nothing of them.
        keys = (self.emitter.listings.key(symbol) for symbol in (lost or ()))
        self.staleness.forget(key for key in keys if key is not None)
        self.emitter.lose_books(lost)
        self._requests.forget(lost)

    def _announce(self, connection: int) -> None:
        """A connection is about to take the place of its partner."""
        old = partner_of(connection)
        if old not in self.emitter.handovers:
            symbols = self.subscriptions.spellings(connection) or set()
            self.emitter.begin_handover(Handover(old, connection, symbols, self._overlap))

    def _hand_over(self, arrival: Arrival) -> list[Request]:
        """Lets connections go whose successors give all they gave, or had their time for it."""
        requests: list[Request] = []
        for handover in {id(one): one for one in self.emitter.handovers.values()}.values():
            is_due = handover.is_due(arrival.time_ns)
            if not is_due and (not handover.is_settled(arrival.time_ns) or self.emitter.behind(handover)):
                continue
            self._doubted(self.emitter.end_handover(handover, to_new=True))
            self._retiring.add(handover.old)
            requests.append(Retire(handover.old))
            requests += self._repair(Arrival(ArrivalKind.OPENED, arrival.time_ns, connection=handover.new))
        return requests

    def _retire(self, connection: int) -> None:
        """A connection was closed on purpose, or was no use: one that was to take another's place leaves things as they were."""
        self.emitter.channels.forget(connection)
        self.subscriptions.closed(connection)
        self._retiring.discard(connection)
        handover = self.emitter.handovers.get(connection)
        if handover is not None:
            self._doubted(self.emitter.end_handover(handover, to_new=connection == handover.old))

    def _doubted(self, symbols: Sequence[str]) -> None:
        """Books that the connection which remains has not got."""
        self.emitter.resyncs += [(symbol, "HANDED_OVER") for symbol in symbols]

    def _subscribe(self, connection: int) -> list[Request]:
        self.emitter.subscribed = self.subscriptions.of(connection)
        handover = self.emitter.handovers.get(connection)
        if handover is not None:
            handover.opened_ns = self.sink.received_ns
            self._requests.forget(self.subscriptions.spellings(connection) or ())
        polls = self._requests.polls(connection, self.subscriptions.of(connection))
        greet = self._dialect.greet
        if greet is None:
            return [*self._introduce(connection), *polls]
        return [*(Send(connection, frame) for frame in greet()), *polls]

    def _introduce(self, connection: int) -> list[Request]:
        """Subscribes to all that the connection's place has: it is open, and the venue knows who we are."""
        self.subscriptions.told(connection)
        return self._requests.subscribe(connection, self.subscriptions.of(connection))

    def join(self, place: int, entries: Sequence[VenueSymbol]) -> list[Request]:
        """More symbols for a place, which says so over its open connections; one that is not open yet subscribes to all of them then. The
        place after the last is a new one: its connection is for the transport to open."""
        self.subscriptions.join(place, entries)
        requests: list[Request] = []
        for connection in self.subscriptions.open_at(place):
            self.emitter.subscribed = self.subscriptions.of(connection)
            handover = self.emitter.handovers.get(connection)
            if handover is not None:
                handover.symbols |= {spelling for entry in entries for spelling in spellings_of(entry)}
            requests += self._requests.join(connection, entries, self.subscriptions.of(connection))
        return requests + self._requests.polls(first_of(place), entries)

    def leave(self, symbols: Collection[str]) -> list[Request]:
        """The venue is no longer asked for these symbols, where it can be told so; their books end."""
        requests: list[Request] = []
        for place, entries in self.subscriptions.leave(symbols).items():
            for connection in self.subscriptions.open_at(place):
                self.emitter.subscribed = self.subscriptions.of(connection)
                requests += self._requests.leave(connection, entries, self.subscriptions.of(connection))
            requests += self._requests.cease(entries)
            spellings = {spelling for entry in entries for spelling in spellings_of(entry)}
            keys = (self.emitter.listings.key(spelling) for spelling in spellings)
            self.staleness.forget(key for key in keys if key is not None)
            self.emitter.lose_books(spellings)
            self._requests.forget(spellings)
        return requests

    def _frame(self, arrival: Arrival) -> list[Request]:
        self.frames += 1
        self.last_frame_ns = arrival.time_ns
        dialect = self._dialect
        if dialect.parts is None:
            return self._message(arrival, arrival.data, dialect)
        try:
            parts = dialect.parts(arrival.data)
        except REFUSALS as error:
            self._refuse(error)
            self._doubt_books(arrival, "UNREADABLE_FRAME")
            return self._repair(arrival)
        return [request for part in parts for request in self._message(arrival, part, dialect)]

    def _message(self, arrival: Arrival, data: bytes, dialect: Dialect) -> list[Request]:
        kind = ""
        try:
            kind, body = dialect.split(data, self.emitter)
            route = dialect.routes.get(kind)
        except REFUSALS as error:
            self._refuse(error)
            self._doubt_books(arrival, "UNREADABLE_FRAME")
            return self._repair(arrival)
        if route is None:
            self._unrouted(kind, dialect)
            return self._introduce(arrival.connection) if kind and kind == dialect.welcome else []
        if not self._run(route, body) and kind in dialect.books:
            self._doubt_books(arrival, "UNREADABLE_UPDATE")
        self._take_losses()
        if self.emitter.replies:
            return [*self._answers(arrival.connection), *self._repair(arrival)]
        return self._repair(arrival)

    def _answers(self, connection: int) -> list[Request]:
        """What the venue asked to hear back."""
        replies, self.emitter.replies = self.emitter.replies, []
        return [Send(connection, text) for text in replies]

    def _response(self, arrival: Arrival) -> list[Request]:
        request = self._dialect.snapshot
        symbol = request.symbol(arrival.url) if request is not None else None
        if request is None or symbol is None:
            return self._polled(arrival)
        self.emitter.requested = symbol
        self._requests.forget((symbol,))
        self._run(request.route, arrival.data)
        return self._repair(arrival)

    def _polled(self, arrival: Arrival) -> list[Request]:
        for poll in self._dialect.polls:
            found = poll.form.search(arrival.url)
            if found is not None:
                self.frames += 1
                self.last_frame_ns = arrival.time_ns
                self.emitter.requested = found[1]
                self._run(poll.route, arrival.data)
                self._take_losses()
                break
        return []

    @property
    def unknown_values(self) -> Counter[str]:
        """Words of enumerations that this source does not know, as `field=word`."""
        return self.emitter.unknown_values

    def _run(self, route: Route, body: Any) -> bool:
        mark = self.sink.mark()
        if self.emitter.noted:
            self.emitter.begin()
        try:
            route.emit(route.decode(body), self.emitter)
        except REFUSALS as error:
            self._undo(mark)
            self._refuse(error)
            return False
        except TypeError as error:
            if "unhashable" not in str(error):
                raise
            # An object or a list where a number is expected: answers for numbers are remembered by the number.
            self._undo(mark)
            self.rejects["MALFORMED"] += 1
            return False
        for refused in self.emitter.refused:
            self._refuse(refused)
        return True

    def _take_losses(self) -> None:
        """What the message says is lost."""
        if self.emitter.gaps:
            self.gaps += [(reason, self.emitter.listings.key(symbol) or 0) for reason, symbol in self.emitter.gaps]
            self.emitter.gaps.clear()

    def _undo(self, mark: tuple[int, ...]) -> None:
        self.sink.undo(mark)
        self.emitter.undo()

    def _unrouted(self, kind: str, dialect: Dialect) -> None:
        if kind in dialect.silent:
            return
        counter = self.venue_errors if kind in dialect.errors else self.unknown_messages
        counter[kind if kind in counter or len(counter) < _MAX_KINDS else "(others)"] += 1

    def _refuse(self, error: Exception) -> None:
        self.rejects[reason_of(error)] += 1

    def _doubt_books(self, arrival: Arrival, reason: str) -> None:
        """A message that could not be read may have changed a book. A machine with numbers or checksums will notice; another one would go
        on with a wrong book in silence, so its books start again."""
        for symbol, machine in self.emitter.books.items():
            if not machine.notices_loss and machine.synced:
                machine.reset()
                self.emitter.resyncs.append((symbol, reason))
        handover = self.emitter.handovers.get(arrival.connection)
        for symbol, machine in handover.books.items() if handover is not None else ():
            if machine is not self.emitter.books.get(symbol) and not machine.notices_loss and machine.synced:
                machine.reset()
                self.emitter.resyncs.append((symbol, ""))

    def _repair(self, arrival: Arrival) -> list[Request]:
        """Requests for the snapshots that books wait for, each asked for once in a while."""
        wanted = self.emitter.resyncs
        if not wanted:
            return []
        requests: list[Request] = []
        for symbol, reason in wanted:
            if self.subscriptions.has_left(symbol):
                continue
            if reason:
                self.resyncs += 1
                self.gaps.append(("BOOK_RESYNC", self.emitter.listings.key(symbol) or 0))
            requests += self._requests.book(symbol, arrival, is_lost=bool(reason))
        wanted.clear()
        return requests
