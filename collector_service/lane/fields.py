"""Records of a specification as numbers for the kernel, and what words in their fields mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from alphapulse.domain.errors import InvalidArgument
from collector_service.compiler import values
from collector_service.compiler.code import NAME
from collector_service.compiler.paths import read_path
from collector_service.compiler.shapes import Shape
from collector_service.emitter import Emitter
from collector_service.lane import codes
from collector_service.lane.codes import NOWHERE
from collector_service.spec import fields, records

Resolve = Callable[[bytes], Any]
"""Of the bytes of a value as they stand in a frame what they mean; None where the ordinary path has to look."""

LearnedWord = Callable[[bytes, Emitter], Any]
"""The same of a number whose meaning the connection was told."""

_decode: Final = msgspec.json.Decoder(float_hook=str).decode
_TIMES: Final = {fields.Seconds: 0, fields.Millis: 3, fields.Micros: 6, fields.Nanos: 9, fields.Iso: codes.TIME_ISO}


_MAX_HEADS: Final = 64
"""Words with which symbols of several parts begin."""


class NotPlainError(Exception):
    """The kernel cannot read it; says why."""


class RouteWriter:
    """The records of one route. Tables of theirs go into `numbers`."""

    def __init__(
        self, places: Mapping[int, int], field: Callable[..., int], learned: Callable[..., int], root: Shape,
        numbers: list[int], texts: bytearray, scales: list[str],
    ) -> None:  # fmt: skip
        """`places` are the nodes of shapes, by id; `field` and `learned` give a resolver a number. Words go into `texts`, names of scales into
        `scales`."""
        self._places = places
        self._field = field
        self._field_learned = learned
        self._root = root
        self._numbers = numbers
        self._texts = texts
        self._scales = scales

    def lists(self, shape: Shape) -> list[int]:
        """The lists in a shape that are not in lists themselves."""
        found = [self._places[id(shape)]] if shape.item is not None else []
        for part in shape.parts.values():
            found += self.lists(part)
        return found

    def record(self, record: Any, *, answers: bool) -> list[int]:
        """Raises NotPlainError."""
        kind = {
            records.Trade: codes.TRADE_RECORD,
            records.Quote: codes.QUOTE_RECORD,
            records.BookSnapshot: codes.SNAPSHOT_RECORD,
            records.BookUpdate: codes.UPDATE_RECORD,
        }.get(type(record))
        if kind is None:
            raise NotPlainError(f"a {type(record).__name__} is for the ordinary path")
        if getattr(record, "repeats", False):
            raise NotPlainError("trades that repeat are told from those that do not")
        row = [0] * codes.RECORD_WIDTH
        row[codes.R_TYPE] = kind
        here, row[codes.R_EACH] = self._each(record)
        row[codes.R_EACH_BACKWARDS] = int(getattr(record, "newest_first", False))
        self._put(row, codes.R_GUARDS, self._guards(here, record))
        lists = self.lists(here) if row[codes.R_EACH] >= 0 else []
        self._put(row, codes.R_LISTS, lists, len(lists))
        row[codes.R_SYMBOL], row[codes.R_SYMBOL_FIELD] = self._symbol(here, record.symbol, answers=answers)
        row[codes.R_TIME], row[codes.R_TIME_KIND] = self._time(here, record.time)
        match record:
            case records.Trade():
                self._trade(row, here, record)
            case records.Quote():
                for place, one in (
                    (codes.R_BID, record.bid),
                    (codes.R_BID_SIZE, record.bid_size),
                    (codes.R_ASK, record.ask),
                    (codes.R_ASK_SIZE, record.ask_size),
                ):
                    if isinstance(one, fields.ScaledBy):
                        raise NotPlainError("an amount of a quote is a ScaledBy")
                    row[place : place + 3] = self._amount(here, one)
            case _:
                self._book(row, here, record)
        return row

    def _put(self, row: list[int], place: int, numbers: list[int], count: int | None = None) -> None:
        row[place], row[place + 1] = len(self._numbers), len(numbers) // codes.GUARD_WIDTH if count is None else count
        self._numbers += numbers

    def _node(self, here: Shape, text: str) -> int:
        if text == NAME:
            raise NotPlainError("the name of an item in its object is asked for")
        path = read_path(text, "path")
        return self._places[id((self._root if path.from_root else here).require(path))]

    def _each(self, record: Any) -> tuple[Shape, int]:
        each = (record.each,) if isinstance(record.each, str) else record.each
        each = [one for one in each if one]
        if not each:
            return self._root, NOWHERE
        if len(each) > 1 or each[0].endswith("*"):
            raise NotPlainError("items in items")
        path = read_path(each[0], "each")
        owner = self._root.require(path)
        assert owner.item is not None  # it is looped over
        return owner.item, self._places[id(owner)]

    def _guards(self, here: Shape, record: Any) -> list[int]:
        found: list[int] = []
        for kind, words in ((codes.G_WHERE, "where"), (codes.G_UNLESS, "unless")):
            for path, wanted in getattr(record, words, {}).items():
                found += [kind, self._node(here, path), *self._words(wanted)]
        for kind, name in ((codes.G_HAVING, "having"), (codes.G_LACKING, "lacking")):
            path = getattr(record, name, "")
            if path:
                found += [kind, self._node(here, path), 0, 0]
        return found

    def _words(self, wanted: str | tuple[str, ...]) -> list[int]:
        """Where the words of a test begin, and how many there are: those that the ordinary path's comparison finds equal."""
        words: list[int] = []

        def add(kind: int, text: str = "") -> None:
            words.extend((kind, len(self._texts), len(text)))
            self._texts.extend(text.encode())

        for word in wanted if isinstance(wanted, tuple) else (wanted,):
            if not word.isascii():
                raise NotPlainError("a test names a word beyond ASCII")
            add(codes.STRING, word)
            add(codes.FRACTION, word)
            number = int(word) if word.isdecimal() else {"true": 1, "false": 0}.get(word)
            if number is not None:
                add(codes.WHOLE, str(number))
                if number in (0, 1):
                    add(codes.TRUE if number else codes.FALSE)
        self._numbers += words
        return [len(self._numbers) - len(words), len(words) // 3]

    def _symbol(self, here: Shape, field: Any, *, answers: bool) -> tuple[int, int]:
        if isinstance(field, fields.Requested) and answers:
            return NOWHERE, 0
        if isinstance(field, fields.Learned):
            return self._node(here, field.path), self._field_learned(_learned, symbol=True)
        if isinstance(field, fields.Join):
            return codes.JOINED, self._joined(here, field)
        if not isinstance(field, (str, fields.Text)):
            raise NotPlainError(f"its symbol is a {type(field).__name__}")
        path = field if isinstance(field, str) else field.path
        return self._node(here, path), self._field(_text(field), symbol=True)

    def _joined(self, here: Shape, field: fields.Join) -> int:
        """Where the parts of a symbol begin."""
        nodes: list[int] = []
        pieces: list[str | Resolve] = []
        for part in field.parts:
            if isinstance(part, fields.Const):
                pieces.append(part.value)
            elif isinstance(part, (str, fields.Text)):
                nodes.append(self._node(here, part if isinstance(part, str) else part.path))
                pieces.append(_text(part))
            else:
                raise NotPlainError(f"a part of its symbol is a {type(part).__name__}")
        if not nodes:
            raise NotPlainError("its symbol is always the same")
        first = self._part(tuple(pieces), field.separator, ())
        self._numbers += [len(nodes), first, *nodes]
        return len(self._numbers) - len(nodes) - 2

    def _part(self, pieces: tuple[str | Resolve, ...], separator: str, said: tuple[str, ...]) -> int:
        """The field of the next word of a symbol, behind what was said of it."""
        at = len(said)
        while isinstance(piece := pieces[at], str):
            said, at = (*said, piece), at + 1
        rest = pieces[at + 1 :]
        if all(isinstance(one, str) for one in rest):
            return self._field(
                lambda raw: _and(piece(raw), lambda text: separator.join((*said, text, *map(str, rest)))), symbol=True
            )
        known: dict[str, int] = {}

        def resolve(raw: bytes) -> int | None:
            text = piece(raw)
            if text is not None and text not in known and len(known) < _MAX_HEADS:
                known[text] = self._part(pieces, separator, (*said, text))
            return None if text is None else known.get(text)

        return self._field(resolve)

    def _time(self, here: Shape, field: Any) -> tuple[int, int]:
        if field is None:
            return NOWHERE, codes.TIME_NONE
        kind = _TIMES.get(type(field))
        if kind is None or (isinstance(field, fields.Iso) and field.zone != "Z"):
            raise NotPlainError(f"its time is a {type(field).__name__} of another form")
        return self._node(here, field.path), kind

    def _amount(self, here: Shape, field: Any) -> list[int]:
        match field:
            case None:
                return [0, codes.A_NONE, 0]
            case str():
                return [self._node(here, field), codes.A_PLAIN, 0]
            case fields.Scaled(path, digits):
                return [self._node(here, path), codes.A_SCALED, digits]
            case fields.ScaledBy(path, name):
                if name not in self._scales:
                    if len(self._scales) == codes.MAX_SCALES:
                        raise NotPlainError("it has more scales than are known")
                    self._scales.append(name)
                return [self._node(here, path), codes.A_SCALED_BY, self._scales.index(name)]
            case fields.Magnitude(path):
                return [self._node(here, path), codes.A_MAGNITUDE, 0]
        raise NotPlainError(f"an amount is a {type(field).__name__}")

    def _side(self, here: Shape, field: Any, *, strict: bool) -> list[int]:
        match field:
            case None | int():
                return [codes.S_CONSTANT, 0, field or 0]
            case fields.SignedSide(path):
                return [codes.S_SIGN, self._node(here, path), 0]
            case fields.Side(path, buy, sell):
                return [codes.S_WORD, self._node(here, path), self._field(_side({buy: 1, sell: 2}, strict=strict))]
        raise NotPlainError(f"a side is a {type(field).__name__}")

    def _trade(self, row: list[int], here: Shape, record: records.Trade) -> None:
        row[codes.R_PRICE : codes.R_PRICE + 3] = self._amount(here, record.price)
        row[codes.R_SIZE : codes.R_SIZE + 3] = self._amount(here, record.size)
        row[codes.R_SIDE : codes.R_SIDE + 3] = self._side(here, record.side, strict=False)
        row[codes.R_ID] = row[codes.R_ID_FIELD] = NOWHERE
        if record.trade_id:
            if not isinstance(record.trade_id, str):
                raise NotPlainError("the number of a trade is a part of a text")
            row[codes.R_ID] = self._node(here, record.trade_id)

    def _book(self, row: list[int], here: Shape, record: Any) -> None:
        levels: list[int] = []
        for one in record.levels:
            levels += self._levels(here, one)
        row[codes.R_LEVELS], row[codes.R_LEVEL_COUNT] = len(self._numbers), len(record.levels)
        self._numbers += levels
        for place, path in enumerate((record.first, record.last, record.previous, record.checksum)):
            row[codes.R_FIRST + place] = NOWHERE if path is None else self._node(here, path)
        row[codes.R_LATEST] = int(record.time is None and any(one.time for one in record.levels))
        if isinstance(record.depth, int):
            row[codes.R_DEPTH], row[codes.R_DEPTH_FIELD] = codes.D_CONSTANT, record.depth
        elif record.depth is not None:
            row[codes.R_DEPTH] = codes.D_FIELD
            row[codes.R_DEPTH_NODE] = self._node(here, record.depth.path)
            row[codes.R_DEPTH_FIELD] = self._field(_number(record.depth))

    def _levels(self, scope: Shape, levels: records.Levels) -> list[int]:
        if levels.id is not None or levels.symbol is not None:
            raise NotPlainError("its levels have identifiers or symbols of their own")
        row = [0] * codes.LEVELS_WIDTH
        here = scope
        row[codes.L_LIST] = codes.ITSELF
        if levels.path != ".":
            path = read_path(levels.path, "levels")
            owner = (self._root if path.from_root else scope).require(path)
            if owner.item is None or owner.has_names:
                raise NotPlainError("its levels are the values of an object")
            here, row[codes.L_LIST] = owner.item, self._places[id(owner)]
        row[codes.L_SIDE : codes.L_SIDE + 3] = self._side(here, levels.side, strict=True)
        row[codes.L_PRICE : codes.L_PRICE + 3] = self._amount(here, levels.price)
        row[codes.L_SIZE : codes.L_SIZE + 3] = self._amount(here, levels.size)
        row[codes.L_TIME], row[codes.L_TIME_KIND] = self._time(here, levels.time)
        self._put(row, codes.L_GUARDS, self._guards(here, levels))
        gone: list[int] = []
        for path_of_word, wanted in levels.gone.items():
            gone += [codes.G_WHERE, self._node(here, path_of_word), *self._words(wanted)]
        self._put(row, codes.L_GONE, gone)
        row[codes.L_PAIRS] = int(
            row[codes.L_LIST] != codes.ITSELF
            and row[codes.L_SIDE] == codes.S_CONSTANT
            and row[codes.L_SIDE + 2] > 0
            and levels.price == "[0]"
            and levels.size == "[1]"
            and here.parts.keys() == ({0, 1} if levels.time is None else {0, 1, 2})
            and (levels.time is None or getattr(levels.time, "path", "") == "[2]")
            and not any(part.optional or part.parts or part.item for part in here.parts.values())
            and not here.optional
            and not (levels.where or levels.unless or levels.gone or levels.offset)
        )
        row[codes.L_OFFSET] = NOWHERE if levels.offset is None else self._node(here, levels.offset)
        return row


def _value(raw: bytes) -> Any:
    return _decode(raw) if raw[:1] not in (b"{", b"[") else None


def _and(text: str | None, then: Callable[[str], str]) -> str | None:
    return None if text is None else then(text)


def _learned(raw: bytes, emitter: Emitter) -> str | None:
    number = _value(raw)
    if type(number) is not int or not emitter.channel_of(number):
        return None
    return emitter.learned(number)


def _text(field: Any) -> Resolve:
    def resolve(raw: bytes) -> str | None:
        value = _value(raw)
        if type(value) not in (str, int):
            return None
        said = values.text(value)
        if isinstance(field, str):
            return said
        if field.heads or field.after or field.before or field.split:
            said = values.cut(said, field.heads, field.after, field.before, field.split)
        return said.upper() if field.upper else said.lower() if field.lower else said

    return resolve


def _number(field: Any) -> Resolve:
    text = _text(field)

    def resolve(raw: bytes) -> int | None:
        said = text(raw)
        try:
            return None if said is None else values.number(said)
        except InvalidArgument:
            return None

    return resolve


def _side(words: Mapping[Any, int], *, strict: bool) -> Resolve:
    def resolve(raw: bytes) -> int | None:
        value = _value(raw)
        if value == "" and not strict:
            return words.get(value, 0)
        return words.get(value) if isinstance(value, (str, int)) else None

    return resolve
