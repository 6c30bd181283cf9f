"""Records written backwards: an event's values put at the paths where a record reads them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from collector_service.mock import events as happened
from collector_service.mock.blanks import Blank, BlankLevels
from collector_service.mock.draft import Draft, Steps, UnwritableError
from collector_service.mock.numbers import Form, amount_value, path_of, side_word, time_value
from collector_service.mock.paths import NAME, is_optional, parts_of, paths_of, paths_of_level, steps_at
from collector_service.mock.texts import Whole, lens_of, shares
from collector_service.spec import fields, records

_OTHER: Final = "mock-other"
"""A word that stands where a record that is not meant would look for its own."""


@dataclass(frozen=True, slots=True)
class Pen:
    """What the writing of one message needs to know beside its events."""

    form: Form
    number_of: Callable[[], int]
    """The connection's number of this channel and instrument."""


def write(draft: Draft, record: Any, event: happened.Event, place: int, pen: Pen) -> None:
    """Puts an event where a record reads it; of a repeated record as the item at a place. Raises UnwritableError."""
    base = _item(record, event, place)
    for path, words in getattr(record, "where", {}).items():
        draft.wish(steps_at(base, path), Whole(), words if isinstance(words, tuple) else (words,))
    match record, event:
        case records.Trade(), happened.TradeEvent():
            _trade(draft, record, event, base, pen)
        case records.Quote(), happened.QuoteEvent():
            _quote(draft, record, event, base, pen)
        case records.BookSnapshot() | records.BookUpdate(), happened.BookEvent():
            _book(draft, record, event, base, pen)
        case records.Statistic(), happened.FigureEvent():
            _symbol(draft, record.symbol, event.instrument, base, pen)
            _amount(draft, record.value, event.value, event.instrument, base, pen)
            _time(draft, record.effective, event.time_ns, base)
            _time(draft, record.time, event.time_ns, base)
        case records.Status(), happened.StateEvent():
            _symbol(draft, record.symbol, event.instrument, base, pen)
            draft.put(steps_at(base, path_of(record.state)), event.word)
            _time(draft, record.time, event.time_ns, base)
        case records.BookDepth(), happened.DepthEvent():
            _symbol(draft, record.symbol, event.instrument, base, pen)
            _cut_number(draft, record.depth, event.depth, base)
        case records.Learn(), happened.NumberEvent():
            _symbol(draft, record.symbol, event.instrument, base, pen)
            draft.put(steps_at(base, record.key), event.number)
        case records.Reply(), happened.PingEvent():
            for path, number in event.numbers:
                draft.put(steps_at(base, path), number)
        case _:
            raise UnwritableError(f"a {type(record).__name__} cannot tell of a {type(event).__name__}")
    if having := getattr(record, "having", ""):
        _have(draft, record, having, base)


def _have(draft: Draft, record: Any, having: str, base: Steps) -> None:
    """Sees to it that a message has what a record is told by. Raises UnwritableError where that is what it tells, and has not."""
    steps, stem = steps_at(base, having), having.removesuffix("?")
    if any(path.startswith(f"{stem}.") for path in paths_of(record)) and not draft.has(steps):
        raise UnwritableError(f"it is told in messages with {having}")
    draft.fill(steps, 1)


def _item(record: Any, event: happened.Event, place: int) -> Steps:
    """Where a record's item is that has a place among the others: the place counts in the innermost list."""
    base: Steps = ()
    parts = parts_of(record)
    for number, part in enumerate(parts, 1):
        at = steps_at(base, part.removesuffix(".*"))
        if part.endswith(".*"):
            assert not isinstance(event, happened.PingEvent)
            base = (*at, event.instrument.spelling)
        else:
            base = (*at, place if number == len(parts) else 0)
    return base


def _items(draft: Draft, record: Any) -> list[Steps]:
    """Where a record's items are that a draft has."""
    bases: list[Steps] = [()]
    for part in parts_of(record):
        found: list[Steps] = []
        for base in bases:
            at = steps_at(base, part.removesuffix(".*"))
            found += [(*at, step) for step in (draft.names(at) if part.endswith(".*") else places(draft, at))]
        bases = found
    return bases


def keep_silent(draft: Draft, record: Any) -> None:
    """Lets a record pass a message over that is of another one, where it can be said."""
    for base in _items(draft, record):
        for path in getattr(record, "where", {}):
            if not is_optional(path):  # where it is missing, it is not meant either
                draft.fill(steps_at(base, path), _OTHER)


def fill_needed(draft: Draft, record: Any) -> None:
    """Puts something at every path that a message has to have, whichever record it is of."""
    parts = parts_of(record)
    if parts and not is_optional(parts[0]):
        draft.fill(steps_at((), parts[0].removesuffix(".*")), {} if parts[0].endswith(".*") else [])
    for base in _items(draft, record):
        for path in paths_of(record):
            if path != NAME and not is_optional(path):
                draft.fill(steps_at(base, path), None)
        for levels in getattr(record, "levels", ()):
            _fill_levels(draft, levels, base)


def _fill_levels(draft: Draft, levels: records.Levels, base: Steps) -> None:
    items: list[Steps] = [base]
    if levels.path != ".":
        steps = steps_at(base, levels.path)
        if not is_optional(levels.path):
            draft.fill(steps, [])
        items = [(*steps, place) for place in places(draft, steps)]
    for item in items:
        fill_level(draft, levels, item)


def fill_level(draft: Draft, levels: records.Levels, item: Steps) -> None:
    """Puts something at every path that a level has to have."""
    for path in paths_of_level(levels):
        if not is_optional(path):
            draft.fill(steps_at(item, path), None)


def places(draft: Draft, steps: Steps) -> list[int]:
    """The places of a list at which something stands."""
    place = 0
    while draft.has((*steps, place)):
        place += 1
    return list(range(place))


def _symbol(draft: Draft, field: Any, instrument: happened.MockInstrument, base: Steps, pen: Pen) -> None:
    _text(draft, field, instrument.spelling, instrument, base, pen)


def _text(draft: Draft, field: Any, word: str, instrument: happened.MockInstrument, base: Steps, pen: Pen) -> None:
    match field:
        case str() if field == NAME:
            if base[-1:] != (word,):
                raise UnwritableError(f"the name of an item is {base[-1:]}, not {word}")
        case str() | fields.Text():
            path, lens = lens_of(field)
            draft.wish(steps_at(base, path), lens, (word,))
        case fields.Join():
            hints = (instrument.entry.base, instrument.entry.quote, *instrument.entry.extras.values())
            words = next(shares(field, word, hints), None)
            if words is None:
                raise UnwritableError(f"{word!r} cannot be parted as {field}")
            for part, share in zip(field.parts, words, strict=True):
                _text(draft, part, share, instrument, base, pen)
        case fields.Learned(path):
            draft.put(steps_at(base, path), pen.number_of())
        case fields.Const(value) if value != word:
            raise UnwritableError(f"it is always of {value}, not of {word}")
        case fields.Const() | fields.Requested():
            pass
        case _:
            raise UnwritableError(f"{field!r} is no text that can be written")


def _amount(
    draft: Draft, field: Any, amount: Any, instrument: happened.MockInstrument, base: Steps, pen: Pen, sign: int = 1
) -> None:
    value = amount_value(field, amount, instrument.entry.extras, form=pen.form, sign=sign)
    draft.put(steps_at(base, path_of(field)), value)


def _time(draft: Draft, field: Any, time_ns: int, base: Steps) -> None:
    if field is not None:
        draft.put(steps_at(base, field.path), time_value(field, time_ns))


def _signed(field: Any, side: Any, way: int) -> int:
    """The sign of an amount whose sign says a side."""
    return -1 if isinstance(side, fields.SignedSide) and path_of(field) == side.path and way == records.ASK else 1


def _side(draft: Draft, field: Any, side: int, base: Steps, amounts: tuple[Any, ...]) -> None:
    match field:
        case fields.Side(path):
            draft.put(steps_at(base, path), side_word(field, side))
        case fields.SignedSide(path) if path not in [path_of(one) for one in amounts if one is not None]:
            draft.put(steps_at(base, path), 1 if side == records.BID else -1)


def _trade(draft: Draft, record: records.Trade, event: happened.TradeEvent, base: Steps, pen: Pen) -> None:
    _symbol(draft, record.symbol, event.instrument, base, pen)
    for field, amount in ((record.price, event.price), (record.size, event.size)):
        if field is None:
            continue
        _amount(draft, field, amount, event.instrument, base, pen, _signed(field, record.side, event.side))
    _side(draft, record.side, event.side, base, (record.price, record.size))
    if record.trade_id:
        _cut_number(draft, record.trade_id, event.number, base)
    _time(draft, record.time, event.time_ns, base)


def _quote(draft: Draft, record: records.Quote, event: happened.QuoteEvent, base: Steps, pen: Pen) -> None:
    _symbol(draft, record.symbol, event.instrument, base, pen)
    for name in ("bid", "ask", "bid_size", "ask_size"):
        field, amount = getattr(record, name), getattr(event, name)
        if field is None:
            continue
        if amount is not None:
            _amount(draft, field, amount, event.instrument, base, pen)
        elif not is_optional(path_of(field)):
            draft.put(steps_at(base, path_of(field)), None)
    _time(draft, record.time, event.time_ns, base)


def _cut_number(draft: Draft, field: Any, number: int | Blank, base: Steps) -> None:
    if isinstance(field, int):
        return
    path, lens = lens_of(field)
    if isinstance(lens, Whole):
        draft.put(steps_at(base, path), number)
    elif isinstance(number, Blank):
        raise UnwritableError("a number that is part of a text has no blank")
    else:
        draft.wish(steps_at(base, path), lens, (str(number),))


def fitting(levels: records.Levels, level: happened.LevelEvent) -> bool:
    """Whether a level can be told in this list."""
    if isinstance(levels.side, int) and levels.side != level.side:
        return False
    return not level.size[0] if levels.size is None else True


def list_of(record: Any, level: happened.LevelEvent) -> int:
    """The place, among a record's lists of levels, of the one that tells of a level. Raises UnwritableError."""
    # A list of what is gone goes before one where size 0 would say it.
    fits = [place for place, levels in enumerate(record.levels) if fitting(levels, level)]
    if not fits:
        raise UnwritableError(f"no list of levels can tell of {level}")
    return min(fits, key=lambda place: record.levels[place].size is not None)


def _levels(draft: Draft, record: Any, event: happened.BookEvent, base: Steps, pen: Pen) -> None:
    taken: dict[int, int] = {}
    for level in event.levels:
        chosen = list_of(record, level)
        levels = record.levels[chosen]
        item = base
        if levels.path != ".":
            place = taken.get(chosen, 0)
            taken[chosen] = place + 1
            item = (*steps_at(base, levels.path), place)
        elif len(event.levels) > 1:
            raise UnwritableError("a message tells of one level")
        write_level(draft, levels, level, event, item, pen)


def _book(draft: Draft, record: Any, event: happened.BookEvent, base: Steps, pen: Pen) -> None:
    if not any(levels.symbol for levels in record.levels):
        _symbol(draft, record.symbol, event.instrument, base, pen)
    told: Any = event.levels
    if isinstance(told, BlankLevels):
        for path, token in told.lists:
            draft.put(steps_at(base, path), token)
    else:
        _levels(draft, record, event, base, pen)
    for levels in record.levels:
        if levels.path != "." and not is_optional(levels.path):
            draft.fill(steps_at(base, levels.path), [])
    for name in ("first", "last", "previous", "checksum"):
        path = getattr(record, name)
        if path is not None:
            draft.put(steps_at(base, path), getattr(event, name))
    if record.depth is not None:
        _cut_number(draft, record.depth, event.depth, base)
    _time(draft, record.time, event.time_ns, base)


def write_level(
    draft: Draft, levels: records.Levels, level: happened.LevelEvent, event: happened.BookEvent, item: Steps, pen: Pen
) -> None:
    """Puts a level where a list of levels reads it. Raises UnwritableError."""
    instrument, gone = event.instrument, not level.size[0]
    for path, words in levels.where.items():
        draft.wish(steps_at(item, path), Whole(), words if isinstance(words, tuple) else (words,))
    for path, words in levels.gone.items():
        word = words[0] if isinstance(words, tuple) else words
        draft.put(steps_at(item, path), int(word) if word.isdecimal() else word) if gone else draft.fill(
            steps_at(item, path), 7
        )
    if not (levels.id and level.known and is_optional(path_of(levels.price))):
        _amount(draft, levels.price, level.price, instrument, item, pen, _signed(levels.price, levels.side, level.side))
    if levels.size is not None:
        size = (1, 0) if gone and levels.gone else level.size
        _amount(draft, levels.size, size, instrument, item, pen, _signed(levels.size, levels.side, level.side))
    _side(draft, levels.side, level.side, item, (levels.price, levels.size))
    if levels.id:
        draft.put(steps_at(item, levels.id), level.number)
    if levels.offset:
        draft.put(steps_at(item, levels.offset), level.offset)
    if levels.symbol:
        draft.wish(steps_at(item, levels.symbol), Whole(), (instrument.spelling,))
    _time(draft, levels.time, event.time_ns, item)


def filled(template: Any, numbers: Mapping[str, int]) -> Any:
    """A reply's template with the numbers at its paths."""
    if isinstance(template, dict):
        return {key: filled(part, numbers) for key, part in template.items()}
    if isinstance(template, (list, tuple)):
        return [filled(part, numbers) for part in template]
    if isinstance(template, str) and template[:1] == "{" and template[-1:] == "}":
        return numbers[template[1:-1]]
    return template
