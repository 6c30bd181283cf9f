"""Rows to whoever wants them."""

from __future__ import annotations

from relay_service.egress.rows import Selected
from relay_service.egress.subscriber import Subscriber
from relay_service.results import RowGroup
from relay_service.subscriptions.index import FilterClass, Places


def queue_rows(
    group: RowGroup,
    hits: list[tuple[FilterClass, Places | None]],
    now_ns: int,
    touched: dict[str, Subscriber],
    *,
    alone: bool,
) -> bytes | None:
    """Give rows to whoever wants them; all of them as bytes, where somebody wanted them all. Who has to be woken for it is put into `touched`;
    `alone`: nothing follows at once, so rows may be written right away."""
    data: bytes | None = None
    for held, places in hits:
        if not held.members:
            continue
        selected = Selected(group, places, now_ns)
        if places is None:
            data = selected.data
        for subscriber, subscription in held.members:
            if alone and subscriber.pass_on(subscription, selected):
                continue
            subscriber.accept(subscription, selected)
            touched[subscriber.subscriber_id] = subscriber
    return data
