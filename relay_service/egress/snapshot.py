"""A start with the state as it is now: the last events of the matching listings between two marks, type by type; the next live event follows."""

from __future__ import annotations

import time
from typing import Final

import numpy as np

from alphapulse.domain.ids import source_id
from alphapulse.records import QUOTE, SYNTHETIC_UPDATE, TRADE, TRADING_STATUS, Rows
from relay_service.core import RelayCore
from relay_service.egress import convert
from relay_service.egress.rows import Selected
from relay_service.egress.subscriber import Subscriber
from relay_service.egress.subscription import Subscription
from relay_service.results import RowGroup, Slots

SNAPSHOT_TYPES: Final = tuple(layout.event_type for layout in (TRADING_STATUS, TRADE, QUOTE, SYNTHETIC_UPDATE))
"""The types whose last event of each listing is kept."""


def send_snapshot(
    core: RelayCore, subscriber: Subscriber, subscription: Subscription, slots: Slots, known_from: int
) -> None:
    """Queue the last events of these slots. `known_from`: the sequence from which on the last events of listings are known; 0: all of them are."""
    number, sequence = subscription.wanted.subscription_id, core.last_sequence
    mark = convert.snapshot_mark(number, sequence, complete=False, known_from=known_from)
    subscriber.notify(mark, after=subscription)
    wanted = subscription.wanted.filter
    for kind in SNAPSHOT_TYPES:
        if wanted.event_types and kind not in wanted.event_types:
            continue
        rows = _of_sources(core.snapshot(kind, slots), wanted.sources)
        if len(rows):
            now_ns = time.time_ns()
            rows["relay_out_ns"] = now_ns
            group = RowGroup(kind, rows.view(np.uint8), _slots_of(core, rows, slots), int(rows["sequence"][0]))
            subscriber.accept_snapshot(subscription, Selected(group, None, now_ns))
    mark = convert.snapshot_mark(number, sequence, complete=True, known_from=known_from)
    subscriber.notify(mark, after=subscription)


def _slots_of(core: RelayCore, rows: Rows, slots: Slots) -> Slots:
    keys = core.slots.table["key"][slots]
    order = np.argsort(keys)
    return slots[order][np.searchsorted(keys[order], rows["listing_key"])]


def _of_sources(rows: Rows, sources: frozenset[str]) -> Rows:
    """The rows of these sources; of all where none is named."""
    if not sources:
        return rows
    numbers = [source_id(name) for name in sources]
    return rows[np.isin(rows["source_id"], [0, *numbers])]
