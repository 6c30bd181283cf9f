"""What waits for one subscriber: notices that go first, then a lane for each domain, bounded in bytes of memory.

The next write is of the most urgent domain that has something: execution, then signals, then the market. A domain that has had QUANTUM bytes
written lets a less urgent one write once, so none of them starves another.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Final

from alphapulse.domain.domains import URGENCY, Domain
from relay_service.egress.items import (
    MAX_BATCH_BYTES,
    NOTICE_COST,
    Batch,
    Conflated,
    GapNotice,
    HeartbeatDue,
    Item,
    Notice,
    PointDue,
)

QUANTUM: Final = 64 << 10
"""Bytes that a domain writes before a less urgent one that waits has its turn."""
SHARED_BATCH_BYTES: Final = 64 << 10
"""Rows of one delivery, in bytes, where a more urgent domain shares the stream: what is being written is not interrupted."""


class Lane:
    """What waits of one domain. The bound holds for rows and definitions; a notice always finds room, and there are never more of them than runs of
    rows and requests."""

    __slots__ = ("batch_bytes", "bound", "domain", "items", "queued", "spent", "warned")

    def __init__(self, domain: Domain, bound: int) -> None:
        self.domain = domain
        self.bound = bound
        """Bytes of memory."""
        self.queued = 0
        """Bytes of memory in use, without what conflates."""
        self.items: deque[Item] = deque()
        self.spent = 0
        """Bytes written since a less urgent domain had its turn, or none of them waited."""
        self.warned = False
        """Whether the client was told that it is behind with this domain."""
        self.batch_bytes = MAX_BATCH_BYTES
        """Rows of one delivery, in bytes, at most."""

    def has_room(self, cost: int) -> bool:
        """Whether so many bytes more stay within the bound."""
        return self.queued + cost <= self.bound

    def has_ample_room(self, cost: int) -> bool:
        """Whether so many bytes more stay within half of it: where a queue that was full takes rows again, so that gaps are few and long."""
        return self.queued + cost <= self.bound // 2

    @property
    def is_lagging(self) -> bool:
        """Whether more than half of the bound is in use."""
        return self.queued > self.bound // 2

    def push(self, item: Item) -> None:
        """Behind everything of the domain that waits. Rows that come to a batch later are counted with `grow`."""
        self.items.append(item)
        self.queued += _cost(item)

    def push_front(self, item: Item) -> None:
        """Before everything of the domain that waits."""
        self.items.appendleft(item)
        self.queued += _cost(item)

    def drop(self, item: Item) -> None:
        """Forget what waits."""
        self.items.remove(item)
        self.queued -= _cost(item)

    def grow(self, cost: int) -> None:
        """A batch that waits grew."""
        self.queued += cost

    def take(self) -> Item:
        """The next of the domain; there is one."""
        item = self.items.popleft()
        self.queued -= _cost(item)
        return item


class SendQueue:
    """The lanes of one subscriber; what belongs to no subscription waits in the market's."""

    __slots__ = ("_heartbeat", "_lanes", "_market", "_others", "_urgent", "_waiting")

    def __init__(self, bounds: Mapping[Domain, int]) -> None:
        self._lanes = {domain: Lane(domain, bounds[domain]) for domain in URGENCY}
        self._market = self._lanes[Domain.MARKET]
        self._others = tuple(lane for lane in self._lanes.values() if lane is not self._market)
        self._urgent: deque[tuple[bytes, Lane]] = deque()
        self._waiting = (self._urgent, *(lane.items for lane in self._lanes.values()))
        self._heartbeat = False

    def __bool__(self) -> bool:
        urgent, first, second, third = self._waiting
        return bool(urgent or first or second or third)

    def __iter__(self) -> Iterator[Item]:
        return (item for lane in self._lanes.values() for item in lane.items)

    def lane(self, domain: Domain) -> Lane:
        """Where what is of a domain waits."""
        return self._lanes[domain]

    @property
    def queued(self) -> int:
        """Bytes of memory in use, without what conflates."""
        return sum(lane.queued for lane in self._lanes.values())

    @property
    def is_lagging(self) -> bool:
        """Whether of any domain more than half of the bound is in use."""
        return any(lane.is_lagging for lane in self._lanes.values())

    def share(self, domains: set[Domain]) -> None:
        """The client takes events of these domains: what is less urgent than another of them is written in smaller pieces."""
        first = next((domain for domain in URGENCY if domain in domains), None)
        for domain, lane in self._lanes.items():
            lane.batch_bytes = MAX_BATCH_BYTES if first in (None, domain) else SHARED_BATCH_BYTES

    def push(self, item: Item) -> None:
        """What belongs to no subscription, behind everything of the market that waits."""
        if isinstance(item, HeartbeatDue):
            if self._heartbeat:
                return
            self._heartbeat = True
        self._market.push(item)

    def push_heartbeat_last(self) -> None:
        """A heartbeat behind everything of the market that waits now, and none before: it says what holds from there on."""
        if self._heartbeat:
            self._market.drop(next(item for item in self._market.items if isinstance(item, HeartbeatDue)))
            self._heartbeat = False
        self.push(HeartbeatDue())

    def push_urgent(self, message: bytes, lane: Lane | None = None) -> None:
        """Before everything that is not urgent; on account of a lane, the market's where none is given."""
        account = lane or self._market
        self._urgent.append((message, account))
        account.queued += len(message) + NOTICE_COST

    def take(self) -> Item | None:
        """The next to be written."""
        if self._urgent:
            message, account = self._urgent.popleft()
            account.queued -= len(message) + NOTICE_COST
            return Notice(message)
        lane = self._next()
        if lane is None:
            return None
        item = lane.take()
        if isinstance(item, HeartbeatDue):
            self._heartbeat = False
        return item

    def _next(self) -> Lane | None:
        """Whose turn it is."""
        first, second = self._others
        if not (first.items or second.items):
            first.spent = second.spent = 0
            return self._market if self._market.items else None
        waiting = [lane for lane in self._lanes.values() if lane.items]
        chosen = next((lane for lane in waiting if lane.spent < QUANTUM), waiting[-1])
        if chosen is not waiting[-1]:
            chosen.spent += _cost(chosen.items[0])
            return chosen
        # The least urgent that waits: whoever is more urgent goes first again.
        first.spent = second.spent = 0
        return chosen


def _cost(item: Item) -> int:
    if isinstance(item, Batch):
        return item.cost
    if isinstance(item, Notice):
        return len(item.message) + NOTICE_COST
    if isinstance(item, (GapNotice, Conflated, HeartbeatDue, PointDue)):
        return NOTICE_COST
    raise TypeError(type(item).__name__)
