"""RecordLifecycleEvent: what happened to an instrument or a listing at a time, with its whole effect as one commit.

The effective time is when it holds from, the recorded time when the registry came to know it. An event recorded late changes
what is answered for the time since it took effect, and nothing of what an earlier `known_at` answers: rows are closed and
asserted anew, and every version of an entry is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from alphapulse.domain.errors import FailedPrecondition, InvalidArgument, NotFound
from alphapulse.domain.ids import InstrumentId, ListingId
from alphapulse.domain.validation import TEXT_LENGTH
from registry_service.calls import check_etag
from registry_service.instrument.convert import Findings, service, wire
from registry_service.instrument.lifecycle.events import event_id_of, find_event
from registry_service.instrument.lifecycle.instrument_events import InstrumentEvents
from registry_service.instrument.lifecycle.listing_events import ListingEvents
from registry_service.instrument.lifecycle.moves import Changes
from registry_service.instrument.registering.holdings import Holdings
from registry_service.instrument.registering.linking import instrument
from registry_service.storage.model import EntityKind, WriteSession

REASON_LENGTH: Final = 512
_OF_LISTINGS: Final = frozenset({"symbol_change", "delisting", "relisting", "halt", "resumption"})
_FILLED: Final = ("event_id", "recorded_time", "actor", "recorded_as_event")


async def record_event(
    session: WriteSession, request: service.RecordLifecycleEventRequest
) -> tuple[wire.LifecycleEvent, Sequence[str], bool]:
    """Stages an event: (the event as kept, the instruments it changed, whether it was recorded before). Raises NotFound,
    InvalidArgument, StaleEtag, Collision, FailedPrecondition."""
    event = wire.LifecycleEvent()
    event.CopyFrom(request.event)
    at = _checked(event, session.now)
    for name in _FILLED:
        event.ClearField(name)
    holdings = Holdings(session)
    changes = Changes(holdings, request.write.actor or "anonymous", event.reason)
    listing = await _listing(session, event) if event.listing_id else None
    if listing is not None:
        if event.instrument_id not in ("", listing.instrument_id):
            rule = f"the listing is one of {listing.instrument_id}; leave it out, or give that"
            raise InvalidArgument.field("event.instrument_id", event.instrument_id, "listing-instrument", rule)
        event.instrument_id = listing.instrument_id
    if await holdings.instrument(event.instrument_id) is None:
        raise NotFound(f"no instrument {event.instrument_id} is registered")
    held = await instrument(holdings, event.instrument_id)
    entry: Any = listing if listing is not None else held
    check_etag(request.write.etag, entry.etag)
    if known := find_event(entry, event_id_of(event)):
        return known, [held.instrument_id], True
    if held.merged_into:
        raise FailedPrecondition(
            f"{held.instrument_id} was merged into {held.merged_into}", hint=f"record it of {held.merged_into}"
        )
    event.recorded_time.CopyFrom(holdings.stamp)
    event.actor, event.recorded_as_event = changes.actor, True
    await _apply(changes, held, listing, event, at)
    changes.touched.setdefault(held.instrument_id)
    return event, list(changes.touched), False


async def _apply(
    changes: Changes, held: wire.Instrument, listing: wire.Listing | None, event: wire.LifecycleEvent, at: datetime
) -> None:
    """Stages the effect of the event; its id is filled."""
    if listing is not None:
        one = ListingEvents(changes, listing, held, event, at)
        match event.WhichOneof("event"):
            case "symbol_change":
                await one.symbol_change()
            case "delisting":
                await one.delisting()
            case "relisting":
                await one.relisting()
            case "halt":
                one.halt()
            case _:
                one.resumption()
        return
    whole = InstrumentEvents(changes, held, event, at)
    match event.WhichOneof("event"):
        case "name_change":
            whole.name_change()
        case "identifier_change":
            await whole.identifier_change()
        case "merger":
            await whole.merger()
        case _:
            await whole.spin_off()


async def _listing(session: WriteSession, event: wire.LifecycleEvent) -> wire.Listing:
    held = (await session.get(EntityKind.LISTING, [event.listing_id])).get(event.listing_id)
    if held is None:
        raise NotFound(f"no listing {event.listing_id} is registered")
    return wire.Listing.FromString(held.body)


def _checked(event: wire.LifecycleEvent, now: datetime) -> datetime:
    """The effective time. InvalidArgument with everything that is wrong with the event by itself."""
    findings = Findings()
    which = event.WhichOneof("event")
    if which is None:
        findings.add("event.event", "", "required", "what happened: one of name_change, symbol_change, ...")
    at = findings.time(event, "effective_time", "event", kept=True)
    if not event.HasField("effective_time"):
        findings.add("event.effective_time", "", "required", "from when on it holds")
    elif at is not None and at > now:
        rule = f"an event is recorded when it holds, not before: up to {now.isoformat()}"
        findings.add("event.effective_time", at.isoformat(), "not-yet", rule)
    for name, value, most in (("reason", event.reason, REASON_LENGTH), ("source", event.source, TEXT_LENGTH)):
        if len(value) > most:
            findings.add(f"event.{name}", value, "text-length", f"at most {most} characters, got {len(value)}")
    _check_ids(event, which, findings)
    if findings.found or at is None:
        raise InvalidArgument.of(findings.found)
    return at


def _check_ids(event: wire.LifecycleEvent, which: str | None, findings: Findings) -> None:
    wanted = "listing_id" if which in _OF_LISTINGS else "instrument_id"
    if which is not None and not getattr(event, wanted):
        findings.add(f"event.{wanted}", "", "required", f"a {which} happens to one: give its id")
    if which is not None and wanted == "instrument_id" and event.listing_id:
        findings.add("event.listing_id", event.listing_id, "of-an-instrument", f"a {which} happens to an instrument")
    for name, kind in (("instrument_id", InstrumentId), ("listing_id", ListingId)):
        if text := getattr(event, name):
            try:
                setattr(event, name, kind.parse(text, f"event.{name}").hex)
            except InvalidArgument as error:
                findings.found.extend(error.violations)
