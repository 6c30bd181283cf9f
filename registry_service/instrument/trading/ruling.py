"""GetTradingRules: the rules in force at a time, and the timeline of all that are known."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from alphapulse.domain.errors import InvalidArgument, NotFound
from alphapulse.domain.ids import ListingId
from registry_service.calls import Calls
from registry_service.instrument.convert import Findings, service, wire
from registry_service.instrument.queries.facets import require
from registry_service.instrument.registering.drafts import signed
from registry_service.instrument.trading.trading_rules import effective, in_force, timeline
from registry_service.resources import RegistryResources
from registry_service.storage.model import Entity, EntityKind


class Ruling:
    """Serves GetTradingRules; the answer is the serialized response."""

    def __init__(self, resources: RegistryResources, calls: Calls) -> None:
        self._resources = resources
        self._store = resources.store
        self._calls = calls

    async def rules(self, request: service.GetTradingRulesRequest) -> bytes:
        """GetTradingRules. Raises NotFound for a listing nobody knew at that time."""
        findings = Findings()
        as_of, known_at = findings.time(request, "as_of", ""), findings.time(request, "known_at", "")
        require(findings)
        minimum = await self._calls.fresh(request.read)
        revision = max(self._resources.feed.applied_revision, minimum)
        if known_at is not None:
            revision = await self._store.revision_at(known_at)
        listing_id, shown = await self._id(request)
        history: Sequence[Entity] = ()
        if listing_id:
            history = (await self._store.versions(EntityKind.LISTING, [listing_id], revision)).get(listing_id, ())
        if not history:
            raise NotFound(f"no listing {shown} is registered", metadata={"listing": shown})
        spans = timeline([wire.Listing.FromString(one.body) for one in history])
        messages = effective(spans)
        at = in_force(spans, as_of or datetime.now(UTC))
        return service.GetTradingRulesResponse(
            rules=messages[at] if at is not None else None,
            timeline=messages,
            listing_id=listing_id,
            revision_token=self._calls.token(revision),
        ).SerializeToString()

    async def _id(self, request: service.GetTradingRulesRequest) -> tuple[str, str]:
        """(the listing's id, what was asked for); an empty id where no listing has the key."""
        which = request.WhichOneof("listing")
        if which is None:
            raise InvalidArgument.field("listing_id", "", "required", "a listing_id or a listing_key")
        if which == "listing_id":
            wanted = ListingId.parse(request.listing_id, "listing_id").hex
            return wanted, wanted
        key = signed(request.listing_key)
        held = (await self._store.by_sort_key(EntityKind.LISTING, [key])).get(key)
        return (held.entity_id if held is not None else ""), str(request.listing_key)
