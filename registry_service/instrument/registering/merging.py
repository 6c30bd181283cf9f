"""Merging what is sent into what is registered, without ever overwriting what somebody else said."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from registry_service.instrument.convert import moment, stamp, wire
from registry_service.instrument.trading.trading_rules import announced, note_rules

FEATURES: Final = frozenset({"rules", "fees", "status"})
"""What a consumer must know of a listing: a change of one raises its definition_version."""


def add_missing(held: wire.Instrument, sent: wire.Instrument) -> bool:
    """Fills what is empty in the registered instrument: its name, its successors, fields of its details."""
    changed = False
    if sent.name and not held.name:
        held.name = sent.name
        changed = True
    if sent.successor_ids and not held.successor_ids:
        held.successor_ids.extend(sent.successor_ids)
        changed = True
    which = sent.WhichOneof("details")
    if which is not None and which == held.WhichOneof("details"):
        changed |= _fill(getattr(held, which), getattr(sent, which))
    return changed


def merge_listing(held: wire.Listing, sent: wire.Listing, source: str, now: datetime) -> frozenset[str]:
    """Merges a listing that is registered already; the names of the fields that changed.

    The source that registered the listing may change its rules, fees, status, end and primary mark; any other may only
    add what is not known yet. What is left out stays as it is.
    """
    own = held.source == source
    changed = set()
    if sent.HasField("rules") and _merge_rules(held, _by_now(held, sent, now) if own else sent.rules, own, now):
        changed.add("rules")
    if sent.upcoming_rules and (own or not held.upcoming_rules):
        coming = announced(held, sent.upcoming_rules)
        if coming != list(held.upcoming_rules):
            del held.upcoming_rules[:]
            held.upcoming_rules.extend(coming)
            changed.add("upcoming_rules")
    if sent.HasField("fees") and (_take if own else _fill)(held.fees, sent.fees):
        changed.add("fees")
    stays = _left_by_event(held) or _ended(sent, now)
    if own and sent.status and sent.status != held.status and not stays:
        change_status(held, sent.status, now)
        changed.add("status")
    for name in ("valid_from", "valid_to"):
        given = sent.HasField(name)
        there = held.HasField(name)
        if given and ((own and getattr(sent, name) != getattr(held, name)) or not there):
            getattr(held, name).CopyFrom(getattr(sent, name))
            changed.add(name)
    if own and sent.primary and not held.primary:
        held.primary = True
        changed.add("primary")
    return frozenset(changed)


def _by_now(held: wire.Listing, sent: wire.Listing, now: datetime) -> wire.TradingRules:
    """The rules that an entry says are in force. A source that sends on the entry with which it announced a change does not
    take the change back once its time has come."""
    due = [one for one in sent.upcoming_rules if moment(one.effective_from) <= now]
    if not due:
        return sent.rules
    rules = wire.TradingRules()
    rules.CopyFrom(due[-1])
    if held.rules.HasField("effective_from") and moment(held.rules.effective_from) > moment(rules.effective_from):
        rules.ClearField("effective_from")  # others have been in force since: nothing of the past is restated
    return rules


def _merge_rules(held: wire.Listing, sent: wire.TradingRules, own: bool, now: datetime) -> bool:
    """Merges the rules in force: one tick for all prices takes the place of tiers, and the other way round."""
    before = wire.TradingRules()
    before.CopyFrom(held.rules)
    rules = wire.TradingRules()
    rules.CopyFrom(sent)
    if rules.tick_tiers and held.rules.HasField("tick_size"):
        (held.rules if own else rules).ClearField("tick_size" if own else "tick_tiers")
    elif rules.HasField("tick_size") and held.rules.tick_tiers:
        (held.rules if own else rules).ClearField("tick_tiers" if own else "tick_size")
    changed = (_take if own else _fill)(held.rules, rules)
    if changed:
        note_rules(before, held, now)
    return changed


def change_status(held: wire.Listing, status: wire.ListingStatus.ValueType, now: datetime) -> None:
    """A delisting ends the listing now where no end is known; a return begins it anew without one."""
    if status == wire.LISTING_STATUS_DELISTED and not held.HasField("valid_to"):
        held.valid_to.CopyFrom(stamp(now))
    elif held.status == wire.LISTING_STATUS_DELISTED:
        held.ClearField("valid_to")
    held.status = status


def _fill(held: Any, sent: Any) -> bool:
    """Copies the fields that are set in one and not in the other."""
    known = {field.name for field, _ in held.ListFields()}
    return _copy(held, sent, lambda name: name not in known)


def _take(held: Any, sent: Any) -> bool:
    """Copies the fields that are set and differ."""
    return _copy(held, sent, lambda name: getattr(held, name) != getattr(sent, name))


def _copy(held: Any, sent: Any, wanted: Any) -> bool:
    changed = False
    for field, value in sent.ListFields():
        if not wanted(field.name):
            continue
        changed = True
        if field.is_repeated:
            held.ClearField(field.name)
            getattr(held, field.name).extend(value)
        elif field.message_type is not None:
            getattr(held, field.name).CopyFrom(value)
        else:
            setattr(held, field.name, value)
    return changed


def _left_by_event(held: wire.Listing) -> bool:
    """Whether somebody recorded, as an event, that the listing left its venue: a relisting is recorded, too, and no old entry
    sent again undoes either. A delisting that came with a status ends with the status."""
    moves = [one for one in held.events if one.WhichOneof("event") in ("delisting", "relisting")]
    left = held.status == wire.LISTING_STATUS_DELISTED and bool(moves) and moves[-1].HasField("delisting")
    return left and moves[-1].recorded_as_event


def _ended(sent: wire.Listing, now: datetime) -> bool:
    """Whether an entry says itself that the listing ended: its status follows from that, whatever it was when that was written."""
    return sent.HasField("valid_to") and moment(sent.valid_to) <= now and sent.status != wire.LISTING_STATUS_DELISTED
