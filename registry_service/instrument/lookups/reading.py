"""Reads of entries: one by id, collision cases."""

from __future__ import annotations

from typing import Final

from alphapulse.domain.errors import InvalidArgument, NotFound
from alphapulse.domain.ids import InstrumentId, ListingId
from registry_service.calls import Calls, page_size
from registry_service.instrument.convert import Findings, service
from registry_service.instrument.framing import chunk, text
from registry_service.instrument.lookups.entries import Entries
from registry_service.instrument.queries.facets import group, require
from registry_service.resources import RegistryResources
from registry_service.storage.model import Entity, EntityKind, Query

_CASES_AT_ONCE: Final = 1000


class Reading:
    """The reads of the slice; answers are serialized responses."""

    def __init__(self, resources: RegistryResources, calls: Calls, entries: Entries) -> None:
        self._entries = entries
        self._resources = resources
        self._store = resources.store
        self._calls = calls

    async def instrument(self, request: service.GetInstrumentRequest) -> bytes:
        """GetInstrument. Raises NotFound."""
        wanted = InstrumentId.parse(request.instrument_id, "instrument_id").hex
        findings = Findings()
        as_of, known_at = findings.time(request, "as_of", ""), findings.time(request, "known_at", "")
        require(findings)
        minimum = await self._calls.fresh(request.read)
        if as_of is None and known_at is None:
            body = (await self._entries.responses([wanted], minimum))[0]
        else:
            revision = await self._store.revision_at(known_at) if known_at is not None else self._now(minimum)
            body = await self._entries.at(wanted, revision, as_of)
        if not body:
            raise NotFound(f"no instrument {wanted} is registered", metadata={"instrument_id": wanted})
        return body

    async def listing(self, request: service.GetListingRequest) -> bytes:
        """GetListing by id or key. Raises NotFound."""
        minimum = await self._calls.fresh(request.read)
        which = request.WhichOneof("listing")
        if which is None:
            raise InvalidArgument.field("listing_id", "", "required", "a listing_id or a listing_key")
        shown = str(request.listing_key)
        key = request.listing_key
        if which == "listing_id":
            wanted = ListingId.parse(request.listing_id, "listing_id")
            shown, key = wanted.hex, wanted.key
        held = (await self._entries.listings([key], minimum)).get(key)
        found = [one for one in held.entry.listings if one.listing_key == key] if held is not None else []
        if held is None or not found or (which == "listing_id" and found[0].listing_id != shown):
            raise NotFound(f"no listing {shown} is registered", metadata={which: shown})
        response = service.GetListingResponse(
            listing=found[0], instrument=held.entry.instrument, revision_token=held.revision_token
        )
        return response.SerializeToString()

    async def cases(self, request: service.ListCollisionCasesRequest) -> bytes:
        """ListCollisionCases, newest first: cases are few, so they are sorted here."""
        size = page_size(request.page_size)
        scope = service.ListCollisionCasesRequest(
            states=request.states, kinds=request.kinds, instrument_id=request.instrument_id
        )
        filter_bytes = b"cases\0" + scope.SerializeToString(deterministic=True)
        revision, before = await self._store.revision(), 1 << 62
        if not request.page_token:
            revision = max(revision, await self._calls.fresh(request.read))
        else:
            place = self._resources.tokens.read_page(request.page_token, filter_bytes)
            revision, before = place.revision, int(place.after)
        groups = [group("state", request.states), group("kind", request.kinds)]
        if request.instrument_id:
            wanted = InstrumentId.parse(request.instrument_id, "instrument_id").hex
            groups.append((f"instrument:{wanted}",))
        query = Query(EntityKind.COLLISION_CASE, tuple([one for one in groups if one]))
        found: list[Entity] = []
        while page := await self._store.page(
            query, after_id=found[-1].entity_id if found else "", limit=_CASES_AT_ONCE, at_revision=revision
        ):
            found.extend(page)
        rest = [one for one in sorted(found, key=lambda one: -one.revision) if one.revision < before]
        shown = rest[:size]
        following = ""
        if len(rest) > size:
            after = str(shown[-1].revision)
            following = self._resources.tokens.page(filter_bytes, revision=revision, after=after)
        return b"".join([chunk(1, one.body) for one in shown]) + text(2, following)

    async def case(self, request: service.GetCollisionCaseRequest) -> bytes:
        """GetCollisionCase. Raises NotFound."""
        await self._calls.fresh(request.read)
        held = (await self._store.get(EntityKind.COLLISION_CASE, [request.case_id[:64]])).get(request.case_id)
        if held is None:
            raise NotFound(f"no collision case {request.case_id[:64]!r} was opened")
        return chunk(1, held.body)

    def _now(self, minimum: int) -> int:
        return max(self._resources.feed.applied_revision, minimum)
