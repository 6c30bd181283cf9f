"""Reads a venue's list of instruments: where its lines are, and which other answers belong to it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import Any, Final

import msgspec

from alphapulse.domain.errors import InvalidArgument
from collector_service.compiler.bodies import values_of
from collector_service.compiler.faults import fault
from collector_service.compiler.line_values import steps_of, value_at, word_of
from collector_service.compiler.lines import ReadLine, compile_line
from collector_service.listings import VenueSymbol
from collector_service.source import InstrumentList, ListRequest, path_of
from collector_service.spec.listing import Instruments

NAME: Final = "@name"
"""Under this the name of a line stands that is a value of an object."""
ALL: Final = "@all"
"""Under this the whole answer."""
LINE: Final = "@line"
ACROSS: Final = "@across"
"""Under these what stands in the one list and in the other."""


def compile_instruments(spec: Instruments, fiat: frozenset[str], codes: Mapping[str, str], where: str) -> ListRequest:
    """A request for a list and how its answer is read. Raises SpecificationError."""
    if not spec.lines:
        raise fault(f"{where}.lines", spec.lines, "at least one way to read a line")
    if bool(spec.path) == bool(spec.given):
        raise fault(f"{where}.path", spec.path, "a path, or the lines themselves in `given`")
    places = [steps_of(one, f"{where}.each") for one in ((spec.each,) if isinstance(spec.each, str) else spec.each)]
    decode = values_of(spec.body)
    codes = codes if spec.codes is None else spec.codes
    readers = [compile_line(line, fiat, codes, f"{where}.lines[{place}]") for place, line in enumerate(spec.lines)]

    further = steps_of(spec.next, f"{where}.next")
    then = [steps_of(spec.then, f"{where}.then")] if spec.then is not None else None
    if sum(map(bool, (spec.follow, spec.across, spec.next, spec.post is not None))) > 1:
        raise fault(where, spec.path, "`follow`, `across`, `next` and `post` are of different lists")

    def lines(body: bytes, at: Sequence[Sequence[Any]]) -> list[tuple[str, Any]]:
        answer = decode(body)
        found = [(each, value_at(answer, each)) for each in at]
        there = [one for one in found if one[1] is not None] or found[:1]
        return [line for each, one in there for line in _lines(answer, one, each)]

    def parse(body: bytes) -> InstrumentList:
        return _read(lines(body, places), readers)

    def parse_followed(body: bytes) -> InstrumentList:
        return _read([("", decode(body))] if then is None else lines(body, then), readers)

    def follow(body: bytes) -> Sequence[str]:
        return [spec.follow.replace("{line}", line) for _, line in lines(body, places) if isinstance(line, str)]

    def following(body: bytes) -> str:
        return path_of(word_of(value_at(decode(body), further)))

    def cross(body: bytes, other: bytes) -> InstrumentList:
        pairs = product(lines(body, places), lines(other, places))
        return _read([(f"{name}{by}", {LINE: one, ACROSS: two}) for (name, one), (by, two) in pairs], readers)

    if spec.given:
        found = _read([(f"given[{place}]", dict(line)) for place, line in enumerate(spec.given)], readers)
        if found.refused or len(found.entries) < len(spec.given):
            raise fault(f"{where}.given", found.refused[:1], "every line that is given is an instrument")
        return ListRequest("", parse, given=found)
    if spec.follow:
        return ListRequest(spec.path, parse_followed, follow, _pattern(spec.follow))
    if spec.across:
        return ListRequest(spec.path, parse, across=spec.across, cross=cross)
    return ListRequest(
        spec.path,
        parse,
        body=msgspec.json.encode(spec.post) if spec.post is not None else None,
        next=following if spec.next else None,
    )


def _lines(whole: Any, found: Any, each: Sequence[Any]) -> list[tuple[str, Any]]:
    """The lines of an answer, each with a name for errors."""
    if isinstance(found, dict):
        return [
            (name, {NAME: name, ALL: whole, **line} if isinstance(line, dict) else line) for name, line in found.items()
        ]
    if isinstance(found, list):
        return [(f"[{at}]", {ALL: whole, **line} if isinstance(line, dict) else line) for at, line in enumerate(found)]
    raise InvalidArgument.field(
        ".".join(map(str, each)) or "list", str(found)[:64], "list-format", "a list or an object of instruments"
    )


def _pattern(template: str) -> re.Pattern[str]:
    before, _, behind = template.partition("{line}")
    return re.compile(f"{re.escape(before)}[^/?&]+{re.escape(behind)}")


def _read(lines: Iterable[tuple[str, Any]], readers: Sequence[ReadLine]) -> InstrumentList:
    entries: list[VenueSymbol] = []
    refused: list[str] = []
    for name, line in lines:
        try:
            found = next((entry for read in readers if (entry := read(line)) is not None), None)
        except InvalidArgument as error:
            refused.append(f"{name}: {error}")
            continue
        if found is not None:
            entries.append(found)
    return InstrumentList(tuple(entries), tuple(refused))
