"""Which venue bears a MIC: the hierarchy of operators and segments, and the life cycle ISO 10383 gives."""

from __future__ import annotations

from datetime import UTC, datetime, time
from typing import Final

from alphapulse.domain.errors import ResourceExhausted
from registry_service.storage.model import EntityKind, Query, Store
from registry_service.venue import convert
from registry_service.venue.convert import common, service, wire

_PAGE: Final = 1000
MAX_SEGMENTS: Final = 10_000
"""An answer holds every segment or none: beyond this it is refused with the call that has pages."""


async def by_mic(store: Store, mic: str, at_revision: int | None) -> service.LookupMICResponse:
    """The venue and every segment below it, as of one revision; without an outcome where nobody bears the MIC.

    Raises ResourceExhausted for more segments than an answer holds.
    """
    revision = at_revision if at_revision is not None else await store.revision()
    held = await store.get(EntityKind.VENUE, [mic], revision)
    venue = wire.Venue.FromString(held[mic].body) if mic in held else None
    if venue is None or venue.mic != mic:
        return service.LookupMICResponse()
    answer = service.LookupMICResponse(venue=venue)
    if venue.mic_level == wire.MIC_LEVEL_SEGMENT:
        return answer
    below, after = Query(EntityKind.VENUE, ((f"operator:{mic}",),)), ""
    while True:
        found = await store.page(below, after_id=after, limit=_PAGE, at_revision=revision)
        answer.segments.extend(one for one in convert.venues(found) if one.code != mic)
        if len(answer.segments) > MAX_SEGMENTS:
            raise ResourceExhausted(
                f"{mic} has more than {MAX_SEGMENTS} segments, which no one answer holds",
                metadata={"mic": mic},
                hint=f"ListVenues with filter.operating_mics {mic} has pages",
            )
        if len(found) < _PAGE:
            return answer
        after = found[-1].entity_id


def outcome(venue: wire.Venue, as_of: datetime | None = None) -> common.LookupOutcome.ValueType:
    """RETIRED for a MIC out of use, NOT_FOUND for one that did not exist yet, RESOLVED otherwise.

    A date of the list begins at midnight UTC. Where the list gives no date the venue's status is all there is to tell by.
    """
    record = venue.mic_record
    expired = venue.status == wire.VENUE_STATUS_EXPIRED
    if as_of is None:
        return common.LOOKUP_OUTCOME_RETIRED if expired else common.LOOKUP_OUTCOME_RESOLVED
    created, expiry = convert.day_of(record.creation_date), convert.day_of(record.expiry_date)
    if created is not None and as_of < datetime.combine(created, time(), tzinfo=UTC):
        return common.LOOKUP_OUTCOME_NOT_FOUND
    if expiry is not None:
        gone = as_of >= datetime.combine(expiry, time(), tzinfo=UTC)
        return common.LOOKUP_OUTCOME_RETIRED if gone else common.LOOKUP_OUTCOME_RESOLVED
    return common.LOOKUP_OUTCOME_RETIRED if expired else common.LOOKUP_OUTCOME_RESOLVED
