"""Log, then deliver: what came of a frame waits, in order, until the log has it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np

from relay_service.log.first_log import FirstLog
from relay_service.log.relay_log import LogState
from relay_service.results import AcceptResult, Receipt, RowGroup, SourceGapRecord
from relay_service.sources import SourceTable

HandOver = Callable[[AcceptResult, int], None]
"""Gives a result to subscribers; the number of its loss in the log, where it is one."""
MAX_KINDS: Final = 256
"""Losses of different kinds that wait behind one event; what there is beyond is told as one loss of each source."""


class _Due(NamedTuple):
    """What waits for the log to hold everything before it."""

    place: int
    """The last event before it, or of it."""
    what: AcceptResult | Receipt
    number: int
    """In the log, of the first loss that is in it; of what is no loss, of the last one before it."""


class LoggedFirst:
    """Between the core and the subscribers of one domain. A source is told once its events are logged and handed over.

    What waits is bounded as rows are, by the log's refusal: behind one event there is one receipt for each source, the last, and one loss of each
    kind, which grows.
    """

    def __init__(
        self, log: FirstLog, stamp: Callable[[RowGroup], int], hand_over: HandOver, sources: SourceTable
    ) -> None:
        """`sources` are those of the relay: the domain's are sent away where another relay writes the log."""
        self._log = log
        self._stamp = stamp
        self._hand_over = hand_over
        self._sources = sources
        self._waiting: deque[_Due] = deque()
        """Up to the last event."""
        self._behind: dict[tuple[str, ...], _Due] = {}
        """Behind it: receipts by (source,), losses by (source, reason, listing_key)."""
        log.tail.on_logged = self._release
        log.on_fenced = self._forget

    @property
    def waiting(self) -> int:
        """Rows, losses and receipts that wait."""
        return len(self._waiting) + len(self._behind)

    def take(self, result: AcceptResult) -> None:
        """Bring it to the log. The caller's buffer is free afterwards. Rows bear relay_out_ns of now: the log's bytes are those that are
        delivered."""
        log = self._log
        if log.state is LogState.FENCED:
            return  # its sources have been sent away: the relay that writes the log now hears of it from them
        for record in result.gaps:
            self._lose(result, record, log.append_gap(record))
        for group in result.groups:
            self._stamp(group)
            data = group.raw.tobytes()
            first, count = group.first_sequence, len(group.slots)
            log.append(group.event_type, first, count, data, result.source, result.now_ns, result.frame)
            kept = group._replace(raw=np.frombuffer(data, np.uint8), slots=group.slots.copy())
            self._pass_over()
            self._waiting.append(self._due(_only(result, groups=(kept,))))
        if result.receipt is not None:
            self._behind[result.source,] = self._due(result.receipt)
        self._release()

    def _due(self, what: AcceptResult | Receipt, number: int = 0) -> _Due:
        return _Due(self._log.tail.last, what, number or self._log.last_gap)

    def _lose(self, result: AcceptResult, record: SourceGapRecord, number: int) -> None:
        """A loss waits behind the last event; one of a kind that waits there already is told with that."""
        key = (record.source, record.reason, str(record.listing_key))
        if key not in self._behind and len(self._behind) >= MAX_KINDS:
            key, record = (record.source, "", ""), record._replace(listing_key=0)
        before = self._behind.get(key)
        if before is not None and isinstance(before.what, AcceptResult):
            record, number = _joined(before.what.gaps[0], record), before.number
        self._behind[key] = self._due(_only(result, gaps=(record,)), number)

    def _pass_over(self) -> None:
        """Events follow what waited behind the last one."""
        self._waiting.extend(self._behind.values())
        self._behind.clear()

    def _release(self) -> None:
        log, waiting = self._log, self._waiting
        while waiting and waiting[0].place <= log.tail.base:
            self._give(waiting.popleft())
        if waiting or not self._behind or log.tail.last > log.tail.base:
            return
        behind, self._behind = self._behind, {}
        for due in behind.values():
            self._give(due)
        log.handed_gap = log.last_gap

    def _give(self, due: _Due) -> None:
        if isinstance(due.what, Receipt):
            due.what.give()
            return
        self._log.handed_gap = max(self._log.handed_gap, due.number)
        self._hand_over(due.what, due.number if due.what.gaps else 0)

    def _forget(self) -> None:
        """Another relay writes the log. What was not logged here is not acknowledged: it is sent again there."""
        self._waiting.clear()
        self._behind.clear()
        why = "another relay of this RELAY_ID, started later, writes the log now: connect to that one"
        self._sources.close(self._log.settings.domain, why)


def _only(
    result: AcceptResult, groups: tuple[RowGroup, ...] = (), gaps: tuple[SourceGapRecord, ...] = ()
) -> AcceptResult:
    return AcceptResult(groups, gaps, result.domain, result.now_ns, result.source)


def _joined(first: SourceGapRecord, more: SourceGapRecord) -> SourceGapRecord:
    """Two losses as one; how many events it is where that is known of both."""
    known = first.events and more.events
    return first._replace(events=first.events + more.events if known else 0)
