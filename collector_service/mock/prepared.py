"""Frames by prepared forms: what messages of one shape have in common is written once, and of each only what it has of its own.

A form is made beside a message that was written path by path, and is used only if it gives that message; a shape that has no form goes on being
written so.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from collector_service.mock import events as happened
from collector_service.mock.blanks import BlankLevels, Blanks, Render
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
        self._lists: dict[tuple[int, int, bool], int] = {}
        """Which list tells of levels, by the record, their side and whether they are gone."""

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
            form = self._made(told, route, pen, write)
            if _PLAIN(form.filled(told)) == _PLAIN(data):
                self._known[shape] = form
        except (ShapelessError, UnwritableError, TypeError, LookupError):
            return  # it cannot be told apart where a value stands: path by path, then

    def shape(self, told: Told, route: Sequence[Any]) -> Hashable:
        """What messages of a kind have to share so that one form gives them. Raises ShapelessError."""
        shapes = [(place, *[self._shape(route[place], event) for event in group]) for place, group in told.items()]
        return (*shapes, _shares_time(told))

    def _shape(self, record: Any, event: happened.Event) -> Hashable:
        match event:
            case happened.TradeEvent():
                return event.instrument.symbol, event.side
            case happened.QuoteEvent():
                empty = event.bid is None, event.ask is None, event.bid_size is None, event.ask_size is None
                return event.instrument.symbol, empty
            case happened.BookEvent():
                return event.instrument.symbol, event.whole, event.depth, self._levels(record, event)
            case happened.FigureEvent():
                return event.instrument.symbol
            case happened.StateEvent():
                return event.instrument.symbol, event.word
            case happened.DepthEvent():
                return event.instrument.symbol, event.depth
        raise ShapelessError

    def _levels(self, record: Any, event: happened.BookEvent) -> Hashable:
        if not isinstance(record, (records.BookSnapshot, records.BookUpdate)):
            raise ShapelessError
        if any(levels.path == "." for levels in record.levels):
            return tuple((level.side, not level.size[0], level.known) for level in event.levels)
        if len(record.levels) > 1 and len({levels.path for levels in record.levels}) < len(record.levels):
            raise ShapelessError  # two lists in one: which items are of which follows from how many there are
        return frozenset([self._list_of(record, level) for level in event.levels])

    def _list_of(self, record: Any, level: happened.LevelEvent) -> int:
        key = (id(record), level.side, not level.size[0])
        found = self._lists.get(key)
        if found is None:
            found = self._lists[key] = list_of(record, level)
        return found

    def _made(self, told: Told, route: Sequence[Any], pen: Pen, write: Callable[[Told], Any]) -> _Form:
        blanks = Blanks()
        shares = _shares_time(told)
        first = next(iter(told))
        blanked: dict[int, list[happened.Event]] = {}
        for place, group in told.items():
            blanked[place] = []
            for item, event in enumerate(group):
                at = (place, item)
                moment = blanks.blank((*((first, 0) if shares else at), _MOMENT))
                blanked[place].append(self._blanked(event, route[place], at, moment, blanks, pen))
        template, slots = blanks.parted(encoded(write(blanked)))
        return _Form(template, tuple((place, item, _getter(name), render) for (place, item, name), render in slots))

    def _blanked(
        self, event: Any, record: Any, at: tuple[int, int], moment: Any, blanks: Blanks, pen: Pen
    ) -> happened.Event:
        """The event without what differs between messages of its shape."""
        told: Sequence[str] = ()
        more: dict[str, Any] = {}
        match event:
            case happened.DepthEvent():
                return event
            case happened.TradeEvent():
                told = ("price", "size", "number")
            case happened.QuoteEvent():
                told = [name for name in _AMOUNTS if getattr(event, name) is not None]
            case happened.FigureEvent():
                told = ("value",)
            case happened.BookEvent():
                told = _NUMBERS
                more = {"levels": self._blank_levels(event, record, at, blanks, pen)}
        made: happened.Event = replace(
            event, time_ns=moment, **{name: blanks.blank((*at, name)) for name in told}, **more
        )
        return made

    def _blank_levels(
        self, event: happened.BookEvent, record: Any, at: tuple[int, int], blanks: Blanks, pen: Pen
    ) -> Any:
        if any(levels.path == "." for levels in record.levels):
            if len(event.levels) != 1:
                raise ShapelessError
            return (_blank_level(event.levels[0], blanks, at),)
        lists = []
        for place in sorted({self._list_of(record, level) for level in event.levels}):
            ladder = _Ladder(record, place, pen, self._list_of)
            token = blanks.blank((*at, f"levels{place}")).token(None, ladder.filled)
            lists.append((record.levels[place].path, token))
        return BlankLevels(tuple(lists))


@dataclass(frozen=True, slots=True)
class _Form:
    template: bytes
    slots: tuple[tuple[int, int, Callable[[Any], Any], Render], ...]
    """Of each blank the place and item of an event, what is taken from it, and how it is written."""

    def filled(self, told: Told) -> bytes:
        return self.template % tuple([render(get(told[place][item])) for place, item, get, render in self.slots])


@dataclass(slots=True)
class _Ladder:
    """One list of levels of a record: how a level of each kind is written in it."""

    record: Any
    place: int
    pen: Pen
    list_of: Callable[[Any, happened.LevelEvent], int]
    items: dict[tuple[int, bool, bool], _Item] = field(default_factory=dict)

    def filled(self, event: happened.BookEvent) -> bytes:
        told, items = [], self.items
        for level in event.levels:
            if self.list_of(self.record, level) != self.place:
                continue
            kind = (level.side, not level.size[0], level.known)
            item = items.get(kind)
            if item is None:
                item = items[kind] = self._item(level, event)
            told.append(item.filled(level, event.time_ns))
        return b"[" + b",".join(told) + b"]"

    def _item(self, level: happened.LevelEvent, event: happened.BookEvent) -> _Item:
        blanks, draft, levels = Blanks(), Draft(), self.record.levels[self.place]
        moment = replace(event, time_ns=blanks.blank(_MOMENT))
        write_level(draft, levels, _blank_level(level, blanks, ()), moment, (), self.pen)
        fill_level(draft, levels, ())
        template, slots = blanks.parted(encoded(draft.build()))
        return _Item(template, tuple((None if name == _MOMENT else attrgetter(name), render) for name, render in slots))


@dataclass(frozen=True, slots=True)
class _Item:
    template: bytes
    slots: tuple[tuple[Callable[[Any], Any] | None, Render], ...]
    """Of each blank what is taken from the level, or None for the time of the message, and how it is written."""

    def filled(self, level: happened.LevelEvent, time_ns: int) -> bytes:
        return self.template % tuple([render(get(level) if get is not None else time_ns) for get, render in self.slots])


def _shares_time(told: Told) -> bool:
    """Whether all events have one time, which a message may tell once."""
    moments = {getattr(event, _MOMENT, None) for group in told.values() for event in group}
    return len(moments) == 1 and None not in moments


def _blank_level(level: happened.LevelEvent, blanks: Blanks, at: tuple[int, ...]) -> happened.LevelEvent:
    def blank(name: str) -> Any:
        return blanks.blank((*at, f"level.{name}") if at else name)

    size = {"size": blank("size")} if level.size[0] else {}
    return replace(level, price=blank("price"), number=blank("number"), offset=blank("offset"), **size)


def _getter(name: str) -> Callable[[Any], Any]:
    if name.startswith("level."):
        inner = attrgetter(name.removeprefix("level."))
        return lambda event: inner(event.levels[0])
    return (lambda event: event) if name.startswith("levels") else attrgetter(name)
