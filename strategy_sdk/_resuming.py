"""Where each subscription goes on after a lost connection: the relay's last point, and what was received behind it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

from alphapulse.api.relay.v1 import relay_service_pb2 as relay
from alphapulse.domain.errors import AlphaPulseError, NoEventLog, ResumeTokenInvalid, ResumeTokenTooOld, Unimplemented
from strategy_sdk._batch import EventBatch, Gap
from strategy_sdk._numbering import Numbering

PATIENCE_SECONDS: Final = 5.0
"""How long a relay may be unable to read its log before a subscription starts anew: events of now are worth more than old ones."""
RETRY_SECONDS: Final = 0.5
_STARTS_ANEW: Final = (NoEventLog, ResumeTokenInvalid, ResumeTokenTooOld, Unimplemented)


class _Kept:
    """One subscription."""

    __slots__ = ("asked", "by_type", "conflates", "life", "resumed_at", "sequence", "since_ns", "source_gap", "token")

    def __init__(self, asked: relay.PutSubscription) -> None:
        self.asked = asked
        self.conflates = asked.WhichOneof("contract") in ("latest", "window")
        self.resumed_at = 0.0
        """When the relay was first asked to resume it, by the monotonic clock; 0: no answer is awaited."""
        self.since_ns = 0
        """It was resumed then: what the relay had handed on before comes late. 0: everything comes as it happens."""
        self.life = ""
        """The relay_id of the life its events are of; empty before the first answer."""
        self.forget()

    def forget(self) -> None:
        """There is no point."""
        self.token = ""
        self.clear()

    def clear(self) -> None:
        """Nothing came behind the point."""
        self.sequence = self.source_gap = 0
        self.by_type: dict[int, int] = {}


class Resuming:
    """What was asked for each subscription, and what has to be asked so that it goes on without a loss and without a duplicate."""

    def __init__(self, numbering: Numbering) -> None:
        self._numbering = numbering
        self._kept: dict[int, _Kept] = {}

    def __iter__(self) -> Iterator[int]:
        return iter(tuple(self._kept))

    def __contains__(self, identity: int) -> bool:
        return identity in self._kept

    def begin(self, identity: int, asked: relay.PutSubscription) -> None:
        """A new subscription."""
        self._kept[identity] = _Kept(asked)
        self._numbering.begin(identity)

    def end(self, identity: int) -> None:
        """It is over."""
        self._kept.pop(identity, None)

    def asked(self, identity: int) -> relay.SubscribeRequest:
        """What starts it anew: its numbers begin from 1."""
        kept = self._kept[identity]
        kept.forget()
        kept.resumed_at = 0.0
        self._numbering.begin(identity)
        return relay.SubscribeRequest(put=kept.asked)

    def resume(self, identity: int) -> relay.SubscribeRequest | None:
        """What makes it go on where it stopped; None where the relay has named no point."""
        kept = self._kept[identity]
        if not kept.token:
            return None
        put = relay.PutSubscription()
        put.CopyFrom(kept.asked)
        start = relay.SubscriptionStart(
            resume_token=kept.token,
            received_number=self._numbering.last(identity),
            received_source_gap=kept.source_gap,
        )
        if kept.conflates:
            start.received_by_type.update(kept.by_type)
        else:
            start.received_sequence = kept.sequence
        put.start.CopyFrom(start)
        kept.resumed_at = kept.resumed_at or time.monotonic()
        kept.since_ns = time.time_ns()
        return relay.SubscribeRequest(put=put)

    def acknowledged(self, identity: int, relay_id: str) -> bool:
        """The relay, in this life, goes on with it, or takes it anew; whether what follows is of another life than what came before."""
        kept = self._kept.get(identity)
        if kept is None:
            return False
        resumed, kept.resumed_at = kept.resumed_at, 0.0
        return not resumed and self._turns(kept, relay_id)  # of one that is resumed the point says it

    def _turns(self, kept: _Kept, relay_id: str) -> bool:
        before, kept.life = kept.life, relay_id or kept.life
        return bool(before) and kept.life != before

    def refused(self, identity: int, error: AlphaPulseError) -> bool | None:
        """What a refusal means for a subscription that was to be resumed: True, it starts anew; False, it is asked again after RETRY_SECONDS;
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
        kept.token = message.resume_token
        kept.clear()
        return self._turns(kept, message.relay_id)

    def delivered(self, batch: EventBatch) -> bool:
        """Events were received; whether they came as they happened, not late after a resume."""
        kept = self._kept.get(batch.subscription_id)
        if kept is None:
            return True
        kept.sequence = max(kept.sequence, batch.last_sequence)
        if kept.conflates:
            for layout, rows in batch.runs:
                last = int(rows["sequence"].max())
                kept.by_type[layout.event_type] = max(last, kept.by_type.get(layout.event_type, 0))
        if kept.since_ns and all(int(rows["relay_out_ns"].max()) < kept.since_ns for _, rows in batch.runs):
            return False
        kept.since_ns = 0
        return True

    def gap(self, gap: Gap) -> None:
        """The relay declared a gap."""
        kept = self._kept.get(gap.subscription_id)
        if kept is not None:
            kept.sequence = max(kept.sequence, gap.last_sequence)
            kept.source_gap = max(kept.source_gap, gap.source_gap)
