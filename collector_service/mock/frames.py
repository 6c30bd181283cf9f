"""Whole frames: of a kind, with events for the records of its route, as the compiled splitter will tell them apart again."""

from __future__ import annotations

import zlib
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from alphapulse.domain.errors import InvalidArgument
from collector_service.mock import events as happened
from collector_service.mock.draft import Draft, UnwritableError, encoded, word_of
from collector_service.mock.foreign import FOREIGN
from collector_service.mock.kinds import Way, mark, steps_of, ways_of
from collector_service.mock.numbers import Form
from collector_service.mock.paths import parts_of, steps_at
from collector_service.mock.prepared import Forms, ShapelessError, Told
from collector_service.mock.records import Pen, fill_needed, keep_silent, write
from collector_service.source import Source
from collector_service.spec import fields, records
from collector_service.spec.dialect import Compression, Dialect

_PLAIN: Final = msgspec.json.Decoder(float_hook=str).decode
_WINDOW: Final = {Compression.GZIP: 31, Compression.DEFLATE: -15, Compression.ZLIB: 15}


class SpokenTooError(Exception):
    """Other records of the route would read the message as well: their places."""

    def __init__(self, places: Sequence[int]) -> None:
        super().__init__(f"records {', '.join(map(str, places))} of the route read it too")
        self.places = tuple(places)


class _Ear:
    """What the splitter asks the emitter: which channel a number stands for."""

    def __init__(self, numbers: Mapping[int, str]) -> None:
        self._numbers = numbers

    def channel_of(self, number: int) -> str:
        return self._numbers.get(number, "")


class FrameWriter:
    """Writes the frames of a source's newest dialect. `connection` decides the numbers that stand for channels."""

    def __init__(self, source: Source, dialect: Dialect) -> None:
        self.source = source
        self.dialect = dialect
        self.form = Form()
        self.connection = 0
        self._numbers: dict[tuple[str, str], int] = {}
        self._channels: dict[int, str] = {}
        self._symbols: dict[int, str] = {}
        self._ways: dict[tuple[str, tuple[int, ...]], Way] = {}
        self._seeds: dict[str, tuple[str, ...]] = {}
        self._forms = Forms()
        self._foreign = FOREIGN.get(source.name)
        self.learns = bool(self.learned_channels())
        """Its messages have numbers that stand for channels."""

    def route(self, kind: str) -> Sequence[Any]:
        """The records that read a kind."""
        found = self.dialect.routes.get(kind, ())
        return found if isinstance(found, tuple) else (found,)

    def number_of(self, channel: str, symbol: str) -> int:
        """The number of a channel and symbol on this connection."""
        known = self._numbers.setdefault((channel, symbol), len(self._numbers) + 1)
        number = 100_000 * (self.connection + 1) + known
        self._channels[number] = channel
        self._symbols[number] = symbol
        return number

    def named(self, number: int) -> tuple[str, str] | None:
        """The channel and symbol that a number of this connection stands for; None for a number that was not given."""
        if number // 100_000 != self.connection + 1 or number not in self._channels:
            return None
        return self._channels[number], self._symbols[number]

    def learned_channels(self) -> tuple[str, ...]:
        """The names under which the dialect learns numbers."""
        learn = (
            record for kind in self.dialect.routes for record in self.route(kind) if isinstance(record, records.Learn)
        )
        return tuple(dict.fromkeys(record.channel for record in learn))

    def frame(self, kind: str, told: Told) -> bytes:
        """The frame, packed as the venue packs it. Raises UnwritableError, and SpokenTooError for records that have to be told something too."""
        route = self.route(kind)
        try:
            shape = self._shape(kind, told, route)
        except ShapelessError:
            return self.packed(encoded(self.message(kind, told)))
        data = self._forms.filled(shape, told)
        if data is None:
            data = encoded(self.message(kind, told))
            way = self._ways[kind, tuple(told)]
            pen = self._pen(way, _instrument_of(told))
            self._forms.learn(shape, told, route, pen, data, lambda blanked: self._written(kind, blanked, way))
        return self.packed(data)

    def _shape(self, kind: str, told: Told, route: Sequence[Any]) -> Hashable:
        # What a function reads may tell a kind by anything.
        if not told or callable(self.dialect.kind) or isinstance(route[0], records.Hook):
            raise ShapelessError
        return kind, self.form, self.connection if self.learns else 0, self._forms.shape(told, route)

    def message(self, kind: str, told: Told) -> Any:
        """The same before it is JSON."""
        key, refused = (kind, tuple(told)), ""
        known = self._ways.get(key)
        for way in (known,) if known is not None else self._alternatives(kind):
            try:
                message = self._written(kind, told, way)
            except UnwritableError as error:
                refused = str(error)
                continue
            found = self.split(encoded(message))
            if found == kind:
                self._ways[key] = way
                return message
            refused = refused or f"the splitter takes it as {found!r}"
        raise UnwritableError(f"kind {kind!r}: {refused or 'no way to tell it'}")

    def plain(self, kind: str) -> bytes:
        """A frame of a kind that nothing is read of: a word, an acknowledgement, an error."""
        return self.packed(kind.encode()) if kind in self.dialect.words else self.frame(kind, {})

    def packed(self, data: bytes) -> bytes:
        """In a list and compressed, where the dialect is."""
        if self._foreign is not None and data.decode() not in self.dialect.words:
            return self._foreign.pack(data)
        if self.dialect.many is True and data.decode() not in self.dialect.words:
            data = b"[" + data + b"]"
        if self.dialect.compression is Compression.NONE:
            return data
        machine = zlib.compressobj(wbits=_WINDOW[self.dialect.compression])
        return machine.compress(data) + machine.flush()

    def split(self, data: bytes) -> str:
        """The kind that the source tells; empty where it tells none."""
        try:
            kind: str = self.source.live.split(data, _Ear(self._channels))[0]  # type: ignore[arg-type]
        except (msgspec.DecodeError, InvalidArgument, ValueError):
            return ""
        return kind

    def _alternatives(self, kind: str) -> Iterator[Way]:
        if callable(self.dialect.kind):
            yield ()  # what a function tells may follow from the record alone
        else:
            yield from ways_of(kind, self.dialect.kind)

    def _written(self, kind: str, told: Told, way: Way) -> Any:
        route = self.route(kind)
        if route and isinstance(route[0], records.Hook):
            return _hooked(route[0], told)
        draft = Draft()
        instrument = _instrument_of(told)
        pen = self._pen(way, instrument)
        for place, group in told.items():
            for item, event in enumerate(group):
                write(draft, route[place], event, item, pen)
        symbol = instrument.symbol if instrument is not None else ""
        mark(draft, way, lambda word: self.number_of(word, symbol))
        marks = self._foreign.marks if self._foreign is not None else self.dialect.marks
        for path, value in marks.get(kind, {}).items():
            draft.put(steps_of(path), value)
        for place in told:
            lacking = getattr(route[place], "lacking", "")
            if lacking and not getattr(route[place], "each", "") and draft.has(steps_at((), lacking)):
                raise UnwritableError(f"it is told in messages without {lacking}")
        for place, record in enumerate(route):
            if place not in told:
                keep_silent(draft, record)
            fill_needed(draft, record)
        message = draft.build(self.seeds(instrument))
        plain = _PLAIN(encoded(message))
        others = [place for place, record in enumerate(route) if place not in told and told and _reads(record, plain)]
        if others:
            raise SpokenTooError(others)
        return message

    def _pen(self, way: Way, instrument: happened.MockInstrument | None) -> Pen:
        symbol = instrument.symbol if instrument is not None else ""
        channel = next((word for part, word in way if isinstance(part, fields.Learned) and word), "")
        named = channel or next(iter(self.learned_channels()), "")
        return Pen(self.form, lambda: self.number_of(named, symbol))

    def seeds(self, instrument: happened.MockInstrument | None) -> tuple[str, ...]:
        """Texts that the source says about an instrument: topics, mostly, which the venue says back."""
        if instrument is None or self.dialect.subscribe is None:
            return ()
        if instrument.symbol not in self._seeds:
            frames = self.source.live.subscribe([instrument.entry], list(self.dialect.subscribe.channels))
            texts = [text for frame in frames if frame[:1] in "{[" for text in _texts(msgspec.json.decode(frame))]
            self._seeds[instrument.symbol] = tuple(dict.fromkeys(texts))
        return self._seeds[instrument.symbol]


def _instrument_of(told: Told) -> happened.MockInstrument | None:
    events = (event for group in told.values() for event in group)
    return next((event.instrument for event in events if not isinstance(event, happened.PingEvent)), None)


def _hooked(hook: records.Hook, told: Told) -> Any:
    message = hook.write(told[0][0]) if hook.write is not None and told else None
    if message is None:
        raise UnwritableError("a hook reads it, and says no way back")
    return message


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from _texts(part)
    elif isinstance(value, list):
        for part in value:
            yield from _texts(part)


def _reads(record: Any, message: Any) -> bool:
    """Whether a record takes a message as one of its own."""
    bases: list[Any] = [()]
    for part in parts_of(record):
        found = []
        for base in bases:
            at = steps_at(base, part.removesuffix(".*"))
            inner = _value(message, at) or ()
            found += [(*at, step) for step in (inner if isinstance(inner, dict) else range(len(inner)))]
        bases = found
    return any(_is_meant(record, message, base) for base in bases)


def _is_meant(record: Any, message: Any, base: Any) -> bool:
    for path, words in getattr(record, "where", {}).items():
        found = _value(message, steps_at(base, path))
        if word_of(found) not in (words if isinstance(words, tuple) else (words,)):
            return False
    having, lacking = getattr(record, "having", ""), getattr(record, "lacking", "")
    if having and _value(message, steps_at(base, having)) is None:
        return False
    return not (lacking and _value(message, steps_at(base, lacking)) is not None)


def _value(message: Any, steps: Any) -> Any:
    for step in steps:
        if isinstance(step, str):
            message = message.get(step) if isinstance(message, dict) else None
        else:
            message = message[step] if isinstance(message, list) and step < len(message) else None
    return message
