"""Lists in pages: every page of a list is read at the revision of its first, so that writes in between change nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from registry_service.calls import Calls
from registry_service.instrument.convert import service
from registry_service.instrument.framing import chunk, entry, number, text
from registry_service.instrument.queries.facets import filter_query, listing_query
from registry_service.instrument.queries.filters import require_venues
from registry_service.instrument.registering.venues import VenueDirectory
from registry_service.resources import RegistryResources
from registry_service.storage.model import Entity, EntityKind


class Lists:
    """ListInstruments and ListListings; answers are serialized responses."""

    def __init__(self, resources: RegistryResources, calls: Calls, venues: VenueDirectory) -> None:
        self._store = resources.store
        self._calls = calls
        self._venues = venues

    async def instruments(self, request: service.ListInstrumentsRequest) -> bytes:
        """ListInstruments. Raises InvalidArgument, PageTokenInvalid."""
        query = filter_query(request.filter)
        await require_venues(self._venues, request.filter.venues, "filter.venues")
        page = await self._calls.page(request, query, "instruments")
        listings: Mapping[str, Sequence[Entity]] = {}
        if request.with_listings and page.entities:
            ids = [one.entity_id for one in page.entities]
            listings = await self._store.children(EntityKind.LISTING, ids, page.revision)
        entries = [chunk(1, entry(one, listings.get(one.entity_id, ()))) for one in page.entities]
        tail = text(2, page.next_token) + number(3, page.total) + text(4, self._calls.token(page.revision))
        return b"".join(entries) + tail

    async def listings(self, request: service.ListListingsRequest) -> bytes:
        """ListListings. Raises InvalidArgument, PageTokenInvalid."""
        query = listing_query(request)
        await require_venues(self._venues, request.venues, "venues")
        page = await self._calls.page(request, query, "listings")
        tail = text(2, page.next_token) + number(3, page.total) + text(4, self._calls.token(page.revision))
        return b"".join([chunk(1, one.body) for one in page.entities]) + tail
