"""What of an entry was valid at a time: as_of means the same wherever an entry is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from registry_service.instrument.convert import moment, wire
from registry_service.instrument.lifecycle.events import instrument_then, listed_at, listing_then
from registry_service.storage.model import Entity, EntityKind, Store

GONE: Final = frozenset({f"status:{wire.INSTRUMENT_STATUS_EXPIRED}", f"status:{wire.INSTRUMENT_STATUS_RETIRED}"})
"""The facets of instruments that are no more."""
_CHANGES: Final = 1000


async def retirements(store: Store, ids: Sequence[str], revision: int) -> Mapping[str, datetime]:
    """Since when instruments that are gone at a revision have been: later changes of their other fields do not count."""
    since: dict[str, datetime] = {}
    open_ids, before = set(ids), revision + 1
    while open_ids:
        found = await store.changes_of(sorted(open_ids), before_revision=before, limit=_CHANGES)
        for one in found:
            if one.kind is not EntityKind.INSTRUMENT or one.entity_id not in open_ids:
                continue
            message = wire.Instrument.FromString(one.after)
            if f"status:{message.status}" in GONE:
                since[one.entity_id] = moment(message.update_time)
            else:
                open_ids.discard(one.entity_id)
        if len(found) < _CHANGES:
            break
        before = found[-1].revision
    return since


def valid_at(instrument: Entity, listings: Sequence[Entity], as_of: datetime) -> tuple[Entity, Sequence[Entity]]:
    """Without the identifiers and listings that were not valid at a time."""
    message = wire.Instrument.FromString(instrument.body)
    kept = [one for one in message.identifiers if held_then(one, as_of)]
    del message.identifiers[:]
    message.identifiers.extend(kept)
    instrument_then(message, as_of)
    return instrument._replace(body=message.SerializeToString()), listings_then(listings, as_of)


def listings_then(listings: Sequence[Entity], as_of: datetime) -> list[Entity]:
    """The listings that were listed at a time, with the symbol and the status they had."""
    shown = []
    for one in listings:
        message = wire.Listing.FromString(one.body)
        if not held_then(message, as_of):
            continue
        if message.events or message.status == wire.LISTING_STATUS_DELISTED:
            if not listed_at(message, as_of):
                continue
            listing_then(message, as_of)
            one = one._replace(body=message.SerializeToString())
        shown.append(one)
    return shown


def held_then(one: wire.IdentifierAssertion | wire.Listing, as_of: datetime) -> bool:
    """Whether an identifier or a listing was valid at a time."""
    started = not one.HasField("valid_from") or moment(one.valid_from) <= as_of
    return started and (not one.HasField("valid_to") or as_of < moment(one.valid_to))
