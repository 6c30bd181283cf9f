"""What waits for one subscriber: notices that go first, then everything else in order; bounded in bytes of memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from relay_service.egress.items import NOTICE_COST, Batch, Conflated, GapNotice, HeartbeatDue, Item, Notice, PointDue


class SendQueue:
    """The bound holds for rows and definitions; a notice always finds room, and there are never more of them than runs of rows and requests."""

    __slots__ = ("_heartbeat", "_items", "_urgent", "bound", "queued")

    def __init__(self, bound: int) -> None:
        self.bound = bound
        """Bytes of memory."""
        self.queued = 0
        """Bytes of memory in use, without what conflates."""
        self._urgent: deque[bytes] = deque()
        self._items: deque[Item] = deque()
        self._heartbeat = False

    def __bool__(self) -> bool:
        return bool(self._items or self._urgent)

    def __iter__(self) -> Iterator[Item]:
        return iter(self._items)

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
        """Behind everything that waits. Rows that come to a batch later are counted with `grow`."""
        if isinstance(item, HeartbeatDue):
            if self._heartbeat:
                return
            self._heartbeat = True
        self._items.append(item)
        self.queued += _cost(item)

    def push_front(self, item: Item) -> None:
        """Before everything but the urgent."""
        self._items.appendleft(item)
        self.queued += _cost(item)

    def push_urgent(self, message: bytes) -> None:
        """Before everything that is not urgent."""
        self._urgent.append(message)
        self.queued += len(message) + NOTICE_COST

    def grow(self, cost: int) -> None:
        """A batch that waits grew."""
        self.queued += cost

    def take(self) -> Item | None:
        """The next to be written."""
        if self._urgent:
            message = self._urgent.popleft()
            self.queued -= len(message) + NOTICE_COST
            return Notice(message)
        if not self._items:
            return None
        item = self._items.popleft()
        self.queued -= _cost(item)
        if isinstance(item, HeartbeatDue):
            self._heartbeat = False
        return item


def _cost(item: Item) -> int:
    if isinstance(item, Batch):
        return item.cost
    if isinstance(item, Notice):
        return len(item.message) + NOTICE_COST
    if isinstance(item, (GapNotice, Conflated, HeartbeatDue, PointDue)):
        return NOTICE_COST
    raise TypeError(type(item).__name__)
