"""Faults put into the relay, which the validators have to find: into its process alone, at the place where the product's code would have them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from alphapulse.domain.errors import WrongPartition
from alphapulse.domain.provenance import PROVENANCE_MASK, Provenance
from alphapulse.records import QUOTE
from relay_service import core
from relay_service.core import RelayCore
from relay_service.edge.follower import Follower
from relay_service.edge.log import EdgeLog
from relay_service.egress import convert
from relay_service.egress.conflation import _Held
from relay_service.egress.fanout import FanOut
from relay_service.egress.replay import Replay
from relay_service.egress.subscriber import Subscriber
from relay_service.egress.subscription import Subscription
from relay_service.log.cursor import Cursor
from relay_service.log.records import LoggedGap
from relay_service.placement import Placement

_AGAIN: Final = 500
"""Events of all listings: most filters let some of them through."""


def a_lost_gap_notice() -> None:
    """Of what a source lost, every second subscriber is not told."""
    declare, calls = Subscription.declare, [0]

    def declared(self: Subscription, record: Any, number: int = 0) -> None:
        calls[0] += 1
        if calls[0] % 2:
            declare(self, record, number)

    Subscription.declare = declared  # type: ignore[method-assign]


def a_lost_notice_of_a_full_queue() -> None:
    """What did not fit is not declared, and has no number."""

    def drop(self: Subscription, piece: Any) -> None:
        self.dropped += piece.count

    Subscription.drop = drop  # type: ignore[method-assign]


def a_resume_off_by_one() -> None:
    """The first event of what is read anew is passed over."""
    begin = Cursor.__init__

    def shifted(self: Cursor, position: Any, since_ns: int = 0, floor: int = 0) -> None:
        begin(self, position._replace(sequence=max(position.sequence, floor) + 1), since_ns, floor)

    Cursor.__init__ = shifted  # type: ignore[method-assign]


def a_conflation_that_loses_the_last_value() -> None:
    """Of two rows of one listing that come together, the first stays."""
    put = _Held.put

    def kept(self: _Held, data: bytes, slots: Any) -> int:
        size = self.row_size
        turned = b"".join(data[at : at + size] for at in range(len(data) - size, -1, -size))
        return put(self, turned, slots[::-1].copy())

    _Held.put = kept  # type: ignore[method-assign]


def a_filter_change_applied_early() -> None:
    """The new filter holds for events before the sequence that is told."""
    acknowledged, matched = convert.acknowledged, FanOut._change
    changing = [False]

    def change(self: FanOut, subscriber: Any, subscription: Any, wanted: Any) -> None:
        matched(self, subscriber, subscription, wanted)
        changing[0] = True

    def told(number: int, first: int, *values: Any, **more: Any) -> bytes:
        first, changing[0] = first + 20 * changing[0], False
        return acknowledged(number, first, *values, **more)

    FanOut._change = change  # type: ignore[method-assign]
    convert.acknowledged = told  # type: ignore[assignment]


def a_snapshot_one_event_old() -> None:
    """A snapshot gives the rows as they were before the last frame."""
    accept, snapshot = RelayCore.accept_bytes, RelayCore.snapshot
    before: dict[int, Any] = {}

    def accepted(self: RelayCore, source: Any, event_type: int, *frame: Any) -> Any:
        before[event_type] = snapshot(self, event_type, np.arange(self.slots.count, dtype=np.int32))
        return accept(self, source, event_type, *frame)

    def older(self: RelayCore, event_type: int, slots: Any) -> Any:
        rows = snapshot(self, event_type, slots)
        held = {int(row["listing_key"]): row for row in before.get(event_type, ())}
        for place, row in enumerate(rows):
            rows[place] = held.get(int(row["listing_key"]), row)
        return rows[rows["sequence"].argsort(kind="stable")]

    RelayCore.accept_bytes = accepted  # type: ignore[method-assign,assignment]
    RelayCore.snapshot = older  # type: ignore[method-assign]


def a_duplicate_after_a_restart() -> None:
    """Whoever resumes in an earlier life of the relay gets its last rows once more."""
    run = Replay._run

    async def again(self: Replay, cursor: Cursor) -> None:
        place = cursor.position
        if place.incarnation < self._log.incarnation:
            cursor.position, cursor._floor = place._replace(sequence=max(place.sequence - _AGAIN, 0)), 0
            self.pass_over(0, {})
        await run(self, cursor)

    Replay._run = again  # type: ignore[method-assign]


def a_queue_without_a_bound() -> None:
    """Whatever comes is kept for whoever does not read."""
    Subscription.fits = lambda self, cost: True  # type: ignore[method-assign]


def a_size_that_is_rounded() -> None:
    """A size goes through a float."""
    _alter("bid_size", lambda sizes: sizes.astype(np.float32).astype(np.int64) & ((1 << 62) - 1))


def a_provenance_that_is_lost() -> None:
    """What is simulated is said to be live."""
    _alter("flags", lambda flags: flags & ~np.uint32(PROVENANCE_MASK) | np.uint32(Provenance.LIVE))


def an_edge_that_forgets_losses() -> None:
    """What a source lost is not handed on by an edge."""
    step = Follower._step

    async def forgetful(self: Follower, one: Any, entry: Any) -> None:
        if not isinstance(one, LoggedGap):
            await step(self, one, entry)

    Follower._step = forgetful  # type: ignore[method-assign]


def an_edge_that_joins_late() -> None:
    """Whoever resumes at an edge misses the first events that come live."""
    join, accept, late = Replay._join, Subscriber.accept, set[Subscription]()

    def joined(self: Replay) -> None:
        join(self)
        if isinstance(self._log, EdgeLog):
            late.add(self._subscription)

    def accepted(self: Subscriber, subscription: Subscription, selected: Any) -> None:
        if subscription not in late:
            accept(self, subscription, selected)
        late.discard(subscription)

    def passed_on(self: Subscriber, subscription: Subscription, selected: Any) -> bool:
        return subscription not in late and pass_on(self, subscription, selected)

    pass_on = Subscriber.pass_on
    Replay._join = joined  # type: ignore[method-assign]
    Subscriber.accept = accepted  # type: ignore[method-assign]
    Subscriber.pass_on = passed_on  # type: ignore[method-assign]


def a_stray_that_is_not_told() -> None:
    """What a source sent to the wrong partition is refused and counted, and no subscriber is told."""

    def quiet(source: Any, first: int, now_ns: int) -> Any:
        return tuple(one for one in shed_by(source, first, now_ns) if one.reason != WrongPartition.reason)

    shed_by = core.shed_by
    core.shed_by = quiet


def a_stray_that_is_taken() -> None:
    """What a source sent to the wrong partition is relayed there."""
    Placement.without_strays = lambda self, layout, raw: (raw, ())  # type: ignore[method-assign]


def _alter(field: str, how: Callable[[Any], Any]) -> None:
    """Change a field of quotes on their way out."""
    deliver = FanOut.deliver

    def altered(self: FanOut, result: Any) -> None:
        for group in result.groups:
            if group.event_type == QUOTE.event_type:
                group.rows[field] = how(group.rows[field])
        deliver(self, result)

    FanOut.deliver = altered  # type: ignore[method-assign]


FAULTS: Final[dict[str, Callable[[], None]]] = {
    one.__name__.replace("_", "-"): one
    for one in (
        a_lost_gap_notice,
        a_lost_notice_of_a_full_queue,
        a_resume_off_by_one,
        a_conflation_that_loses_the_last_value,
        a_filter_change_applied_early,
        a_snapshot_one_event_old,
        a_duplicate_after_a_restart,
        a_queue_without_a_bound,
        a_size_that_is_rounded,
        a_provenance_that_is_lost,
        an_edge_that_forgets_losses,
        an_edge_that_joins_late,
        a_stray_that_is_not_told,
        a_stray_that_is_taken,
    )
}
