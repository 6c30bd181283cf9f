"""What a mock venue can say of a source's routes: for each record the kind that tells it, or why none can."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from collector_service.compiler.faults import SpecificationError
from collector_service.mock import events as happened
from collector_service.mock.draft import UnwritableError
from collector_service.mock.frames import FrameWriter, SpokenTooError
from collector_service.mock.records import fitting
from collector_service.spec import Channel, fields, records
from collector_service.spec.dialect import Dialect

Sample = Callable[[Any], "happened.Event | None"]
"""An event for a record; None where there is none for it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How one record is told: in messages of a kind, at a place of its route, with these others that the same message tells."""

    kind: str
    place: int
    record: Any
    companions: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """As reports name it."""
        return f"{self.kind} ({type(self.record).__name__})"


_HOOKED: Final[tuple[Any, ...]] = (
    records.Trade(symbol="", price="", size="", side=fields.Side(""), trade_id=""),
    records.Quote(symbol="", bid="", ask="", bid_size="", ask_size=""),
    records.BookSnapshot(levels=records.sides("", "")),
    records.BookUpdate(levels=records.sides("", "")),
    records.Statistic(symbol="", kind=0, value=""),
)
"""Stand for what hooks may tell."""
_CHANNELS: Final = {
    records.Trade: Channel.TRADES,
    records.Quote: Channel.QUOTES,
    records.BookSnapshot: Channel.BOOKS,
    records.BookUpdate: Channel.BOOKS,
    records.Notice: Channel.NOTICES,
}


def channel_of(record: Any) -> Channel | None:
    """The channel that brings a record; None for what comes with others."""
    return _CHANNELS.get(type(record))


class Plans:
    """Everything a dialect can be told in. `missing` says what cannot, and why."""

    def __init__(self, writer: FrameWriter, sample: Sample) -> None:
        self.told: list[Plan] = []
        self.missing: dict[str, str] = {}
        self._writer = writer
        self._of: dict[tuple[type, ...], list[Plan]] = {}
        for kind in writer.dialect.routes:
            for place, record in enumerate(writer.route(kind)):
                self._plan(kind, place, record, sample)

    def of(self, *types: type) -> list[Plan]:
        """The plans of records of these types."""
        found = self._of.get(types)
        if found is None:
            found = self._of[types] = [plan for plan in self.told if isinstance(plan.record, types)]
        return found

    def learned_by(self, channel: Channel) -> list[Plan]:
        """The `Learn` records whose numbers a channel's messages bear."""
        names = {
            name
            for plan in self.told
            if channel_of(plan.record) is channel
            for name in self._writer.learned_channels()
            if plan.kind == name or plan.kind.startswith(f"{name}:")
        }
        chosen = self.of(records.Learn)
        return [plan for plan in chosen if plan.record.channel in names] or (chosen if not names else [])

    def _plan(self, kind: str, place: int, record: Any, sample: Sample) -> None:
        name = f"{kind} ({type(record).__name__})"
        if isinstance(record, records.Hook):
            self._hooked(kind, record, sample)
            return
        places: tuple[int, ...] = (place,)
        while True:
            told = {}
            for one in places:
                event = sample(self._writer.route(kind)[one])
                if event is None:
                    self.missing[name] = "the mock has no such event"
                    return
                told[one] = [event]
            try:
                self._writer.frame(kind, told)
            except SpokenTooError as error:
                places = (*places, *error.places)
                continue
            except (UnwritableError, SpecificationError) as error:
                self.missing[name] = str(error)
                return
            self.told.append(Plan(kind, place, record, places[1:]))
            return

    def _hooked(self, kind: str, hook: records.Hook, sample: Sample) -> None:
        before = len(self.told)
        for stand_in in _HOOKED if hook.write is not None else ():
            try:
                self._writer.frame(kind, {0: [sample(stand_in)]})  # type: ignore[list-item]
            except UnwritableError:
                continue
            self.told.append(Plan(kind, 0, stand_in))
        if len(self.told) == before:
            self.missing[f"{kind} (Hook)"] = "a hook reads it, and says no way back"


def is_told(record: Any, changes: Sequence[happened.LevelEvent]) -> bool:
    """Whether an update of this record can tell of all these changes."""
    return all(any(fitting(levels, change) for levels in record.levels) for change in changes)


def takes_levels_out(record: Any) -> bool:
    """Whether it has a way of its own to say that a level is gone, beside size 0."""
    return any(levels.size is None or levels.gone for levels in record.levels)


def tells_one_level(record: Any) -> bool:
    """Whether each message is one level."""
    return any(levels.path == "." for levels in record.levels)


def parted(
    plans: Plans, changes: Sequence[happened.LevelEvent], dice: random.Random
) -> Iterator[tuple[Plan, Sequence[happened.LevelEvent]]]:
    """The changes of a book in the messages that can tell of them. Raises UnwritableError."""
    updates = plans.of(records.BookUpdate)
    own_way = [plan for plan in updates if takes_levels_out(plan.record)]
    gone = [change for change in changes if not change.size[0]]
    fit = [plan for plan in updates if is_told(plan.record, changes) and (not gone or not own_way or plan in own_way)]
    if fit:
        plan = dice.choice(fit)
        yield from ((plan, [change]) for change in changes) if tells_one_level(plan.record) else ((plan, changes),)
        return
    for part, choice in ((gone, own_way or updates), ([change for change in changes if change.size[0]], updates)):
        for change in part:
            chosen = [plan for plan in choice if is_told(plan.record, [change])]
            if not chosen:
                raise UnwritableError(f"no update can tell of {change}")
            yield chosen[0], [change]


def records_of(dialect: Dialect) -> Iterator[Any]:
    """All records of a dialect, with that of its snapshot."""
    for found in dialect.routes.values():
        yield from found if isinstance(found, tuple) else (found,)
    for poll in dialect.polls:
        yield from poll.record if isinstance(poll.record, tuple) else (poll.record,)
    if dialect.snapshot is not None:
        yield dialect.snapshot.record


def amounts_of(record: Any) -> Iterator[tuple[bool, Any]]:
    """(whether it is a price, field) of all amounts of a record."""
    for name in ("price", "bid", "ask", "size", "bid_size", "ask_size"):
        field = getattr(record, name, None)
        if field is not None:
            yield not name.endswith("size"), field
    for levels in getattr(record, "levels", ()):
        yield True, levels.price
        if levels.size is not None:
            yield False, levels.size


def scales_of(dialect: Dialect) -> frozenset[str]:
    """The extras that scale whole numbers."""
    found = [field for record in records_of(dialect) for _, field in amounts_of(record)]
    return frozenset(field.name for field in found if isinstance(field, fields.ScaledBy))
