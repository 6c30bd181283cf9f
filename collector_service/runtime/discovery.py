"""A venue's list, read again and again: what is new, changed or gone is registered, and the relay knows it before anything of it is sent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
import structlog

from alphapulse.client import Backoff
from alphapulse.domain.errors import AlphaPulseError, InvalidArgument, Unavailable
from alphapulse.domain.provenance import Provenance
from alphapulse.publishing import RelayLink, SplitLink
from collector_service.homes import ListingHomes
from collector_service.listing_index import ListingIndex
from collector_service.listings import VenueSymbol
from collector_service.runtime.news import news_of
from collector_service.runtime.portions import made_of
from collector_service.runtime.registrar import Registrar, Registration
from collector_service.source import InstrumentList, Source
from collector_service.transport.base import Transport, TransportError

_BARRIER_SECONDS: Final = 6.0
_log = structlog.stdlib.get_logger(__name__)


class Discovery:
    """What one source knows of its venue's list. It outlives the source's faults."""

    def __init__(self, source: Source, registrar: Registrar | None, link: RelayLink | SplitLink | None) -> None:
        self.listings = ListingIndex(source.venue)
        self.homes = ListingHomes(source.venue)
        """Where listings belong; known where there are several relays."""
        self.instruments: frozenset[str] = frozenset()
        """Ids of those that are in the registry because of this source."""
        self._source = source
        self._registrar = registrar
        self._link = link
        self._known: dict[str, VenueSymbol] = {}
        self._compared = False
        self._anew = False

    async def begin(self, transport: Transport, waits: Callable[[str], None]) -> None:
        """Reads the list, registers it, and waits until the relay knows it. A registry that is away is waited for, and `waits` told so. Raises
        TransportError."""
        listed, fresh = await self._read(transport)
        backoff = Backoff(first=0.2, cap=5.0)
        while True:
            try:
                await self._take(fresh)
                break
            except Unavailable as error:
                waits(f"the instrument registry is away: {error}")
                await asyncio.sleep(backoff.next())
        await self._compare(transport, listed)

    async def again(self, transport: Transport) -> bool:
        """The same later; whether there was news. Raises nothing but cancellation: a venue or registry that is away costs nothing but that."""
        try:
            listed, fresh = await self._read(transport)
            if fresh:
                await self._take(fresh)
            self._anew = False
            await self._compare(transport, listed)
            return bool(fresh)
        except AlphaPulseError as error:
            _log.warning("discovery failed", source=self._source.name, error=str(error))
        except Exception:  # the next list may be readable again; ending here would end discovery in silence
            _log.exception("discovery failed", source=self._source.name)
        return False

    def forget(self) -> None:
        """All lines of the next list are registered again: a relay says that listings are of other instruments than they were."""
        self._anew = True

    async def _read(self, transport: Transport) -> tuple[InstrumentList, Sequence[VenueSymbol]]:
        """The list, and the lines of it that are new, have changed or are gone since the last time. Raises TransportError."""
        name = self._source.name
        try:
            listed = await transport.instruments(self._source)
        except (msgspec.DecodeError, InvalidArgument) as error:
            raise TransportError(f"{name}: the instrument list cannot be read: {error}") from error
        if listed.refused:
            _log.warning("lines of the list refused", source=name, count=len(listed.refused), first=listed.refused[0])
        news = news_of(listed, self._known)
        if news.doubted:
            _doubted(name, news.doubted)
        if not self._anew:
            return listed, news.changed
        told = {entry.symbol for entry in news.changed}
        return listed, [*news.changed, *(entry for entry in listed.entries if entry.symbol not in told)]

    async def _take(self, fresh: Sequence[VenueSymbol]) -> None:
        """Registers lines, where there is a registry, and learns them. Raises Unavailable."""
        if self._registrar is None:
            await self._learn(fresh)
            return
        name = self._source.name
        done = await self._registrar.register(fresh, self._source.venue, name)
        await self._learn(fresh, done)
        _log.info("listings registered", source=name, listings=len(done.listing_ids), refused=len(done.refused))
        if done.refused:
            first, reason = next(iter(done.refused.items()))
            _log.warning("registrations refused", source=name, first=first, reason=reason)
        if self._link is None or not done.revision_token:
            return
        if not await self._link.barrier(done.revision_token, _BARRIER_SECONDS):
            _log.warning("the relay has not confirmed the listings", source=name)

    async def _learn(self, fresh: Sequence[VenueSymbol], done: Registration | None = None) -> None:
        """What is refused, or missing, stays news, so that it is tried again with the next list."""
        missing = done.missing if done is not None else frozenset()
        fresh = [entry for entry in fresh if entry.symbol not in missing] if missing else fresh
        ids = done.listing_ids if done is not None else None
        await made_of(fresh, lambda entry: self.listings.learn((entry,), ids))
        if isinstance(self._link, SplitLink):
            named = done.instrument_ids if done is not None else None
            await made_of(fresh, lambda entry: self.homes.learn((entry,), self.listings, named))
        refused = done.refused if done is not None else {}
        self._known.update({entry.symbol: entry for entry in fresh if entry.symbol not in refused})
        self.instruments |= done.instruments if done is not None else frozenset()

    async def _compare(self, transport: Transport, listed: InstrumentList) -> None:
        """Once, with a list that is whole: what left it while no collector read it is delisted in the registry. Neither a recording nor a
        simulated venue says what trades, nor does a list that is chosen here."""
        if self._registrar is None or self._compared or transport.provenance is not Provenance.LIVE or listed.refused:
            return
        discovery = self._source.discovery
        chosen_here = not discovery.requests or any(request.given is not None for request in discovery.requests)
        if discovery.ask is not None or chosen_here:
            return
        symbols = {entry.symbol for entry in listed.entries}
        try:
            ended = await self._registrar.end_unlisted(symbols, self._source.venue, self._source.name)
        except AlphaPulseError as error:
            _log.warning("the registry's listings were not compared", source=self._source.name, error=str(error))
            return
        self._compared = True
        if ended.ended:
            _log.info("listings that left the list meanwhile", source=self._source.name, count=len(ended.ended))
        if ended.doubted:
            _doubted(self._source.name, ended.doubted)


def _doubted(source: str, symbols: Sequence[str]) -> None:
    _log.warning(
        "listings are missing in the list and not taken as delisted",
        source=source,
        count=len(symbols),
        first=symbols[0],
    )
