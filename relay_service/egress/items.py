"""What waits for a subscriber, in the order it will be written."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from relay_service.egress.rows import sequence_at

if TYPE_CHECKING:
    from relay_service.egress.conflation import Conflater
    from relay_service.egress.subscription import Subscription
    from relay_service.log.records import Point, Position

MAX_BATCH_BYTES: Final = 1 << 20
"""Rows of one delivery, in bytes: well below the message limit that gRPC clients have by default (4 MiB)."""
PART_COST: Final = 128
"""Bytes of memory a piece of rows costs beside the rows."""
NOTICE_COST: Final = 128
"""Bytes of memory a notice costs beside its message."""


@dataclass(slots=True, eq=False)
class Batch:
    """Rows of one subscription that will be one delivery; grows while it waits."""

    subscription: Subscription
    first_number: int
    """The subscription's own number of the first row."""
    since_ns: int
    """When its first row was handed over, nanoseconds since the Unix epoch."""
    count: int = 0
    size: int = 0
    """Bytes of the rows."""
    behind: int = 0
    """Of one without rows: the relay's sequence that it stands behind."""
    conflated: int = 0
    parts: list[tuple[int, bytes, int]] = field(default_factory=list)
    """(event type, rows, how many), in order of sequence."""
    reaches: Position | None = None
    """Of the last one of what conflated: behind it, everything up to here is written."""

    @property
    def cost(self) -> int:
        """Bytes of memory."""
        return self.size + PART_COST * len(self.parts)

    @property
    def last_sequence(self) -> int:
        """The relay's sequence of the last row."""
        if not self.parts:
            return self.behind
        event_type, rows, count = self.parts[-1]
        return sequence_at(event_type, rows, count - 1)


@dataclass(slots=True, eq=False)
class GapNotice:
    """Events that will not come, declared at their place; grows while it is the last that waits for its subscription."""

    subscription: Subscription
    reason: str
    count: int
    from_number: int = 0
    """0: the events never had a number here."""
    to_number: int = 0
    source: str = ""
    listing_key: int = 0
    last_sequence: int = 0
    """Of the last event missing, or before the loss."""
    source_gap: int = 0
    """The number of the first loss of a source that is in it; 0: it is not a source's."""


@dataclass(frozen=True, slots=True, eq=False)
class Notice:
    """A finished SubscribeResponse."""

    message: bytes


@dataclass(frozen=True, slots=True, eq=False)
class PointDue:
    """The place of a subscription's first resume point, or of the first in another life of the relay: behind what was queued before it."""

    subscription: Subscription
    point: Point | None
    """None: it cannot be told yet."""


@dataclass(frozen=True, slots=True, eq=False)
class Conflated:
    """The place of a subscription that conflates: its rows are taken when their turn comes."""

    subscription: Subscription
    conflater: Conflater
    """Whose rows; the subscription's own may be another one by then."""


@dataclass(frozen=True, slots=True, eq=False)
class HeartbeatDue:
    """The place of a heartbeat, and of resume points behind it: written with the figures of the moment it is sent."""


Item = Batch | GapNotice | Notice | Conflated | HeartbeatDue | PointDue


class Encoder(Protocol):
    """The bytes of one transport."""

    def batch(self, batch: Batch) -> bytes:
        """A delivery."""
        ...

    def control(self, message: bytes) -> bytes:
        """A serialized SubscribeResponse of any other kind."""
        ...
