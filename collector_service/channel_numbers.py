"""Numbers by which connections call their channels, as some venues tell them when a channel is subscribed to."""

from __future__ import annotations

from collections.abc import Container

from alphapulse.domain.errors import InvalidArgument


class ChannelNumbers:
    """By connection and number the channel and the symbol."""

    def __init__(self) -> None:
        self.retold = 0
        """How often a number has come to stand for something else, or for nothing: what was looked up before may be wrong."""
        self._learned: dict[tuple[int, object], tuple[str, str]] = {}

    def learn(self, connection: int, number: object, channel: str, symbol: str) -> None:
        """On this connection a number stands for a channel and a symbol from now on."""
        key, told = (connection, number), (channel, symbol)
        if self._learned.get(key, told) != told:
            self.retold += 1
        self._learned[key] = told

    def symbol(self, connection: int, number: object) -> str:
        """The symbol a number stands for. Raises InvalidArgument, rule `channel-unknown`."""
        found = self._learned.get((connection, number))
        if found is None:
            raise InvalidArgument.field(
                "channel", str(number)[:64], "channel-unknown", "a number told when it was subscribed to"
            )
        return found[1]

    def channel(self, connection: int, number: object) -> str:
        """The channel a number stands for; empty where nobody told it."""
        return self._learned.get((connection, number), ("", ""))[0]

    def last_of(self, connection: int, channel: str, spellings: Container[str]) -> object:
        """The number that a connection told last for a channel of one of these symbols; None where it told none."""
        found = (
            number
            for (at, number), (told, symbol) in reversed(self._learned.items())
            if at == connection and told == channel and symbol in spellings
        )
        return next(found, None)

    def forget(self, connection: int) -> None:
        """A connection is gone, and its numbers with it."""
        gone = [key for key in self._learned if key[0] == connection]
        for key in gone:
            del self._learned[key]
        self.retold += bool(gone)

    def clear(self) -> None:
        """All connections are gone."""
        self._learned.clear()
        self.retold += 1
