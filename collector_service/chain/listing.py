"""The list of a chain: pools that were named, and those that named factories have made.

It is read whole now and again. In between a factory's log tells of a pool that was made, or the chain parts from a block that made one: then the
factory is asked about that pool alone, so that it is listed before the next block, however long the list is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from alphapulse.domain.errors import InvalidArgument
from alphapulse.domain.instruments import ListingStatus
from collector_service.chain.asking import Reader, read_chain
from collector_service.chain.calls import answers
from collector_service.chain.factories import Making, creations, questions
from collector_service.chain.pools import Factory, Pool
from collector_service.listings import VenueSymbol
from collector_service.source import Asking, InstrumentList

WHOLE_SECONDS: Final = 600.0
"""The list is read whole at least so often, whatever is announced."""


class PoolList:
    """What was read of it last."""

    def __init__(
        self,
        reader: Reader,
        pools: Sequence[Pool],
        factories: Sequence[Factory],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.creations: dict[str, Any] | None = creations(factories)
        """The filter of the logs that tell of new pools; None where no factory is named."""
        self._reader = reader
        self._pools = tuple(pools)
        self._questions = questions(factories)
        self._clock = clock
        self._made: dict[Making, Pool] = {}
        self._held: dict[str, tuple[VenueSymbol, ...]] = {}
        """The listings of each pool, by its address."""
        self._gone: dict[str, tuple[VenueSymbol, ...]] = {}
        """Those of pools that their factory does not know any more: the chain has parted from the block that made them."""
        self._announced: set[Making] = set()
        self._whole_until = float("-inf")

    def announce(self, making: Making) -> bool:
        """A factory is worth asking about one pool; whether it is one that we want to know of."""
        if making not in self._questions:
            return False
        self._announced.add(making)
        return True

    def doubt(self) -> None:
        """Logs were missed: next it is read whole."""
        self._whole_until = float("-inf")

    async def read(self, ask: Asking) -> InstrumentList:
        """The list as a whole; what is asked for it is what is new, or all. Raises as `read_chain`."""
        announced, self._announced = self._announced, set()
        is_whole = not announced or self._clock() >= self._whole_until
        try:
            refused = await self._ask(self._questions if is_whole else announced, ask)
            named = {pool.address for pool in self._pools}
            pools = {pool.address: pool for pool in self._pools}
            pools |= {pool.address: pool for pool in self._made.values() if pool.address not in named}
            fresh = [pool for pool in pools.values() if is_whole or pool.address not in self._held]
            found = await read_chain(self._reader, fresh, ask) if fresh or is_whole else InstrumentList(())
        except BaseException:
            self._announced |= announced
            raise
        read: dict[str, list[VenueSymbol]] = {}
        for entry in found.entries:
            if entry.pool is not None:
                read.setdefault(entry.pool.address, []).append(entry)
        held = {} if is_whole else self._held
        self._held = {address: tuple(read.get(address, held.get(address, ()))) for address in pools}
        self._held = {address: entries for address, entries in self._held.items() if entries}
        if is_whole:
            self._whole_until = self._clock() + WHOLE_SECONDS
        listed = [entry for entries in self._held.values() for entry in entries]
        ended = [replace(one, status=ListingStatus.DELISTED) for entries in self._gone.values() for one in entries]
        return InstrumentList((*listed, *ended), (*refused, *found.refused))

    async def _ask(self, asked: Any, ask: Asking) -> list[str]:
        """Asks the factories; a sentence for each question that was not answered, whose pool stays what it was."""
        makings = [self._questions[making] for making in self._questions if making in asked]
        refused: list[str] = []
        told = await answers([one.call for one in makings], ask)
        for one, answer in zip(makings, told, strict=True):
            try:
                pool = one.pool(answer)
            except InvalidArgument as error:
                refused.append(f"{one}: {error}")
                continue
            before = self._made.get(one.making)
            if pool is not None:
                self._made[one.making] = pool
                self._gone.pop(pool.address, None)
            elif before is not None:
                del self._made[one.making]
                if before.address in self._held:
                    self._gone[before.address] = self._held[before.address]
        return refused
