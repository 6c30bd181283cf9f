"""What a client asks on its stream: hello, put, remove. One session for each connection, the same on both transports."""

from __future__ import annotations

from typing import Any, Final

from alphapulse.domain.errors import (
    AlphaPulseError,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    SubscriberTooSlow,
    TooManySubscriptions,
)
from relay_service.egress import convert
from relay_service.egress.fanout import FanOut
from relay_service.egress.subscriber import Subscriber
from relay_service.placement import check_partition
from relay_service.subscriptions.convert import wanted

MAX_SUBSCRIPTIONS: Final = 1000
"""On one stream."""
MAX_ID: Final = (1 << 32) - 1
MAX_UNIX_ID: Final = (1 << 16) - 1
_DEFAULT_HEARTBEAT_MS: Final = 1000
_HEARTBEAT_MS: Final = range(10, 600_001)
_MAX_NAME: Final = 256


class Session:
    """Reads SubscribeRequests. What is wrong with one subscription is answered in the stream; an error that is raised ends it."""

    def __init__(self, fanout: FanOut, subscriber: Subscriber, max_id: int) -> None:
        self._fanout = fanout
        self._subscriber = subscriber
        self._max_id = max_id

    def handle(self, request: Any) -> None:
        """One request. Raises InvalidArgument or FailedPrecondition when the client does not keep to the order hello, then the rest."""
        which = request.WhichOneof("message")
        if which == "hello":
            self._hello(request.hello)
        elif which is None:
            raise InvalidArgument.field("message", "", "required", "a request is a hello, a put or a remove")
        elif not self._subscriber.introduced:
            raise FailedPrecondition(f"the first request of a stream is a hello, not a {which}")
        elif which == "put":
            self._put(request.put)
        else:
            self._remove(request.remove.subscription_id)
        self._subscriber.wake()

    def _hello(self, hello: Any) -> None:
        if self._subscriber.introduced:
            raise FailedPrecondition("a stream says hello once")
        interval = hello.heartbeat_interval_ms or _DEFAULT_HEARTBEAT_MS
        if interval not in _HEARTBEAT_MS:
            text = f"{_HEARTBEAT_MS.start} to {_HEARTBEAT_MS.stop - 1} milliseconds, or 0 for {_DEFAULT_HEARTBEAT_MS}"
            raise InvalidArgument.field("hello.heartbeat_interval_ms", str(interval), "heartbeat-interval", text)
        for field in ("name", "agent"):
            value = getattr(hello, field)
            if len(value) > _MAX_NAME:
                raise InvalidArgument.field(f"hello.{field}", value, "length", f"at most {_MAX_NAME} characters")
        check_partition("hello.partition", hello.partition, self._fanout.core.partition)
        self._fanout.introduce(self._subscriber, hello.name, hello.agent, interval / 1e3, hello.with_definitions)

    def _put(self, message: Any) -> None:
        subscriber, number = self._subscriber, message.subscription_id
        try:
            if number not in subscriber.subscriptions and len(subscriber.subscriptions) >= MAX_SUBSCRIPTIONS:
                raise TooManySubscriptions(
                    f"a stream holds at most {MAX_SUBSCRIPTIONS} subscriptions",
                    metadata={"limit": str(MAX_SUBSCRIPTIONS)},
                )
            if number in subscriber.ended:
                if message.start.WhichOneof("start") is None:  # a change that crossed the end begins no other one
                    raise SubscriberTooSlow(f"subscription {number} was ended, and is not changed; resume it")
                subscriber.ended.discard(number)
            enabled = self._fanout.settings.registry_enabled
            chosen = wanted(message, max_id=self._max_id, registry_enabled=enabled)
            self._fanout.put(subscriber, chosen)
        except AlphaPulseError as error:
            subscriber.notify(convert.refused(number, error))

    def _remove(self, number: int) -> None:
        if number in self._subscriber.ended:  # it crossed the end, which is all the same
            self._subscriber.ended.discard(number)
            self._subscriber.notify(convert.acknowledged(number, 0, 0, self._fanout.token, removed=True))
        elif not self._fanout.remove(self._subscriber, number):
            error = NotFound(f"this stream has no subscription {number}", metadata={"subscription_id": str(number)})
            self._subscriber.notify(convert.refused(number, error))
