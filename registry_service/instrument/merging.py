"""Merging what is sent into what is registered, without ever overwriting what somebody else said."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from registry_service.instrument.convert import stamp, wire

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
    for name in ("rules", "fees"):
        if sent.HasField(name):
            merge = _take if own else _fill
            if merge(getattr(held, name), getattr(sent, name)):
                changed.add(name)
    if own and sent.status and sent.status != held.status:
        change_status(held, sent.status, now)
        changed.add("status")
    for name in ("valid_from", "valid_to"):
        given = sent.HasField(name)  # type: ignore[arg-type]
        there = held.HasField(name)  # type: ignore[arg-type]
        if given and ((own and getattr(sent, name) != getattr(held, name)) or not there):
            getattr(held, name).CopyFrom(getattr(sent, name))
            changed.add(name)
    if own and sent.primary and not held.primary:
        held.primary = True
        changed.add("primary")
    return frozenset(changed)


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
