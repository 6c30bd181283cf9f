"""Lists of instruments written backwards: lines in which a source reads the instruments that a mock venue has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, cast

import msgspec

from alphapulse.domain.asset_class import AssetClass
from alphapulse.domain.errors import InvalidArgument
from alphapulse.domain.instruments import ListingStatus
from collector_service.compiler.listing import ACROSS, LINE, NAME, compile_instruments
from collector_service.listings import VenueSymbol
from collector_service.mock.bodies import written
from collector_service.mock.draft import Draft, UnwritableError, encoded
from collector_service.mock.hearing import with_secrets
from collector_service.mock.lines import (
    changed,
    kinds_of,
    paths_of,
    put_amount,
    put_meaning,
    put_status,
    put_step,
    rights_of,
    steps_of,
)
from collector_service.mock.names import PAIRS, QUOTES, STYLES, TICKERS, price_decimals
from collector_service.mock.numbers import time_value
from collector_service.mock.texts import Grouped, Lens, Whole, lens_of, shares
from collector_service.mock.world import Terms, World
from collector_service.source import InstrumentList, ListRequest
from collector_service.spec import fields
from collector_service.spec.listing import Contract, Instruments, Line
from collector_service.spec.source import SourceSpec

EXPIRY: Final = datetime(2027, 3, 26, 8, tzinfo=UTC)
_MOST: Final = "9000000"
_STRIKE: Final = "60000"
_SCALE: Final = "8"
_SIZE_DECIMALS: Final = 4
_PER_LINE: Final = 3
_MANY: Final = 4
"""Ways to read a line, from which on one instrument of each is enough."""
_TRIES: Final = 40
"""Ways to spell a symbol, one after the other without success, before a line is given up."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One line, and how the source reads it."""

    entry: VenueSymbol
    line: Any
    name: str
    """Its name, where lines are the values of an object or are asked for one by one."""
    of: Line | None = None
    """How it is read."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What a line is to say."""

    base: str
    quote: str
    symbol: str
    kind: AssetClass | None
    right: str = ""


class ListWriter:
    """Writes the lists of one dialect. `scales` are the extras that scale whole numbers."""

    def __init__(
        self, spec: SourceSpec, instruments: Iterable[Instruments], scales: frozenset[str], world: World | None = None
    ) -> None:
        """In a world there are several instruments of each line, however many lines there are, or the pairs that the world has."""
        self._spec = spec
        self._world = world
        self._terms: Mapping[tuple[str, str], Terms] = world.pairs if world is not None else {}
        self._scales = self.scales = scales
        self.unwritten: list[str] = []
        """Lines that could not be written: a sentence each."""
        self.style = STYLES[0]
        self._requests = [(one, compile_instruments(one, spec.fiat, spec.codes, spec.name)) for one in instruments]
        self._lists: list[list[Listed]] = []
        self._turn = 0
        kinds = sum(len(kinds_of(line)) for one, _ in self._requests for line in one.lines)
        self._per_line = len(self._terms) or (_PER_LINE if world is not None or kinds < _MANY else 1)

    def write(self, style: str) -> list[Listed]:
        """All lines, symbols in a style where the list leaves it open."""
        self.style, self.unwritten, self._lists = style, [], []
        for request, compiled in self._requests:
            made: list[Listed] = []
            if compiled.given is not None:
                self._lists.append([Listed(entry, None, entry.symbol) for entry in compiled.given.entries])
                continue
            for place, line in enumerate(request.lines):
                kinds = kinds_of(line)
                for kind in kinds:
                    found = self._of_kind(request, compiled.parse, line, kind, made)
                    if not found and not self._terms:
                        self.unwritten.append(
                            f"{request.path} lines[{place}]{'' if kind is None else f' ({kind.name})'}"
                        )
                    made += found
            self._lists.append(_crossed(request, compiled, made) if compiled.cross is not None else made)
        return [one for made in self._lists for one in made]

    def answer(self, path: str) -> bytes | None:
        """The body of a request for a list, None for another request."""
        for (request, _), made in zip(self._requests, self._lists, strict=True):
            if request.path and _is_at(request.path, path):
                return written(request.body, _body(request, _side(made, LINE) if request.across else made))
            if request.across and _is_at(request.across, path):
                return written(request.body, _body(request, _side(made, ACROSS)))
            for one in made:
                if request.follow and request.follow.replace("{line}", one.name) == path:
                    return written(request.body, one.line)
        return None

    def value(self, path: str) -> Any:
        """The answer as a plain value, None for a path that is no list's."""
        for (request, _), made in zip(self._requests, self._lists, strict=True):
            if request.path and _is_at(request.path, path):
                return _body(request, made)
        return None

    def posted(self, path: str, body: bytes) -> bytes | None:
        """The body of a request by POST for a list, None for another request."""
        for request, compiled in self._requests:
            if compiled.body == body and request.path.partition("#")[0] == path:
                return self.answer(request.path)
        return None

    def statuses(self) -> Iterator[tuple[str, ListingStatus, ListingStatus]]:
        """(word, what it means, what it is read as) of every word of a status that decides alone."""
        for (request, compiled), made in zip(self._requests, self._lists, strict=True):
            for line in request.lines if compiled.given is None and compiled.cross is None else ():
                choice = line.status
                one = next((one for one in made if one.of is line), None)
                if not isinstance(choice, fields.Choice) or one is None:
                    continue
                for word, meaning in choice.words.items():
                    other = changed(one.line, steps_of(choice.path), word)
                    if other is None:
                        continue
                    body = other if request.follow else _body(request, [replace(one, line=other)])
                    read = compiled.parse(written(request.body, body))
                    if len(read.entries) == 1:
                        yield word, cast("ListingStatus", meaning), read.entries[0].status

    def _of_kind(
        self, request: Instruments, parse: Any, line: Line, kind: AssetClass | None, before: list[Listed]
    ) -> list[Listed]:
        found: list[Listed] = []
        tries = 0
        taken = {one.entry.symbol for made in self._lists for one in made} | {one.entry.symbol for one in before}
        rights = rights_of(line) if kind is AssetClass.OPTION else ("",)
        alone = line.index is not None or line.security is not None
        for base, quote in (
            (*(("", quote) for quote in QUOTES for _ in range(_PER_LINE)),) if alone else self._pairs(before)
        ):
            if not self._may_be(line, _Wanted(base, quote, "", kind, rights[0])):
                continue
            for right in rights:
                for symbol in TICKERS if alone else self._symbols(base, quote, kind, right):
                    tries += 1
                    if tries > _TRIES:
                        return found
                    wanted = _Wanted(base, quote, symbol, kind, right)
                    listed = self._one(request, parse, line, wanted, len(before) + len(found))
                    if listed is not None and listed.entry.symbol not in taken:
                        found.append(listed)
                        taken.add(listed.entry.symbol)
                        tries = 0
                        break
            if len(found) >= self._per_line:
                break
        return found

    def _pairs(self, before: list[Listed]) -> Sequence[tuple[str, str]]:
        # A venue has each of the world's pairs once, by the first line that can tell it.
        had = {(one.entry.base, one.entry.quote) for one in before}
        return [pair for pair in self._terms if pair not in had] if self._terms else PAIRS

    def _may_be(self, line: Line, wanted: _Wanted) -> bool:
        """Whether a line can be of this pair at all, whatever its symbol."""
        try:
            self._drafted(line, wanted, 0).build()
        except UnwritableError:
            return False
        return True

    def _symbols(self, base: str, quote: str, kind: AssetClass | None, right: str) -> Iterator[str]:
        if self._world is not None and kind is None and (own := self._world.symbol(base, quote)):
            yield own
        styles = dict.fromkeys((self.style, *STYLES))
        ends = {None: ("",), AssetClass.PERPETUAL: ("PERP", "", "SWAP", "PERPETUAL")}.get(
            kind, ("260327", "27MAR26") if not right else (f"26MAR27-60000-{right[:1].upper()}",)
        )
        for style in styles:
            separator = next(
                (character for character in style.replace("{", "").replace("}", "") if not character.isalpha()), ""
            )
            for end in ends:
                body = style.format(base=base, quote=quote, lbase=base.lower(), lquote=quote.lower())
                yield f"{body}{separator}{end}" if end else body

    def _one(self, request: Instruments, parse: Any, line: Line, wanted: _Wanted, place: int) -> Listed | None:
        for symbol in (wanted.symbol, ""):
            try:
                draft = self._drafted(line, replace(wanted, symbol=symbol), place)
                made = draft.build((wanted.symbol,))
            except UnwritableError:
                continue
            name = made.pop(NAME, f"line{place}") if isinstance(made, dict) else f"line{place}"
            listed = Listed(VenueSymbol("", "", "", frozenset()), made, str(name), line)
            try:
                read: InstrumentList = parse(
                    written(request.body, made if request.follow else _body(request, [listed]))
                )
            except (InvalidArgument, msgspec.DecodeError):
                continue
            if len(read.entries) == 1 and _is_wanted(read.entries[0], wanted, line, self._scales):
                return replace(listed, entry=read.entries[0])
        return None

    def _drafted(self, line: Line, wanted: _Wanted, place: int) -> Draft:
        draft = Draft()
        self._turn += 1  # so that spellings that nothing decides are of one line alone
        for path, words in line.where.items():
            draft.wish(steps_of(path), Whole(), words if isinstance(words, tuple) else (words,))
        hints = (wanted.base, wanted.quote)
        if wanted.base:
            self._text(draft, line.base, self._own(wanted.base), hints)
        self._text(draft, line.quote, self._own(wanted.quote), hints)
        if line.contract is not None:
            self._contract(draft, line.contract, wanted)
        if wanted.symbol:
            self._text(draft, line.symbol, wanted.symbol, hints)
        put_status(draft, line.status, ListingStatus.TRADING)
        self._alone(draft, line)
        terms = self._terms.get((wanted.base, wanted.quote))
        put_step(draft, line.tick, terms.price_decimals if terms else price_decimals(wanted.base, wanted.quote))
        put_step(draft, line.lot, terms.size_decimals if terms else _SIZE_DECIMALS)
        put_step(draft, line.min_size, terms.size_decimals if terms else 0)
        if line.max_size is not None:
            put_amount(draft, line.max_size, _MOST if terms else "1", 0)
        put_step(draft, line.min_notional, terms.min_notional_decimals if terms else 0)
        for name, field in line.extras.items():
            self._extra(draft, field, _SCALE if name in self._scales else f"{wanted.base.lower()}{place}")
        if line.having:
            draft.fill(steps_of(line.having), 1)
        for field in (line.symbol, *line.aliases):
            for path in paths_of(field):
                if not path.startswith("@") or path == NAME:
                    draft.fill(steps_of(path), f"{wanted.base}{wanted.quote}{self._turn}")
        return draft

    def _alone(self, draft: Draft, line: Line) -> None:
        """What a line says of an index or of a share. Identifiers are left out: no two shares have one."""
        if line.security is not None and isinstance(line.security.kind, fields.Choice):
            put_meaning(draft, line.security.kind, AssetClass.EQUITY)
        told = line.security or line.index
        for path in paths_of(told.name) if told is not None else ():
            draft.fill(steps_of(path), f"Mock {self._turn}")
        if line.index is not None:
            for path in paths_of(line.index.provider):
                draft.fill(steps_of(path), "Mock")

    def _expiry(self, draft: Draft, field: Any, hints: tuple[str, ...]) -> None:
        if isinstance(field, fields.Written):
            text = EXPIRY.strftime(field.form)
            self._text(draft, field.text, (text, text.upper()), hints)
        else:
            draft.put(steps_of(field.path), time_value(field, int(EXPIRY.timestamp()) * 10**9))

    def _own(self, code: str) -> tuple[str, ...]:
        """The venue's codes of an asset, as it may write them."""
        return (
            (*(own for own, known in self._spec.codes.items() if known == code), code)
            if code not in self._spec.codes
            else ()
        )

    def _text(self, draft: Draft, field: Any, words: str | tuple[str, ...], hints: tuple[str, ...]) -> None:
        wanted = (words,) if isinstance(words, str) else tuple(dict.fromkeys((*words, *map(str.lower, words))))
        match field:
            case str() | fields.Text():
                path, lens = lens_of(field)
                draft.wish(steps_of(path), lens, wanted)
            case fields.Match(path, pattern):
                grouped: Lens = Grouped(pattern)
                draft.wish(steps_of(path), grouped, wanted)
            case fields.Const(value):
                if value not in wanted and value.upper() not in wanted:
                    raise UnwritableError(f"it is always {value}")
            case fields.Join():
                for word in wanted:
                    parts = next(shares(field, word, hints), None)
                    if parts is not None:
                        for part, share in zip(field.parts, parts, strict=True):
                            self._text(draft, part, share, hints)
                        return
                raise UnwritableError(f"{wanted} cannot be parted as {field}")

    def _extra(self, draft: Draft, field: Any, word: str) -> None:
        for path in paths_of(field):
            if not path.startswith("@") and not draft.has(steps_of(path)):
                draft.fill(steps_of(path), word)

    def _contract(self, draft: Draft, terms: Contract, wanted: _Wanted) -> None:
        if isinstance(terms.kind, fields.Choice):
            put_meaning(draft, terms.kind, wanted.kind)
        if terms.right is not None and wanted.right:
            put_meaning(draft, terms.right, wanted.right)
        for settle in (wanted.quote, wanted.base, "USDT", "USDC"):
            try:
                self._text(draft, terms.settle, self._own(settle), (wanted.base, wanted.quote))
                break
            except UnwritableError:
                continue
        if terms.expiry is not None and wanted.kind is not AssetClass.PERPETUAL:
            self._expiry(draft, terms.expiry, (wanted.base, wanted.quote))
        put_step(draft, terms.size, 0)
        if terms.strike is not None:
            put_amount(draft, terms.strike, _STRIKE, 0)


def _is_at(told: str, path: str) -> bool:
    return told == path or ("{" in told and with_secrets(told).fullmatch(path) is not None)


def _crossed(request: Instruments, compiled: ListRequest, made: list[Listed]) -> list[Listed]:
    """Every line of the one list with every line of the other, as they are read."""
    assert compiled.cross is not None
    kept = {encoded(one.line): one for one in made}
    sides = _side(made, LINE), _side(made, ACROSS)
    read = compiled.cross(*(written(request.body, _body(request, side)) for side in sides))
    whole = [{LINE: one.line, ACROSS: two.line} for one in sides[0] for two in sides[1]]
    if len(whole) != len(read.entries):
        raise UnwritableError(f"{request.path}: some of its lines go with some of {request.across} alone")
    return [
        Listed(entry, line, entry.symbol, kept[encoded(line)].of if encoded(line) in kept else None)
        for entry, line in zip(read.entries, whole, strict=True)
    ]


def _side(made: list[Listed], side: str) -> list[Listed]:
    """One of the two lists that are crossed, each of its lines once."""
    return list({encoded(one.line[side]): replace(one, line=one.line[side]) for one in made}.values())


def _body(request: Instruments, made: list[Listed]) -> Any:
    draft = Draft()
    if request.follow:
        draft.put(
            steps_of(request.each if isinstance(request.each, str) else request.each[0]), [one.name for one in made]
        )
    elif _named(request):
        draft.put(
            steps_of(request.each if isinstance(request.each, str) else request.each[0]),
            {one.name: one.line for one in made},
        )
    else:
        draft.put(
            steps_of(request.each if isinstance(request.each, str) else request.each[0]), [one.line for one in made]
        )
    return draft.build()


def _named(request: Instruments) -> bool:
    fields_of = (
        field
        for line in request.lines
        for field in (line.symbol, line.base, line.quote, *line.aliases, *line.extras.values())
    )
    return any(path.startswith(NAME) for field in fields_of for path in paths_of(field))


def _is_wanted(entry: VenueSymbol, wanted: _Wanted, line: Line, scales: Mapping[str, str] | frozenset[str]) -> bool:
    if (entry.base, entry.quote, entry.streamed) != (wanted.base, wanted.quote, line.streamed):
        return False
    if entry.status is not ListingStatus.TRADING or any(
        not entry.extras.get(name, _SCALE).isdecimal() for name in scales
    ):
        return False
    if (entry.contract.kind if entry.contract is not None else None) is not wanted.kind:
        return False
    return (
        entry.contract is None
        or not wanted.right
        or (entry.contract.right is not None and entry.contract.right.name.lower() == wanted.right)
    )
