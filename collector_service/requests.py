"""What is said to a venue, in the words of the dialect that it speaks: subscriptions, polls, and books that are asked for again."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Final

from collector_service.emitter import Emitter
from collector_service.listings import VenueSymbol
from collector_service.source import Dialect
from collector_service.spec import Channel
from collector_service.subscriptions import place_of, spellings_of
from collector_service.transport.base import Arrival, Cease, Fetch, Request, Send

_PATIENCE_NS: Final = 10_000_000_000
"""After so long without the book that was asked for, it is asked for again."""


class Requests:
    """Makes requests; whether and when they are made is the session's to say."""

    def __init__(self, dialect: Dialect, channels: Sequence[Channel], emitter: Emitter) -> None:
        """`emitter` knows the listings, and what connections call them by."""
        self.dialect = dialect
        self._channels = channels
        self._emitter = emitter
        self._asked: dict[str, int] = {}
        """When books were asked for."""

    def subscribe(self, connection: int, entries: Sequence[VenueSymbol]) -> list[Request]:
        """To all that a connection carries."""
        says = bool(entries) or self.dialect.subscribes_always
        return self._sent(connection, self.dialect.subscribe(entries, self._channels) if says else ())

    def join(self, connection: int, fresh: Sequence[VenueSymbol], entries: Sequence[VenueSymbol]) -> list[Request]:
        """To more; `entries` is all that it carries then."""
        said = entries if self.dialect.replaces else fresh
        return self._sent(connection, (self.dialect.join or self.dialect.subscribe)(said, self._channels))

    def leave(self, connection: int, gone: Sequence[VenueSymbol], entries: Sequence[VenueSymbol]) -> list[Request]:
        """To fewer; `entries` is what it carries still."""
        if self.dialect.replaces:
            return self.join(connection, (), entries) if entries else []
        if self.dialect.leave is None:
            return []
        return self._sent(connection, self.dialect.leave(gone, self._channels, self._number_on(connection)))

    def polls(self, connection: int, entries: Sequence[VenueSymbol]) -> list[Request]:
        """What is asked for again and again."""
        return [
            Fetch(path, poll.every_s)
            for poll in self.dialect.polls
            if entries
            for path in poll.paths(entry.symbol for entry in entries)
            # One that is for no symbol is made once.
            if place_of(connection) == 0 or path != poll.path
        ]

    def cease(self, entries: Sequence[VenueSymbol]) -> list[Request]:
        """The same of symbols that nothing is asked about any more."""
        return [
            Cease(path)
            for poll in self.dialect.polls
            if "{symbol}" in poll.path
            for path in poll.paths(entry.symbol for entry in entries)
        ]

    def book(self, symbol: str, arrival: Arrival, *, is_lost: bool) -> list[Request]:
        """A book as a whole, beside the stream or over it, once in a while. One that is not lost may be on its way: a stream that opens with it is
        given its time."""
        asked = self._asked.get(symbol)
        if asked is not None and arrival.time_ns - asked < _PATIENCE_NS:
            return []
        self._asked[symbol] = arrival.time_ns
        if not is_lost and asked is None and self.dialect.snapshot is None:
            return []
        connection, entry = arrival.connection, self._emitter.listings.entry(symbol)
        if self.dialect.snapshot is not None:
            return [Fetch(self.dialect.snapshot.path(symbol, entry.extras if entry is not None else {}))]
        if entry is None:
            return []
        return self._sent(connection, self.dialect.resync(entry, self._number_on(connection)))

    def forget(self, symbols: Collection[str] | None) -> None:
        """The books of these were given, or have to be asked for as if they never were; None: those of all."""
        for symbol in list(self._asked) if symbols is None else symbols:
            self._asked.pop(symbol, None)

    def _number_on(self, connection: int) -> Callable[[str, VenueSymbol], object]:
        """What a connection calls a channel of a symbol by; None where it has not told."""
        return lambda channel, entry: self._emitter.channels.last_of(connection, channel, spellings_of(entry))

    def _sent(self, connection: int, frames: Sequence[str]) -> list[Request]:
        return [Send(connection, frame) for frame in frames]
