"""Pools that are made while we listen: when the list is worth reading again."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from alphapulse.domain.errors import InvalidArgument
from collector_service.chain import abi
from collector_service.chain.factories import Created, read_creation
from collector_service.chain.listing import PoolList
from collector_service.emitter import Emitter
from collector_service.listing_index import ListingIndex

_MOST_OPEN: Final = 10_000
"""Logs that are remembered; a factory makes each pool once, so more come from a node that is out of its mind."""


class Creations:
    """What became of the logs that tell of new pools.

    A factory is asked when its log comes, long before the block of it counts, and once more when the chain has grown past that block without it: the
    block was of the chain no more, and the pool may be nobody's.
    """

    def __init__(self, pools: PoolList | None) -> None:
        """None: nobody is told, and no log is of interest."""
        self._pools = pools
        self._open: dict[Created, int] = {}
        """Those whose block does not count, with its number."""
        self._since: dict[str, int] = {}
        """The block that made a pool which is not subscribed to yet."""
        self._news = 0

    @property
    def filter(self) -> Mapping[str, Any] | None:
        """That of the logs; None where none are listened to."""
        return self._pools.creations if self._pools is not None else None

    def read(
        self, contract: str, topics: Sequence[str], data: str | None, index: int, emitter: Emitter
    ) -> Created | None:
        """What a log says; None for one that cannot be read."""
        try:
            return read_creation(contract, topics, abi.data(data), index)
        except InvalidArgument as error:
            emitter.unknown_value("log", error.violations[0].rule)
            return None

    def seen(self, created: Created, number: int) -> None:
        """A log came, most often of a block that does not count yet."""
        if created not in self._open and len(self._open) < _MOST_OPEN and self._announce(created):
            self._open[created] = number
            self._since.setdefault(created.pool, number)
            if len(self._since) > _MOST_OPEN:
                del self._since[next(iter(self._since))]

    def told(self, items: Iterable[Created], listings: ListingIndex) -> None:
        """The block of these counts. A factory that knew nothing of a pool when it was asked is asked again."""
        for created in items:
            self._open.pop(created, None)
            if listings.entry(created.pool) is None:
                self._announce(created)

    def withdrawn(self, items: Iterable[Created], number: int) -> None:
        """The block of these, with this number, counts no longer: they may come again in the one that takes its place."""
        for created in items:
            self._open.setdefault(created, number)

    def counted(self, number: int) -> None:
        """All blocks up to this one count."""
        for created in [one for one, at in self._open.items() if at <= number]:
            del self._open[created]
            self._announce(created)

    def missed(self) -> None:
        """Blocks went by that nobody tells of."""
        self._open.clear()
        if self._pools is not None and self.filter is not None:
            self._pools.doubt()
            self._news += 1

    def made(self, symbols: Collection[str]) -> dict[str, int]:
        """Those of these symbols, which are subscribed to now, that were seen being made, with the block's number."""
        return {symbol: self._since.pop(symbol) for symbol in symbols if symbol in self._since}

    def take(self) -> int:
        """How often the list became worth reading since this was asked."""
        news, self._news = self._news, 0
        return news

    def _announce(self, created: Created) -> bool:
        if self._pools is None or not self._pools.announce(created.making):
            return False
        self._news += 1
        return True
