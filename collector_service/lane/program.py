"""A dialect as numbers for the kernel: from the same shapes that its types for msgspec are made of, so that both want the same of a message."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import msgspec
import numpy as np

from collector_service.compiler import values
from collector_service.compiler.code import Writer
from collector_service.compiler.faults import SpecificationError
from collector_service.compiler.kinds import whole
from collector_service.compiler.paths import Path, read_path
from collector_service.compiler.records import write_record
from collector_service.compiler.shapes import Shape
from collector_service.emitter import Emitter
from collector_service.lane import codes
from collector_service.lane.codes import NOWHERE
from collector_service.lane.fields import LearnedWord, NotPlainError, Resolve, RouteWriter
from collector_service.lane.shelf import machine_code
from collector_service.source import Dialect, Source
from collector_service.spec import fields, records
from collector_service.spec.dialect import Compression
from collector_service.spec.dialect import Dialect as DialectSpec

_WHOLE: Final = Path((), from_root=False, optional=False)
_MAX_WORD: Final = 1 << 14


@dataclass(slots=True)
class Program:
    """What the kernel runs for one dialect."""

    numbers: Any
    """An array of int64: see `codes`."""
    texts: bytes
    """The names of fields."""
    nodes: int
    resolvers: dict[int, Resolve]
    """By field, what a word means: a number, or None where the ordinary path has to look at it."""
    learned: dict[int, LearnedWord]
    """By field, what a number means that the connection was told: as `resolvers`, in the words of a session."""
    symbols: set[int]
    """Fields whose words are symbols: their resolvers answer with the symbol. More of them come where symbols have several parts."""
    scales: tuple[str, ...]
    """Names of the decimals of whole numbers, which each listing has its own of."""
    combined: int
    snapshot: int
    """The route of the answer of a request for a book, or -1."""
    compiled: tuple[str, ...]
    """Kinds of messages that the kernel reads."""
    ordinary: dict[str, str]
    """Kinds of messages that it does not, each with the reason."""


def compile_program(dialect: Dialect, spec: DialectSpec, *, books: bool = True) -> Program:
    """The program of a dialect, without its `books` where the kernel cannot keep them. Raises NotPlainError where it can read nothing of it."""
    return _Compiler(dialect, spec, books=books).program()


def program_of(source: Source, dialect: Dialect) -> Program | None:
    """The program of one of a source's dialects; None where the kernel can read nothing of it."""
    found = _made(source, dialect)
    return found if isinstance(found, Program) else None


def coverage(source: Source, dialect: Dialect) -> tuple[list[str], list[str]]:
    """(kinds of messages that compiled code reads, those that take the ordinary path, each with the reason)."""
    found = _made(source, dialect)
    if isinstance(found, Program):
        return sorted(found.compiled), [f"{kind}: {why}" for kind, why in sorted(found.ordinary.items())]
    return [], [f"all: {found}"]


def _made(source: Source, dialect: Dialect) -> Program | str:
    known = _MADE.get(id(dialect))
    if known is not None:
        return known[1]
    spec = _spec_of(source, dialect)
    made: Program | str = "it is written by hand"
    if spec is not None:
        machine = (dialect.new_book or source.new_book)()
        try:
            made = compile_program(dialect, spec, books=bool(machine_code(machine)))
        except NotPlainError as error:
            made = str(error)
    _MADE[id(dialect)] = dialect, made
    return made


def compression_of(source: Source, dialect: Dialect) -> Compression:
    """How the frames of one of a source's dialects are packed."""
    spec = _spec_of(source, dialect)
    return spec.compression if spec is not None else Compression.NONE


def _spec_of(source: Source, dialect: Dialect) -> DialectSpec | None:
    if source.spec is None or source.new_memory is not None or dialect not in source.dialects:
        return None
    return source.spec.dialects[source.dialects.index(dialect)]


_MADE: Final[dict[int, tuple[Dialect, Program | str]]] = {}
"""By the identity of the dialect, which is kept with it: sources are values of modules, and sessions of one source come and go."""


class _Compiler:
    def __init__(self, dialect: Dialect, spec: DialectSpec, *, books: bool) -> None:
        self._books = books
        self._dialect = dialect
        self._spec = spec
        self._rows: list[list[int]] = []
        self._texts = bytearray()
        self._resolvers: dict[int, Resolve] = {}
        self._learned: dict[int, LearnedWord] = {}
        self._symbols: set[int] = set()
        self._scales: list[str] = []
        self._numbering = threading.Lock()
        self._words: dict[str, int] = {}
        self._numbers: list[int] = [0] * codes.PROGRAM_HEAD
        self._places: dict[int, int] = {}
        self._kept: list[Shape] = []

    def program(self) -> Program:
        spec = self._spec
        if callable(spec.kind) or not spec.kind:
            raise NotPlainError("its kinds are told by a function")
        if callable(spec.many):
            raise NotPlainError("its frames are taken apart by a function")
        head = self._heads(spec.kind)
        routes: list[list[int]] = []
        order: list[str] = []
        ordinary: dict[str, str] = {}
        for kind, found in spec.routes.items():
            try:
                routes.append(self._route(found, answers=False))
                order.append(kind)
            except NotPlainError as error:
                ordinary[kind] = str(error)
        snapshot = NOWHERE
        if spec.snapshot is not None:
            try:
                record = replace(spec.snapshot.record, symbol=fields.Requested())
                routes.append(self._route(record, answers=True))
                snapshot = len(routes) - 1
            except NotPlainError as error:
                ordinary["(snapshot)"] = str(error)
        if not order:
            raise NotPlainError("; ".join(f"{kind}: {why}" for kind, why in ordinary.items()) or "it has no routes")
        combined = self._field(self._kind_of(order))
        numbers = self._numbers
        numbers[codes.P_COMBINED] = combined
        numbers[codes.P_MANY] = int(bool(spec.many))
        numbers[codes.P_KINDS], numbers[codes.P_KIND_COUNT] = len(numbers), len(head)
        for row in head:
            numbers += row
        numbers[codes.P_ROUTES] = len(numbers)
        for row in routes:
            numbers += row
        numbers[codes.P_NODES], numbers[codes.P_NODE_COUNT] = len(numbers), len(self._rows)
        for row in self._rows:
            numbers += row
        return Program(
            np.array(numbers, np.int64), bytes(self._texts), len(self._rows), self._resolvers, self._learned, self._symbols,
            tuple(self._scales), combined, snapshot, tuple(order), ordinary,
        )  # fmt: skip

    def _field(self, resolve: Resolve, *, symbol: bool = False) -> int:
        with self._numbering:  # some are found by sessions, which may be in several threads
            number = len(self._resolvers)
            if symbol:
                self._symbols.add(number)
            self._resolvers[number] = resolve
            return number

    def _field_learned(self, resolve: LearnedWord, *, symbol: bool = False) -> int:
        number = self._field(_unknown, symbol=symbol)
        self._learned[number] = resolve
        return number

    # Nodes.

    def _add(self, shape: Shape) -> tuple[int, int]:
        """A shape and all in it but what lists hold, which come behind: children stand beside each other."""
        first = len(self._rows)
        order = [shape]
        self._kept.append(shape)  # places are known by the object
        self._row(shape, "")
        for one in order:
            parts = sorted(one.parts.items()) if _has_places(one) else list(one.parts.items())
            row = self._rows[self._places[id(one)]]
            row[codes.N_CHILD], row[codes.N_COUNT] = len(self._rows), len(parts)
            for step, part in parts:
                self._row(part, step)
                order.append(part)
        end = len(self._rows)
        for one in order:
            if one.item is not None:
                if one.has_names:
                    raise NotPlainError("it loops over the values of an object")
                row = self._rows[self._places[id(one)]]
                row[codes.N_ITEM], row[codes.N_ITEM_END] = self._add(one.item)
        return first, end

    def _row(self, shape: Shape, step: str | int) -> None:
        self._places[id(shape)] = len(self._rows)
        kind = codes.LEAF
        if shape.item is not None:
            kind = codes.LIST
        elif shape.parts:
            kind = codes.PLACES if _has_places(shape) else codes.FIELDS
        name = step.encode() if isinstance(step, str) else b""
        row = [0] * codes.NODE_WIDTH
        row[codes.N_KIND], row[codes.N_OPTIONAL] = kind, int(shape.optional)
        row[codes.N_NAME], row[codes.N_NAME_SIZE] = len(self._texts), len(name)
        row[codes.N_PLACE] = step if isinstance(step, int) else 0
        if kind == codes.PLACES:
            places = (int(place) for place, part in shape.parts.items() if not part.optional)
            row[codes.N_REQUIRED] = max(places, default=-1) + 1
        self._texts += name
        self._rows.append(row)

    # Kinds.

    def _heads(self, kinds: Sequence[Sequence[Any]]) -> list[list[int]]:
        rows: list[list[int]] = []
        by_place = [bool(steps) and isinstance(steps[0], int) for steps in (_steps(one[0]) for one in kinds)]
        for placed, begin, end in (
            (False, codes.P_BY_NAME, codes.P_BY_NAME_END),
            (True, codes.P_BY_PLACE, codes.P_BY_PLACE_END),
        ):
            wanted = [one for one, is_placed in zip(kinds, by_place, strict=True) if is_placed == placed]
            if not wanted:
                continue
            shape = Shape(f"{self._spec.name}.kind", msgspec.Raw)
            shape.require(_WHOLE)
            for one in wanted:
                for part in one:
                    shape.leaf(Path(_steps(part), from_root=False, optional=True))
            self._numbers[begin], self._numbers[end] = self._add(shape)
            rows += [self._kind(shape, one, placed=placed) for one in wanted]
        return rows

    def _kind(self, shape: Shape, parts: Sequence[Any], *, placed: bool) -> list[int]:
        if len(parts) > codes.MAX_PARTS:
            raise NotPlainError("its kinds have too many parts")
        row = [int(placed), len(parts)]
        for part in parts:
            node = self._places[id(shape.require(Path(_steps(part), from_root=False, optional=True)))]
            match part:
                case fields.Has():
                    row += [codes.K_HAS, node, self._word(part.path)]
                case fields.Nested():
                    row += [codes.K_NESTED, node, self._word("many")]
                case fields.Listed():
                    row += [codes.K_LISTED, node, self._word("list")]
                case fields.Learned():
                    row += [codes.K_WORD, node, self._field_learned(self._channel)]
                case _:
                    row += [codes.K_WORD, node, self._field(self._word_of(part))]
        return row + [0] * (codes.KIND_WIDTH - len(row))

    def _word(self, word: str) -> int:
        return self._words.setdefault(word, len(self._words) + 1) if word else 0

    def _word_of(self, part: Any) -> Resolve:
        def resolve(raw: bytes) -> int | None:
            said = values.word(raw)
            if not isinstance(part, str):
                said = values.cut(said, part.heads, part.after, part.before, part.split)
                said = said.upper() if part.upper else said.lower() if part.lower else said
            # Not every word a venue may think of is kept.
            return self._word(said) if len(self._words) < _MAX_WORD - 1 else self._words.get(said)

        return resolve

    def _channel(self, raw: bytes, emitter: Emitter) -> int | None:
        channel = emitter.channel_of(whole(raw))
        return self._word(channel) if channel else None

    def _kind_of(self, order: Sequence[str]) -> Resolve:
        dialect = self._dialect
        places = {kind: place for place, kind in enumerate(order)}

        def resolve(raw: bytes) -> int | None:
            spelled = {number: word for word, number in self._words.items()}
            kind = ":".join(spelled[low + (high << 7)] for low, high in zip(raw[::2], raw[1::2], strict=True))
            if kind in dialect.routes:
                return places.get(kind, codes.ORDINARY)
            return codes.SILENT if kind in dialect.silent and kind != dialect.welcome else None

        return resolve

    # Routes.

    def _route(self, found: Any, *, answers: bool) -> list[int]:
        parts: Sequence[Any] = found if isinstance(found, tuple) else (found,)
        if any(isinstance(part, records.Hook) for part in parts):
            raise NotPlainError("it is read by a function")
        if not self._books and any(isinstance(part, (records.BookSnapshot, records.BookUpdate)) for part in parts):
            raise NotPlainError("its books are kept by a machine that the kernel does not know")
        shape, names = Shape("route"), dict[str, Any]()
        try:
            for part in parts:
                write_record(Writer(shape, names, "route"), part)
        except SpecificationError as error:
            raise NotPlainError(str(error)) from error
        shape.require(_WHOLE)
        before = len(self._rows), len(self._texts), len(self._numbers)
        try:
            first, end = self._add(shape)
            writer = RouteWriter(
                self._places, self._field, self._field_learned, shape, self._numbers, self._texts, self._scales
            )
            made = [writer.record(part, answers=answers) for part in parts]
            lists = writer.lists(shape)
        except NotPlainError:
            del self._rows[before[0] :], self._texts[before[1] :], self._numbers[before[2] :]
            raise
        at = len(self._numbers)
        for record in made:
            self._numbers += record
        listed = len(self._numbers)
        self._numbers += lists
        return [first, end, at, len(made), listed, len(lists)]


def _unknown(_raw: bytes) -> None:
    return None


def _has_places(shape: Shape) -> bool:
    return any(isinstance(step, int) for step in shape.parts)


def _steps(part: Any) -> tuple[str | int, ...]:
    return read_path(part if isinstance(part, str) else part.path, "kind").steps
