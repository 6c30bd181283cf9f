"""Reads of entries: one by id, pages of many, search by name, history, collision cases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from alphapulse.domain.errors import InvalidArgument, NotFound
from alphapulse.domain.identifiers import Scheme, identifier_type
from alphapulse.domain.ids import InstrumentId, ListingId
from registry_service.calls import Calls, page_size, search_limit
from registry_service.instrument.convert import Findings, service
from registry_service.instrument.entries import Entries
from registry_service.instrument.facets import filter_query, group, require
from registry_service.instrument.framing import chunk, entry, text
from registry_service.instrument.outcomes import holds_at
from registry_service.instrument.watch import encode_change
from registry_service.resources import RegistryResources
from registry_service.storage.model import Entity, EntityKind, IdentifierKey, Query

_NAMING: Final = tuple(scheme for scheme in Scheme if scheme not in (Scheme.CFI, Scheme.MIC, Scheme.CAIP2))
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

    async def search(self, request: service.SearchInstrumentsRequest) -> bytes:
        """SearchInstruments: who bears exactly this identifier first, then names by likeness."""
        limit = search_limit(request.query, request.limit)
        query = filter_query(request.filter)
        findings = Findings()
        as_of = findings.time(request, "as_of", "")
        require(findings)
        minimum = await self._calls.fresh(request.read)
        revision = self._now(minimum)
        hits: dict[str, tuple[Entity, float, str]] = {}
        for held, why in await self._bearers(request.query.strip(), query, revision, as_of):
            hits.setdefault(held.entity_id, (held, 1.0, why))
        for match in await self._store.search(request.query, query, limit):
            why = f"name: trigram {match.score:.2f}"
            hits.setdefault(match.entity.entity_id, (match.entity, match.score, why))
        shown = list(hits.values())[:limit]
        listings: Mapping[str, Sequence[Entity]] = {}
        if shown:
            listings = await self._store.children(EntityKind.LISTING, [one[0].entity_id for one in shown], revision)
        parts = []
        for held, score, why in shown:
            head = service.SearchHit(score=score, why=why).SerializeToString()
            parts.append(chunk(1, chunk(1, entry(held, listings.get(held.entity_id, ()))) + head))
        return b"".join(parts) + text(2, self._calls.token(revision))

    async def history(self, request: service.GetInstrumentHistoryRequest) -> bytes:
        """GetInstrumentHistory, newest first. Raises NotFound for an id nobody ever had."""
        wanted = InstrumentId.parse(request.instrument_id, "instrument_id").hex
        changes, following = await self._calls.history(wanted, request.page_size, request.page_token, request.read)
        if not changes and not request.page_token:
            raise NotFound(f"no instrument {wanted} is registered", metadata={"instrument_id": wanted})
        return b"".join([chunk(1, encode_change(one)) for one in changes]) + text(2, following)

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

    async def _bearers(
        self, name: str, query: Query, revision: int, as_of: datetime | None
    ) -> list[tuple[Entity, str]]:
        """Who bears exactly this text as an identifier, among those the filter lets through."""
        keys = [IdentifierKey(int(one), identifier_type(one).normalised(name)) for one in _NAMING if _could(one, name)]
        whys: dict[str, str] = {}
        for key, rows in (await self._store.identifiers(keys, revision) if keys else {}).items():
            for row in rows:
                if as_of is None or holds_at(row, as_of):
                    whys.setdefault(row.instrument_id, f"identifier: {Scheme(key.scheme).name} {key.value}")
        if not whys:
            return []
        wanted = replace(query, ids=tuple(whys))
        found = await self._store.page(wanted, after_id="", limit=100, at_revision=revision)
        return [(one, whys[one.entity_id]) for one in found]

    def _now(self, minimum: int) -> int:
        return max(self._resources.feed.applied_revision, minimum)


def _could(scheme: Scheme, name: str) -> bool:
    return identifier_type(scheme).is_valid(name)
