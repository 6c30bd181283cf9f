"""Where a subscription goes on: the relay's last point and what came behind it, as one value to keep, and as it is followed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final, Self

from alphapulse.api.relay.v1 import relay_service_pb2 as relay
from alphapulse.domain.errors import InvalidArgument
from alphapulse.records import LAYOUTS
from strategy_sdk._batch import EventBatch, Gap

_FORMAT: Final = 1
_MOST: Final = 2**64 - 1
_SHOWN: Final = 32
"""Characters of a refused text that are told."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a subscription goes on, at any relay of the same log, in this process or another: `Subscription.place` gives it, `subscribe(start=place)`
    takes it, for the same filter and contract. `str(place)` is text to store, `Place.parse` reads it."""

    resume_token: str = field(repr=False)
    """The relay's last point."""
    number: int = 0
    """The subscription's last number, of an event or a gap: the next event has the next one."""
    sequence: int = 0
    """Behind the point, the highest sequence of an event or a gap; 0: nothing came, or the contract is Latest or Window."""
    by_type: Mapping[int, int] = field(default_factory=dict)
    """Behind the point, with Latest and Window: the highest sequence by event type."""
    source_gap: int = 0
    """Behind the point, the highest `Gap.source_gap`; 0: none came."""
    relay_id: str = ""
    """The life of the relay that the sequences are of."""

    def __str__(self) -> str:
        found = {one.name: getattr(self, one.name) for one in fields(self)}
        return json.dumps({"format": _FORMAT, **found}, separators=(",", ":"))

    @classmethod
    def parse(cls, text: str) -> Self:
        """The place that `str` made text of. Raises InvalidArgument with the rule `place-format`."""
        try:
            found = json.loads(text)
            if found.pop("format") != _FORMAT:
                raise ValueError(f"not of format {_FORMAT}")
            found["by_type"] = {int(kind): sequence for kind, sequence in found["by_type"].items()}
            place = cls(**found)
            place._check()
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
            raise InvalidArgument.field("place", shown, "place-format", f"not the text of a place: {error}") from error
        return place

    def _check(self) -> None:
        if not (isinstance(self.resume_token, str) and self.resume_token and isinstance(self.relay_id, str)):
            raise ValueError("resume_token and relay_id are texts, and there is a token")
        for value in (self.number, self.sequence, self.source_gap, *self.by_type.values()):
            if type(value) is not int or not 0 <= value <= _MOST:
                raise ValueError(f"{value!r} is no unsigned number of 64 bits")
        if unknown := self.by_type.keys() - LAYOUTS.keys():
            raise ValueError(f"{sorted(unknown)} are no event types")

    def at(self, resume_token: str) -> Place:
        """With a later token of the relay, such as `error.metadata["oldest_token"]` of a ResumeTokenTooOld: what lies between is lost, the numbers
        go on."""
        return replace(self, resume_token=resume_token, sequence=0, by_type={}, source_gap=0)

    def to_message(self) -> relay.SubscriptionStart:
        """As the API's message."""
        return relay.SubscriptionStart(
            resume_token=self.resume_token,
            received_number=self.number,
            received_sequence=self.sequence,
            received_by_type=self.by_type,
            received_source_gap=self.source_gap,
        )


@dataclass(frozen=True, slots=True)
class Places:
    """Where a subscription at several partitions goes on: a place for each, in their order. Good for as many partitions alone."""

    of: tuple[Place, ...]

    def __str__(self) -> str:
        return json.dumps({"format": _FORMAT, "partitions": [str(place) for place in self.of]}, separators=(",", ":"))

    @classmethod
    def parse(cls, text: str) -> Self:
        """The places that `str` made text of. Raises InvalidArgument with the rule `place-format`."""
        try:
            found = json.loads(text)
            if found.pop("format") != _FORMAT or not found["partitions"]:
                raise ValueError(f"not of format {_FORMAT}, or of no partition")
            return cls(tuple(Place.parse(one) for one in found["partitions"]))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
            raise InvalidArgument.field("place", shown, "place-format", f"not the text of places: {error}") from error


class Behind:
    """Follows one subscription: the last point, and what came behind it."""

    __slots__ = ("by_type", "conflates", "life", "sequence", "source_gap", "token")

    def __init__(self, *, conflates: bool) -> None:
        self.conflates = conflates
        """Its contract is Latest or Window."""
        self.life = ""
        """The relay_id of the life its events are of; empty before that is told."""
        self.point("", "")

    def point(self, token: str, life: str) -> None:
        """The relay named a point, and nothing came behind it yet; without a token there is none."""
        self.token = token
        self.life = life or self.life
        self.sequence = self.source_gap = 0
        self.by_type: dict[int, int] = {}

    def starts(self, place: Place) -> None:
        """It goes on from a place."""
        self.token, self.life = place.resume_token, place.relay_id
        self.sequence, self.source_gap, self.by_type = place.sequence, place.source_gap, dict(place.by_type)

    def batch(self, batch: EventBatch) -> None:
        """Events and gaps came."""
        for gap in batch.gaps:
            self.gap(gap)
        if batch.count:
            self.events(batch, batch.last_sequence)

    def events(self, batch: EventBatch, last: int) -> None:
        """The events of a batch came, up to a sequence."""
        if not self.conflates:
            if last > self.sequence:
                self.sequence = last
            return
        for layout, rows in batch.runs:
            came = rows["sequence"][rows["sequence"] <= last]
            if len(came):
                kind = layout.event_type
                self.by_type[kind] = max(int(came.max()), self.by_type.get(kind, 0))

    def gap(self, gap: Gap) -> None:
        """A gap was declared."""
        if not self.conflates:
            self.sequence = max(self.sequence, gap.last_sequence)
        self.source_gap = max(self.source_gap, gap.source_gap)

    def place(self, number: int) -> Place | None:
        """As a value; None where there is no point."""
        if not self.token:
            return None
        return Place(self.token, number, self.sequence, dict(self.by_type), self.source_gap, self.life)

    def copy(self) -> Behind:
        """Another one that stands here."""
        found = Behind(conflates=self.conflates)
        for name in self.__slots__:
            setattr(found, name, getattr(self, name))
        found.by_type = dict(self.by_type)
        return found


def is_conflating(asked: Any) -> bool:
    """Whether the contract of a PutSubscription replaces events by newer ones."""
    return asked.WhichOneof("contract") in ("latest", "window")
