"""Planning writes of venues against what the registry holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from alphapulse.domain.errors import AlphaPulseError, InvalidArgument, NotFound
from registry_service.calls import apply_mask, check_etag, item_error, mask_violations
from registry_service.storage.model import EntityKind, WriteSession
from registry_service.venue import convert
from registry_service.venue.convert import service, wire
from registry_service.venue.rules import code_violation, registered_violations, venue_violations

CHANGEABLE: Final = frozenset(
    field.name
    for field in wire.Venue.DESCRIPTOR.fields
    if field.name not in {"code", "mic", "session_exceptions", *convert.SERVER_FIELDS}
)
"""Fields UpdateVenue takes. The code is the venue's name, the MIC is the code, and exceptions have RPCs of their own."""


class Registration:
    """One batch of venues, planned in order; a later one sees what an earlier one staged."""

    def __init__(self, venues: Sequence[wire.Venue], prefix: str = "venues[{at}]") -> None:
        self._venues = venues
        self._prefix = prefix

    async def plan(self, session: WriteSession) -> list[service.VenueRegistrationResult]:
        """Stages what is new. One result an item, in order; a refused one leaves nothing behind."""
        codes = list(dict.fromkeys(venue.code for venue in self._venues))
        held = await session.get(EntityKind.VENUE, codes)
        known = {code: wire.Venue.FromString(entity.body) for code, entity in held.items()}
        return [self._one(session, at, venue, known) for at, venue in enumerate(self._venues)]

    def _one(
        self, session: WriteSession, at: int, venue: wire.Venue, known: dict[str, wire.Venue]
    ) -> service.VenueRegistrationResult:
        current = known.get(venue.code)
        # A calendar that is the venue's already is no news: a package may have given it up since.
        prefix = self._prefix.format(at=at)
        broken = registered_violations(venue, prefix, current.calendar if current else "")
        if broken:
            return refused(venue.code, InvalidArgument.of(broken))
        if current is not None:
            told = convert.told_apart(current, venue, prefix)
            unchanged, exists = (
                service.VENUE_REGISTRATION_OUTCOME_UNCHANGED,
                service.VENUE_REGISTRATION_OUTCOME_EXISTS,
            )
            return service.VenueRegistrationResult(
                outcome=unchanged if told is None else exists, code=venue.code, differences=told or ()
            )
        message = stage(session, convert.registered(venue), None)
        known[venue.code] = message
        return service.VenueRegistrationResult(outcome=service.VENUE_REGISTRATION_OUTCOME_CREATED, code=venue.code)


def stage(session: WriteSession, message: wire.Venue, before: wire.Venue | None) -> wire.Venue:
    """Stages a version; gives it with the registry's own fields."""
    created = before.create_time if before is not None else None
    if before is None or before.status != message.status:
        message.status_time.CopyFrom(convert.stamp(session.now))
    for one in message.session_exceptions:
        if not one.HasField("record_time"):
            one.record_time.CopyFrom(convert.stamp(session.now))
    convert.stored(message, revision=session.next_revision(), now=session.now, created=created)
    keys = convert.cache_keys(message, *([before] if before is not None else []))
    session.put(convert.entity(message), convert.change_kind(before, message), keys)
    return message


async def current(session: WriteSession, code: str, etag: str) -> wire.Venue:
    """The venue a change is about. Raises NotFound, StaleEtag."""
    held = await session.get(EntityKind.VENUE, [code])
    if code not in held:
        raise NotFound(f"there is no venue {code!r}", metadata={"code": code})
    found = wire.Venue.FromString(held[code].body)
    check_etag(etag, found.etag)
    return found


def changed(session: WriteSession, before: wire.Venue, after: wire.Venue) -> wire.Venue:
    """Stages what a venue is from now on; nothing where nothing changes. Raises InvalidArgument."""
    violations = venue_violations(after)
    if violations:
        raise InvalidArgument.of(violations)
    return before if after == convert.content(before) else stage(session, after, before)


async def update(session: WriteSession, request: service.UpdateVenueRequest) -> wire.Venue:
    """Stages the change of the named fields; nothing where nothing changes. Raises NotFound, StaleEtag, InvalidArgument."""
    paths = list(request.update_mask.paths)
    code = code_violation(request.venue.code, "venue.code")
    broken = [*([code] if code is not None else []), *mask_violations(paths, CHANGEABLE)]
    if broken:
        raise InvalidArgument.of(broken)
    before = await current(session, request.venue.code, request.write.etag)
    after = convert.content(before)
    apply_mask(after, request.venue, paths)
    if after.status == wire.VENUE_STATUS_UNSPECIFIED:
        after.status = wire.VENUE_STATUS_ACTIVE
    if after.status != before.status:
        # The reason was that of the status before.
        after.status_reason = ""
    if after.calendar != before.calendar:
        broken = registered_violations(after, "venue", before.calendar)
        if broken:
            raise InvalidArgument.of(broken)
    return changed(session, before, after)


def refused(code: str, error: AlphaPulseError) -> service.VenueRegistrationResult:
    """The result of an item that is not registered."""
    return service.VenueRegistrationResult(
        outcome=service.VENUE_REGISTRATION_OUTCOME_REFUSED, code=code[:64], error=item_error(error)
    )
