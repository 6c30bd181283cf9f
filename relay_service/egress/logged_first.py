"""Log, then deliver: what came of a frame waits, in order, until the log has it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np

from relay_service.log.first_log import FirstLog
from relay_service.results import AcceptResult, Receipt, RowGroup, SourceGapRecord

HandOver = Callable[[AcceptResult, int], None]
"""Gives a result to subscribers; the number of its loss in the log, where it is one."""


class LoggedFirst:
    """Between the core and the subscribers of one domain. A source is told once its events are logged and handed over."""

    def __init__(self, log: FirstLog, stamp: Callable[[RowGroup], int], hand_over: HandOver) -> None:
        self._log = log
        self._stamp = stamp
        self._hand_over = hand_over
        self._waiting: deque[tuple[int, AcceptResult | Receipt, int]] = deque()
        """(the event up to which the log has to be, what is due then, the number of a loss)."""
        log.tail.on_logged = self._release

    def take(self, result: AcceptResult) -> None:
        """Bring it to the log. The caller's buffer is free afterwards. Rows bear relay_out_ns of now: the log's bytes are those that are
        delivered."""
        log = self._log
        for record in result.gaps:
            number = log.append_gap(record)
            self._wait(self._only(result, gaps=(record,)), number)
        for group in result.groups:
            self._stamp(group)
            data = group.raw.tobytes()
            log.append(group.event_type, group.first_sequence, len(group.slots), data, result.source, result.now_ns)
            kept = group._replace(raw=np.frombuffer(data, np.uint8), slots=group.slots.copy())
            self._wait(self._only(result, groups=(kept,)), 0)
        if result.receipt is not None:
            self._wait(result.receipt, 0)
        self._release()

    def _only(
        self,
        result: AcceptResult,
        groups: tuple[RowGroup, ...] = (),
        gaps: tuple[SourceGapRecord, ...] = (),
    ) -> AcceptResult:
        return AcceptResult(groups, gaps, result.domain, result.now_ns, result.source)

    def _wait(self, due: AcceptResult | Receipt, number: int) -> None:
        self._waiting.append((self._log.tail.last, due, number))

    def _release(self) -> None:
        log, waiting = self._log, self._waiting
        while waiting and waiting[0][0] <= log.tail.base:
            _, due, number = waiting.popleft()
            if isinstance(due, Receipt):
                due.give()
                continue
            if number:
                log.handed_gap = number
            self._hand_over(due, number)
