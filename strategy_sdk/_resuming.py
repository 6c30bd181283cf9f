"""Where each subscription goes on after a lost connection: the relay's last point, and what was received behind it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

from alphapulse.api.relay.v1 import relay_service_pb2 as relay
from alphapulse.domain.errors import AlphaPulseError, NoEventLog, ResumeTokenInvalid, ResumeTokenTooOld, Unimplemented
from strategy_sdk._batch import EventBatch, Gap
from strategy_sdk._numbering import Numbering
from strategy_sdk._places import Behind, Place, is_conflating

PATIENCE_SECONDS: Final = 5.0
"""How long a relay may be unable to read its log before a subscription starts anew: events of now are worth more than old ones."""
RETRY_SECONDS: Final = 0.5
_STARTS_ANEW: Final = (NoEventLog, ResumeTokenInvalid, ResumeTokenTooOld, Unimplemented)


class _Kept:
    """One subscription."""

    __slots__ = ("asked", "behind", "resumed_at", "since_ns", "start")

    def __init__(self, asked: relay.PutSubscription, start: Place | None) -> None:
        self.asked = asked
        self.start = start
        """The place it was to start from."""
        self.behind = Behind(conflates=is_conflating(asked))
        self.resumed_at = 0.0
        """When the relay was first asked to start it in the past, by the monotonic clock; 0: no answer is awaited."""
        self.since_ns = 0
        """It was resumed then: what the relay had handed on before comes late. 0: everything comes as it happens."""

    def comes_late(self) -> None:
        """It is asked for from the past on."""
        self.resumed_at = self.resumed_at or time.monotonic()
        self.since_ns = time.time_ns()


class Resuming:
    """What was asked for each subscription, and what has to be asked so that it goes on without a loss and without a duplicate."""

    def __init__(self, numbering: Numbering) -> None:
        self._numbering = numbering
        self._kept: dict[int, _Kept] = {}

    def __iter__(self) -> Iterator[int]:
        return iter(tuple(self._kept))

    def __contains__(self, identity: int) -> bool:
        return identity in self._kept

    def begin(self, identity: int, asked: relay.PutSubscription, start: object = None) -> None:
        """A new subscription, from a place or from somewhere else."""
        self._kept[identity] = _Kept(asked, start if isinstance(start, Place) else None)

    def end(self, identity: int) -> None:
        """It is over."""
        self._kept.pop(identity, None)

    def first(self, identity: int) -> relay.SubscribeRequest:
        """What starts it as it was asked for; the same again as long as there is no answer."""
        kept = self._kept[identity]
        self._numbering.begin(identity, kept.start.number if kept.start is not None else 0)
        if kept.start is not None:
            kept.behind.starts(kept.start)
        if kept.asked.start.WhichOneof("start") in ("resume_token", "time_ns"):
            kept.comes_late()
        return relay.SubscribeRequest(put=kept.asked)

    def anew(self, identity: int) -> relay.SubscribeRequest:
        """What starts it over: its numbers begin from 1, and nothing old comes."""
        kept = self._kept[identity]
        kept.behind.point("", "")
        kept.resumed_at = 0.0
        if kept.asked.start.WhichOneof("start") != "snapshot":
            kept.asked.start.CopyFrom(relay.SubscriptionStart(now=relay.StartNow()))
        self._numbering.begin(identity)
        return relay.SubscribeRequest(put=kept.asked)

    def resume(self, identity: int) -> relay.SubscribeRequest | None:
        """What makes it go on where it stopped; None where the relay has named no point."""
        kept = self._kept[identity]
        place = kept.behind.place(self._numbering.last(identity))
        if place is None:
            return None
        put = relay.PutSubscription()
        put.CopyFrom(kept.asked)
        put.start.CopyFrom(place.to_message())
        kept.comes_late()
        return relay.SubscribeRequest(put=put)

    def acknowledged(self, identity: int, relay_id: str) -> bool:
        """The relay, in this life, goes on with it, or takes it anew; whether what follows is of another life than what came before."""
        kept = self._kept.get(identity)
        if kept is None:
            return False
        resumed, kept.resumed_at = kept.resumed_at, 0.0
        if resumed:
            return False  # the point says it
        before, kept.behind.life = kept.behind.life, relay_id or kept.behind.life
        return bool(before) and kept.behind.life != before

    def refused(self, identity: int, error: AlphaPulseError) -> bool | None:
        """What a refusal means for a subscription that was to start in the past: True, that it cannot; False, it is asked again after RETRY_SECONDS;
        None, it is no matter of resuming."""
        kept = self._kept.get(identity)
        if kept is None or not kept.resumed_at:
            return None
        if isinstance(error, _STARTS_ANEW):
            return True
        if error.code == "UNAVAILABLE":
            return time.monotonic() - kept.resumed_at > PATIENCE_SECONDS
        return None

    def point(self, message: relay.ResumePoint) -> bool:
        """The relay names a point behind everything received so far; whether what follows is of another life of the relay."""
        kept = self._kept.get(message.subscription_id)
        if kept is None:
            return False
        before = kept.behind.life
        kept.behind.point(message.resume_token, message.relay_id)
        return bool(before) and kept.behind.life != before

    def delivered(self, batch: EventBatch) -> bool:
        """Events were received; whether they came as they happened, not late after a resume."""
        kept = self._kept.get(batch.subscription_id)
        if kept is None:
            return True
        kept.behind.batch(batch)
        if kept.since_ns and all(int(rows["relay_out_ns"].max()) < kept.since_ns for _, rows in batch.runs):
            return False
        kept.since_ns = 0
        return True

    def gap(self, gap: Gap) -> None:
        """The relay declared a gap."""
        kept = self._kept.get(gap.subscription_id)
        if kept is not None:
            kept.behind.gap(gap)
