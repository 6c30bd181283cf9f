"""Proves that nothing is missing: the numbers of each subscription are followed, and every hole is declared or counted."""

from __future__ import annotations

from dataclasses import dataclass

from strategy_sdk._batch import UNDECLARED, EventBatch, Gap


@dataclass(slots=True)
class NumberingCounts:
    """What was found in the numbering so far."""

    gaps_declared: int = 0
    """Gaps the relay declared, and those of reconnections."""
    gap_events: int = 0
    """Events in declared gaps, where their number is known."""
    undeclared_gaps: int = 0
    """Holes nobody declared. 0, or something is broken."""
    undeclared_events: int = 0
    """Events in them."""
    duplicates: int = 0
    """Events that came a second time; they are dropped."""


class Numbering:
    """Follows the numbers of every subscription of one stream."""

    def __init__(self) -> None:
        self.counts = NumberingCounts()
        self._next: dict[int, int] = {}

    def begin(self, subscription_id: int, last: int = 0) -> None:
        """The subscription's numbers start behind this one."""
        self._next[subscription_id] = last + 1

    def end(self, subscription_id: int) -> None:
        """The subscription is over."""
        self._next.pop(subscription_id, None)

    def last(self, subscription_id: int) -> int:
        """The last number received, or declared missing; 0: none was."""
        return self._next.get(subscription_id, 1) - 1

    def delivery(self, batch: EventBatch) -> tuple[EventBatch | None, Gap | None]:
        """What is new in a delivery (None: nothing), and the hole before it."""
        identity, first = batch.subscription_id, batch.first_number
        expected = self._next.get(identity, first)
        if first == expected:
            self._next[identity] = first + batch.count
            return batch, None
        if first > expected:
            self._next[identity] = first + batch.count
            return batch, self._hole(identity, expected, first - 1)
        known = min(expected - first, batch.count)
        self.counts.duplicates += known
        if known == batch.count:
            return None, None
        self._next[identity] = first + batch.count
        return batch.without_first(known), None

    def gap(self, gap: Gap) -> Gap | None:
        """A declared gap; the answer is the hole before it that is not declared."""
        self.counts.gaps_declared += 1
        self.counts.gap_events += gap.count
        if not gap.from_number:
            return None  # its events never had a number here
        expected = self._next.get(gap.subscription_id, gap.from_number)
        hole = self._hole(gap.subscription_id, expected, gap.from_number - 1) if gap.from_number > expected else None
        self._next[gap.subscription_id] = max(expected, gap.to_number + 1)
        return hole

    def reached(self, subscription_id: int, last_number: int) -> Gap | None:
        """A heartbeat says that everything up to `last_number` was sent: the hole where it was not received."""
        expected = self._next.get(subscription_id)
        if expected is None or last_number < expected:
            return None
        self._next[subscription_id] = last_number + 1
        return self._hole(subscription_id, expected, last_number)

    def _hole(self, subscription_id: int, first: int, last: int) -> Gap:
        count = last - first + 1
        self.counts.undeclared_gaps += 1
        self.counts.undeclared_events += count
        return Gap(subscription_id, UNDECLARED, count, first, last)
