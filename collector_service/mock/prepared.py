"""Frames by prepared forms: what messages of one shape have in common is written once, and of each only what it has of its own.

A form is made beside a message that was written path by path, and is used only if it gives that message; a shape that has no form goes on being
written so.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import Any, Final

import msgspec

from collector_service.mock import events as happened
from collector_service.mock.blanks import BlankLevels, Blanks, Render, Text
from collector_service.mock.draft import Draft, UnwritableError, encoded
from collector_service.mock.records import Pen, fill_level, list_of, write_level
from collector_service.spec import records

Told = Mapping[int, Sequence[happened.Event]]
"""Events by the place of the record, in its route, that reads them; several are items of a repeated record."""
_MOST: Final = 8_192
"""Shapes that are remembered."""
_PLAIN: Final = msgspec.json.Decoder(float_hook=str).decode
_NUMBERS: Final = ("first", "last", "previous", "checksum")
_AMOUNTS: Final = ("bid", "ask", "bid_size", "ask_size")
_MOMENT: Final = "time_ns"


class ShapelessError(Exception):
    """There is no form for such a message."""


class Forms:
    """The forms of one venue's messages, by their shapes."""

    def __init__(self) -> None:
        self._met: set[Hashable] = set()
        self._known: dict[Hashable, _Form | None] = {}

    def filled(self, shape: Hashable, told: Told) -> bytes | None:
        """A message by its form; None where there is none. Raises UnwritableError for a value that cannot be told."""
        form = self._known.get(shape)
        return form.filled(told) if form is not None else None

    def learn(
        self, shape: Hashable, told: Told, route: Sequence[Any], pen: Pen, data: bytes, write: Callable[[Told], Any]
    ) -> None:
        """Makes a form beside a message that was written path by path, of a shape that is met again. `write` writes one so, of events that may
        have blanks."""
        if shape not in self._met:
            if len(self._met) < _MOST:
                self._met.add(shape)
            return
        if shape in self._known:
            return
        self._known[shape] = None
        try:
            form = _Form.made(told, route, pen, write)
            if _PLAIN(form.filled(told)) == _PLAIN(data):
                self._known[shape] = form
        except (ShapelessError, UnwritableError, TypeError, LookupError):
            return  # it cannot be told apart where a value stands: path by path, then


@dataclass(frozen=True, slots=True)
class _Form:
    parts: tuple[bytes, ...]
    slots: tuple[tuple[int, int, Callable[[Any], Any], Render], ...]
    """Of each blank the place and item of an event, what is taken from it, and how it is written."""

    @classmethod
    def made(cls, told: Told, route: Sequence[Any], pen: Pen, write: Callable[[Told], Any]) -> _Form:
        blanks = Blanks()
        shares = _shares_time(told)
        blanked = {
            place: [
                _blanked(event, route[place], (place, item), (0, 0) if shares else (place, item), blanks, pen)
                for item, event in enumerate(group)
            ]
            for place, group in told.items()
        }
        parts, slots = blanks.parted(encoded(write(blanked)))
        first = next(iter(told), 0)
        return cls(
            parts,
            tuple(
                (first if shares and name == _MOMENT else place, item, _getter(name), render)
                for (place, item, name), render in slots
            ),
        )

    def filled(self, told: Told) -> bytes:
        found = [self.parts[0]]
        for (place, item, get, render), part in zip(self.slots, self.parts[1:], strict=True):
            found += (render(get(told[place][item])), part)
        return b"".join(found)


@dataclass(slots=True)
class _Ladder:
    """One list of levels of a record: how a level of each kind is written in it."""

    record: Any
    place: int
    pen: Pen
    items: dict[tuple[int, bool, bool], Text] = field(default_factory=dict)

    def filled(self, event: happened.BookEvent) -> bytes:
        lists = [self._level(level, event) for level in event.levels if list_of(self.record, level) == self.place]
        return b"[" + b",".join(lists) + b"]"

    def _level(self, level: happened.LevelEvent, event: happened.BookEvent) -> bytes:
        kind = (level.side, not level.size[0], level.known)
        known = self.items.get(kind)
        if known is None:
            known = self.items[kind] = self._item(level, event)
        parts, slots = known
        found = [parts[0]]
        for (name, render), part in zip(slots, parts[1:], strict=True):
            found += (render(getattr(event if name == _MOMENT else level, name)), part)
        return b"".join(found)

    def _item(self, level: happened.LevelEvent, event: happened.BookEvent) -> Text:
        blanks, draft, levels = Blanks(), Draft(), self.record.levels[self.place]
        moment = replace(event, time_ns=blanks.blank(_MOMENT))
        write_level(draft, levels, _blank_level(level, blanks, ""), moment, (), self.pen)
        fill_level(draft, levels, ())
        return blanks.parted(encoded(draft.build()))


def shape_of(told: Told, route: Sequence[Any]) -> Hashable:
    """What messages of a kind have to share so that one form gives them. Raises ShapelessError."""
    shapes = tuple((place, *(_shape(route[place], event) for event in group)) for place, group in told.items())
    return shapes, _shares_time(told)


def _shares_time(told: Told) -> bool:
    events = [event for group in told.values() for event in group]
    moment = getattr(events[0], _MOMENT, None) if events else None
    return moment is not None and all(getattr(event, _MOMENT, None) == moment for event in events)


def _shape(record: Any, event: happened.Event) -> Hashable:
    match event:
        case happened.TradeEvent():
            return event.instrument.symbol, event.side
        case happened.QuoteEvent():
            return event.instrument.symbol, *(getattr(event, name) is None for name in _AMOUNTS)
        case happened.BookEvent():
            return event.instrument.symbol, event.whole, event.depth, _levels_shape(record, event)
        case happened.FigureEvent():
            return event.instrument.symbol
        case happened.StateEvent():
            return event.instrument.symbol, event.word
        case happened.DepthEvent():
            return event.instrument.symbol, event.depth
    raise ShapelessError


def _levels_shape(record: Any, event: happened.BookEvent) -> Hashable:
    if not isinstance(record, (records.BookSnapshot, records.BookUpdate)):
        raise ShapelessError
    if any(levels.path == "." for levels in record.levels):
        return tuple((level.side, not level.size[0], level.known) for level in event.levels)
    if len({levels.path for levels in record.levels}) < len(record.levels):
        raise ShapelessError  # two lists in one: which items are of which follows from how many there are
    return frozenset(list_of(record, level) for level in event.levels)


def _blanked(
    event: Any, record: Any, at: tuple[int, int], moment_at: tuple[int, int], blanks: Blanks, pen: Pen
) -> happened.Event:
    """The event without what differs between messages of its shape."""

    def blank(name: str) -> Any:
        return blanks.blank((*at, name))

    moment = blanks.blank((*moment_at, _MOMENT))
    match event:
        case happened.TradeEvent():
            return replace(event, price=blank("price"), size=blank("size"), number=blank("number"), time_ns=moment)
        case happened.QuoteEvent():
            amounts = {name: blank(name) for name in _AMOUNTS if getattr(event, name) is not None}
            return replace(event, time_ns=moment, **amounts)
        case happened.FigureEvent():
            return replace(event, value=blank("value"), time_ns=moment)
        case happened.StateEvent():
            return replace(event, time_ns=moment)
        case happened.DepthEvent():
            return event
        case happened.BookEvent():
            numbers = {name: blank(name) for name in _NUMBERS}
            return replace(event, levels=_blank_levels(event, record, at, blanks, pen), time_ns=moment, **numbers)
    raise ShapelessError


def _blank_levels(event: happened.BookEvent, record: Any, at: tuple[int, int], blanks: Blanks, pen: Pen) -> Any:
    if any(levels.path == "." for levels in record.levels):
        if len(event.levels) != 1:
            raise ShapelessError
        return (_blank_level(event.levels[0], blanks, at),)
    lists = []
    for place in sorted({list_of(record, level) for level in event.levels}):
        token = blanks.blank((*at, f"levels{place}")).token(None, _Ladder(record, place, pen).filled)
        lists.append((record.levels[place].path, token))
    return BlankLevels(tuple(lists))


def _blank_level(level: happened.LevelEvent, blanks: Blanks, at: Any) -> happened.LevelEvent:
    def blank(name: str) -> Any:
        return blanks.blank((*at, f"level.{name}") if at else name)

    size = {"size": blank("size")} if level.size[0] else {}
    return replace(level, price=blank("price"), number=blank("number"), offset=blank("offset"), **size)


def _getter(name: str) -> Callable[[Any], Any]:
    if name.startswith("level."):
        inner = attrgetter(name.removeprefix("level."))
        return lambda event: inner(event.levels[0])
    return (lambda event: event) if name.startswith("levels") else attrgetter(name)
