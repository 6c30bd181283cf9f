"""Who stays behind is asked to resume: what the relay cannot keep for it in memory, the log gives it at the pace at which it reads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from alphapulse.domain.errors import SubscriberTooSlow
from relay_service.egress import convert
from relay_service.egress.figures import Figures
from relay_service.egress.subscriber import Subscriber
from relay_service.egress.subscription import Subscription
from relay_service.log.records import Point
from relay_service.subscriptions.wanted import Stream

_log: Final = structlog.stdlib.get_logger(__name__)
_SECOND: Final = 1_000_000_000


class SlowReaders:
    """Ends subscriptions with the contract `stream` whose events have become gaps for longer than `seconds`, without a moment at which they had
    everything; each with a resume point behind what waits for it. 0: none is ended, nor where the relay keeps no log."""

    def __init__(
        self,
        seconds: float,
        token: Callable[[Subscription, Point], str | None],
        leave: Callable[[Subscriber, Subscription], None],
        figures: Figures,
    ) -> None:
        self._limit_ns = int(seconds * _SECOND)
        self._token = token
        self._leave = leave
        self._figures = figures
        self._found: list[tuple[Subscriber, Subscription]] = []

    def dropped(self, subscriber: Subscriber, subscription: Subscription, now_ns: int) -> None:
        """Events became a gap. What is to be ended ends when they have been handed to everybody."""
        since_ns = subscription.behind_since_ns
        if not self._limit_ns or not since_ns or now_ns - since_ns < self._limit_ns:
            return
        if not isinstance(subscription.wanted.contract, Stream):
            return
        if not self._found:
            asyncio.get_running_loop().call_soon(self._end_all)
        self._found.append((subscriber, subscription))

    def _end_all(self) -> None:
        found, self._found = self._found, []
        for subscriber, subscription in found:
            if subscriber.subscriptions.get(subscription.wanted.subscription_id) is subscription:
                self._end(subscriber, subscription)

    def _end(self, subscriber: Subscriber, subscription: Subscription) -> None:
        number = subscription.wanted.subscription_id
        point = subscription.next_point()
        token = self._token(subscription, point) if point is not None else None
        if token is None:
            return  # it cannot be resumed now; the next gap asks again
        error = SubscriberTooSlow(
            f"subscription {number} lost events to its full queue for longer than {self._limit_ns / _SECOND:g} seconds (RELAY_SLOW_SECONDS)",
            metadata={"resume_token": token},
            hint="resume it: the log gives what follows at the pace at which you read",
        )
        del subscriber.subscriptions[number]
        self._leave(subscriber, subscription)
        subscriber.ended.add(number)
        subscriber.mark_point(subscription)
        subscriber.notify(convert.ended(number, error), after=subscription)
        subscriber.share()
        self._figures.ended += 1
        _log.warning("a subscription is too slow: it has to resume", subscriber=subscriber.name, subscription=number)
        subscriber.wake()
