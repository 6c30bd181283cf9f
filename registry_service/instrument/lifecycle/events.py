"""Lifecycle events as they are kept on instruments and listings: in order of effective time, each with when it was recorded.

A version of an entry holds the events known when it was written, so that an earlier `known_at` shows what was known then.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

from registry_service.instrument.convert import moment, stamp, wire
from registry_service.instrument.trading.trading_rules import next_change

MAX_EVENTS: Final = 500
"""Events kept on one entry's current version. Of more, the oldest halts and resumptions are left to earlier versions."""
_PASSING: Final = ("halt", "resumption")
_OF_STATUS: Final = ("delisting", "relisting", "halt", "resumption")
_STATUS_AFTER: Final = {
    "delisting": wire.LISTING_STATUS_DELISTED,
    "relisting": wire.LISTING_STATUS_TRADING,
    "halt": wire.LISTING_STATUS_HALTED,
    "resumption": wire.LISTING_STATUS_TRADING,
}


_STATUS_BEFORE: Final = {
    "delisting": wire.LISTING_STATUS_TRADING,
    "relisting": wire.LISTING_STATUS_DELISTED,
    "halt": wire.LISTING_STATUS_TRADING,
    "resumption": wire.LISTING_STATUS_HALTED,
}


def event_id_of(event: wire.LifecycleEvent) -> str:
    """The same for the same thing happening at the same time to the same entry, whoever says so and why."""
    plain = wire.LifecycleEvent()
    plain.CopyFrom(event)
    for name in ("event_id", "reason", "source", "recorded_time", "actor", "recorded_as_event"):
        plain.ClearField(name)
    plain.name_change.ClearField("old_name") if plain.HasField("name_change") else None
    plain.symbol_change.ClearField("old_symbol") if plain.HasField("symbol_change") else None
    return hashlib.sha256(b"event|" + plain.SerializeToString(deterministic=True)).hexdigest()[:32]


def add_event(entry: Any, event: wire.LifecycleEvent) -> None:
    """Adds an event to an instrument or listing, in its place by effective time; its id is filled here."""
    event.event_id = event_id_of(event)
    known = [one for one in entry.events if one.event_id != event.event_id]
    known.append(event)
    known.sort(key=lambda one: (one.effective_time.ToNanoseconds(), one.recorded_time.ToNanoseconds()))
    surplus = len(known) - MAX_EVENTS
    for one in [one for one in known if one.WhichOneof("event") in _PASSING][: max(surplus, 0)]:
        known.remove(one)
    del entry.events[:]
    entry.events.extend(known)


def find_event(entry: Any, event_id: str) -> wire.LifecycleEvent | None:
    """The event of an entry that has this id."""
    return next((one for one in entry.events if one.event_id == event_id), None)


def note_status(
    listing: wire.Listing,
    before: wire.ListingStatus.ValueType,
    now: datetime,
    *,
    source: str = "",
    reason: str = "",
    actor: str = "",
    recorded: bool = False,
) -> None:
    """Notes the event that a change of a listing's status is: it takes effect now, a delisting at the listing's end."""
    event = wire.LifecycleEvent(
        instrument_id=listing.instrument_id,
        listing_id=listing.listing_id,
        effective_time=stamp(now),
        recorded_time=stamp(now),
        source=source,
        reason=reason,
        actor=actor,
        recorded_as_event=recorded,
    )
    match listing.status:
        case wire.LISTING_STATUS_DELISTED:
            event.delisting.SetInParent()
            if listing.HasField("valid_to"):
                event.effective_time.CopyFrom(listing.valid_to)
        case wire.LISTING_STATUS_HALTED:
            event.halt.SetInParent()
        case _ if before == wire.LISTING_STATUS_DELISTED:
            event.relisting.SetInParent()
        case wire.LISTING_STATUS_TRADING:
            event.resumption.SetInParent()
        case _:
            return  # announced anew: nothing has happened yet
    add_event(listing, event)


def move_end(listing: wire.Listing, now: datetime) -> None:
    """The end of a delisted listing was corrected: the delisting took effect then."""
    found = [one for one in listing.events if one.HasField("delisting")]
    if not found or not listing.HasField("valid_to"):
        return
    event = wire.LifecycleEvent()
    event.CopyFrom(found[-1])
    listing.events.remove(found[-1])
    event.effective_time.CopyFrom(listing.valid_to)
    event.recorded_time.CopyFrom(stamp(now))
    add_event(listing, event)


def status_after(
    events: Iterable[wire.LifecycleEvent], status: wire.ListingStatus.ValueType
) -> wire.ListingStatus.ValueType:
    """The status that the last event of all leads to; `status` where none has one."""
    for one in events:
        status = _STATUS_AFTER.get(one.WhichOneof("event") or "", status)
    return status


def end_of(listing: wire.Listing) -> datetime | None:
    """When a listing that has not left its venue yet is to leave it; None where no end is announced."""
    if listing.status == wire.LISTING_STATUS_DELISTED or not listing.HasField("valid_to"):
        return None
    return moment(listing.valid_to)


def due_of(listing: wire.Listing) -> datetime | None:
    """When something that was announced of a listing is due next: other rules, or its end."""
    found = [one for one in (next_change(listing), end_of(listing)) if one is not None]
    return min(found, default=None)


def listed_at(listing: wire.Listing, at: datetime) -> bool:
    """Whether a listing was on its venue at a time: between its start and its end, and not between a delisting and the
    relisting that followed."""
    if listing.HasField("valid_from") and at < moment(listing.valid_from):
        return False
    if listing.HasField("valid_to") and moment(listing.valid_to) <= at:
        return False
    last = [
        one
        for one in listing.events
        if one.WhichOneof("event") in ("delisting", "relisting") and moment(one.effective_time) <= at
    ]
    return not last or last[-1].HasField("relisting")


def status_at(listing: wire.Listing, at: datetime) -> wire.ListingStatus.ValueType:
    """The status a listing had at a time, as far as events tell; without an event before that time the one before the first."""
    told = [one for one in listing.events if one.WhichOneof("event") in _OF_STATUS]
    past = [one for one in told if moment(one.effective_time) <= at]
    if past:
        return status_after(past, listing.status)
    if told:
        return _STATUS_BEFORE[told[0].WhichOneof("event") or ""]
    ended = listing.status == wire.LISTING_STATUS_DELISTED and listing.HasField("valid_to")
    return wire.LISTING_STATUS_TRADING if ended and at < moment(listing.valid_to) else listing.status


def instrument_then(held: wire.Instrument, at: datetime) -> None:
    """Makes of an instrument what it was at a time, as far as events tell: its name, and whether it had merged."""
    if not held.events:
        return
    held.name = name_at(held, at)
    later = [one for one in held.events if moment(one.effective_time) > at]
    for one in later:
        if one.HasField("merger") and one.instrument_id == held.instrument_id:
            held.status = wire.INSTRUMENT_STATUS_ACTIVE
        for other in one.merger.successor_ids:
            if other in held.successor_ids:
                held.successor_ids.remove(other)
        if one.instrument_id in held.predecessor_ids:
            held.predecessor_ids.remove(one.instrument_id)
        held.events.remove(one)


def listing_then(held: wire.Listing, at: datetime) -> None:
    """Makes of a listing what it was at a time, as far as events tell: its symbol and status."""
    held.symbol, held.status = symbol_at(held, at), status_at(held, at)
    for one in [one for one in held.events if moment(one.effective_time) > at]:
        held.events.remove(one)


def symbol_at(listing: wire.Listing, at: datetime) -> str:
    """The symbol a listing had at a time."""
    changes = [one for one in listing.events if one.HasField("symbol_change")]
    later = [one for one in changes if at < moment(one.effective_time)]
    return later[0].symbol_change.old_symbol if later else listing.symbol


def name_at(instrument: wire.Instrument, at: datetime) -> str:
    """The name an instrument had at a time."""
    changes = [one for one in instrument.events if one.HasField("name_change")]
    later = [one for one in changes if at < moment(one.effective_time)]
    return later[0].name_change.old_name if later else instrument.name
