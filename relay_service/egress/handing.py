"""Rows to whoever wants them."""

from __future__ import annotations

from relay_service.egress.rows import Selected
from relay_service.egress.subscriber import Subscriber
from relay_service.results import RowGroup
from relay_service.subscriptions.hits import FilterClass, Hits


def queue_rows(
    group: RowGroup, hits: Hits, now_ns: int, touched: dict[str, Subscriber], *, alone: bool
) -> bytes | None:
    """Give rows to whoever wants them; all of them as bytes, where somebody wanted them all. Who has to be woken for it is put into `touched`;
    `alone`: nothing follows at once, so rows may be written right away."""
    data: bytes | None = None
    if hits.whole:
        selected = Selected(group, None, now_ns)
        data = selected.data
        for held in hits.whole:
            if held.members:
                _give(held, selected, touched, alone)
    if hits.parted:
        _divide(group, hits, now_ns, touched, alone)
    return data


def _divide(group: RowGroup, hits: Hits, now_ns: int, touched: dict[str, Subscriber], alone: bool) -> None:
    """What each filter wants of the rows: gathered at once for all filters, here each gets its share. A subscriber whose last rows still wait gets it
    without another look at anything."""
    kind, places, data = group.event_type, hits.places, hits.gather(group)
    size = len(data) // len(places)
    for held, begin, end in hits.some():
        rows, count = data[begin * size : end * size], end - begin
        selected: Selected | None = None
        for subscriber, subscription in held.members:
            if subscription.extend(kind, rows, count):
                continue
            if selected is None:
                selected = Selected(group, places[begin:end], now_ns, rows)
            if not (alone and subscriber.pass_on(subscription, selected)):
                subscriber.accept(subscription, selected)
                touched[subscriber.subscriber_id] = subscriber


def _give(held: FilterClass, selected: Selected, touched: dict[str, Subscriber], alone: bool) -> None:
    """The same rows to all subscribers of a filter."""
    kind, rows, count = selected.event_type, selected.data, selected.count
    for subscriber, subscription in held.members:
        if alone and subscriber.pass_on(subscription, selected):
            continue
        if not subscription.extend(kind, rows, count):
            subscriber.accept(subscription, selected)
            touched[subscriber.subscriber_id] = subscriber
