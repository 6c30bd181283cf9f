"""Starts that lie in the past: what a resume token or a time says, and the replay from there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from alphapulse.domain.errors import AlphaPulseError, InvalidArgument, NoEventLog, ResumeTokenTooOld
from relay_service.core import RelayCore
from relay_service.egress.replay import Replay
from relay_service.egress.subscriber import Subscriber
from relay_service.egress.subscription import Subscription
from relay_service.log.cursor import Cursor
from relay_service.log.reader import LogReader, PlaceTooOldError
from relay_service.log.records import Point
from relay_service.subscriptions.index import FilterIndex
from relay_service.subscriptions.wanted import FromTime, FromToken

Begin = Callable[[], None]
End = Callable[[AlphaPulseError], None]
_MOST: Final = (1 << 63) - 1
"""Events that no relay has sent, whatever its life: numbers and sequences go on behind what was received, within 64 bits."""


class Resumes:
    """Of all subscribers to a domain. `learned` is set once filters over definitions can be applied to what is replayed."""

    def __init__(self, core: RelayCore, index: FilterIndex, log: LogReader | None, learned: asyncio.Event) -> None:
        self._core = core
        self._index = index
        self.log = log
        self._learned = learned

    def token(self, subject: bytes, point: Point) -> str | None:
        """The resume token of a point; None where the log makes none now."""
        log = self.log
        if log is None or not point.position.incarnation:
            return None
        try:
            return log.mint().mint(point, subject)
        except AlphaPulseError:
            return None

    def read(self, start: FromToken, subject: bytes) -> Point:
        """Where a start from a token begins, with what was received after its point.

        Raises ResumeTokenInvalid and InvalidArgument, NoEventLog and Unavailable.
        """
        log = self._needed()
        position, floor, number = log.mint().read(start.token, subject)
        known = log.highest_of(position.incarnation)
        at_most = _MOST if known is None else known
        if start.sequence:
            _check_received("received_sequence", start.sequence, position.sequence, at_most)
            floor = max(floor, start.sequence)
        for kind, sequence in start.by_type.items():
            _check_received(f"received_by_type[{kind}]", sequence, 0, at_most)
        if start.number:
            _check_received("received_number", start.number, number, _MOST)
            number = start.number
        source_gap = max(position.source_gap, start.source_gap)
        return Point(position._replace(source_gap=source_gap), floor, number)

    def replay(
        self,
        subscriber: Subscriber,
        subscription: Subscription,
        start: FromToken | FromTime,
        point: Point,
        begin: Begin,
        end: End,
    ) -> None:
        """Bring a subscription what is older, in a task of its own: `begin` acknowledges it, `end` refuses it."""
        log = self._needed()
        replay = subscription.replay = Replay(self._core, self._index, log, subscriber, subscription, self._learned)
        if isinstance(start, FromToken):
            replay.pass_over(point.floor, start.by_type)
        find = self._find(log, subscription, start, point)
        replay.start(find, begin, end)

    def _find(
        self, log: LogReader, subscription: Subscription, start: FromToken | FromTime, point: Point
    ) -> Callable[[], Awaitable[Cursor]]:
        async def find() -> Cursor:
            try:
                if isinstance(start, FromTime):
                    return await log.find_time(start.time_ns)
                await log.check(point.position)
                return Cursor(point.position, floor=point.floor)
            except PlaceTooOldError as error:
                raise self._too_old(subscription, start, error) from None

        return find

    def _too_old(
        self, subscription: Subscription, start: FromToken | FromTime, error: PlaceTooOldError
    ) -> ResumeTokenTooOld:
        place, oldest, number = subscription.place, error.oldest, subscription.next_number - 1
        token = self.token(place.subject, Point(oldest, oldest.sequence, number)) if place else None
        asked = f"time {start.time_ns}" if isinstance(start, FromTime) else "token"
        return ResumeTokenTooOld(
            f"the log no longer holds what follows this {asked}",
            metadata={"oldest_token": token or "", "oldest_time_ns": str(error.oldest_ns + 1)},
            hint="start with a snapshot, or from oldest_token: what lies before it is lost",
        )

    def check(self) -> None:
        """Raises NoEventLog or Unavailable where nothing can be read from the log."""
        self._needed().mint()

    def _needed(self) -> LogReader:
        if self.log is None:
            raise NoEventLog(
                "this relay keeps no log of its events to start from", hint="start now, or with a snapshot"
            )
        return self.log


def _check_received(field: str, value: int, at_least: int, at_most: int) -> None:
    if value < at_least:
        text = f"what was received after the token's point is not before it: at least {at_least}"
        raise InvalidArgument.field(f"start.{field}", str(value), "received-range", text)
    if value > at_most:
        text = f"the relay has sent nothing beyond {at_most}"
        raise InvalidArgument.field(f"start.{field}", str(value), "received-range", text)
