"""A predicate as a mask over slots: every comparison is one pass over columns of numbers, exact whatever the exponents."""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import lru_cache, reduce
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from alphapulse.domain.decimal import EXPONENT_MAX, EXPONENT_MIN, INT64_MAX, INT64_MIN, ExactDecimal
from alphapulse.domain.predicate import CATALOGUE, All, Among, Any, Compare, Has, Kind, Node, Not, Predicate, Subject
from relay_service.subscriptions.facets import FEES, Mask
from relay_service.subscriptions.gathered import Gathered, Numbers

_Test = Callable[[Gathered], Mask]
_BOUNDS_KEPT: Final = 4096


class PredicateMask:
    """Tells for any slots whether they satisfy a predicate. Every field of a slot without a definition is missing."""

    def __init__(self, predicate: Predicate) -> None:
        fields = predicate.fields
        self.looks_at_venues = any(CATALOGUE[name].subject is Subject.VENUE or name in FEES for name in fields)
        """Whether a change of a venue can change what it says of listings there."""
        self.of: _Test = _test(predicate.root)
        """One truth value a slot."""


def _test(node: Node) -> _Test:
    match node:
        case All():
            return _joined(operator.and_, [_test(one) for one in node.operands])
        case Any():
            return _joined(operator.or_, [_test(one) for one in node.operands])
        case Not():
            inner = _test(node.operand)
            return lambda fields: ~inner(fields)
        case Compare():
            name, relation, bounds = node.field, node.operator, bounds_of(node.value)
            return lambda fields: compare(fields.numbers(name), relation, bounds)
        case Among():
            return _among_words(node) if CATALOGUE[node.field].words else _among_texts(node)
        case Has():
            return _has(node.field)


def _joined(join: Callable[[Mask, Mask], Mask], tests: list[_Test]) -> _Test:
    return lambda fields: reduce(join, [test(fields) for test in tests])


def _has(name: str) -> _Test:
    kind = CATALOGUE[name].kind
    if kind in (Kind.NUMBER, Kind.TIME):
        return lambda fields: fields.numbers(name).known
    if kind in (Kind.WORD, Kind.FLAG):
        return lambda fields: fields.words(name) != 0
    return lambda fields: fields.codes(name).codes != 0


def _among_words(node: Among) -> _Test:
    field = CATALOGUE[node.field]
    accepted = np.zeros(256, np.bool_)
    accepted[[field.words[value] for value in node.values]] = True
    if node.negated:
        accepted = ~accepted
    accepted[0] = False
    return lambda fields: accepted[fields.words(field.name)]


def _among_texts(node: Among) -> _Test:
    name, negated, texts = node.field, node.negated, sorted(node.values)

    def test(fields: Gathered) -> Mask:
        codes, code_of = fields.codes(name)
        # A text that no definition has yet has no code yet: they are looked up each time.
        wanted = [code for text in texts if (code := code_of(text))]
        found: Mask = codes == wanted[0] if len(wanted) == 1 else np.isin(codes, wanted)
        return (codes != 0) & ~found if negated else found

    return test


class Bounds(NamedTuple):
    """What a mantissa is compared with, by its exponent less EXPONENT_MIN: m * 10**e <= value where m <= floor[e], and < where m <= below[e]."""

    floor: npt.NDArray[np.int64]
    no_floor: Mask | None
    """Where even the least mantissa is above; None: nowhere."""
    below: npt.NDArray[np.int64]
    no_below: Mask | None


@lru_cache(_BOUNDS_KEPT)
def bounds_of(value: ExactDecimal) -> Bounds:
    """The bounds of a value: a comparison of decimals is then one of 64-bit integers, and exact."""
    floors, below = [], []
    for exponent in range(EXPONENT_MIN, EXPONENT_MAX + 1):
        shift = value.exponent - exponent
        if shift >= 0:
            floor, rest = value.mantissa * 10**shift, 0
        else:
            floor, rest = divmod(value.mantissa, 10**-shift)
        floors.append(floor)
        below.append(floor if rest else floor - 1)
    return Bounds(*_held(floors), *_held(below))


def _held(bounds: list[int]) -> tuple[npt.NDArray[np.int64], Mask | None]:
    whole = [*bounds, 0]  # one more for the exponent of a missing number, whose comparison counts for nothing
    never = np.array([bound < INT64_MIN for bound in whole])
    within = np.array([min(max(bound, INT64_MIN), INT64_MAX) for bound in whole], np.int64)
    return within, never if never.any() else None


def compare(numbers: Numbers, relation: str, bounds: Bounds) -> Mask:
    """numbers relation value, one truth value a place; false where the number is missing."""
    strict = relation in ("<", ">=")
    limit, never = (bounds.below, bounds.no_below) if strict else (bounds.floor, bounds.no_floor)
    holds = _at_most(numbers, limit, never)
    if relation in ("==", "!="):
        holds &= ~_at_most(numbers, bounds.below, bounds.no_below)
    # A missing number neither holds nor fails.
    return numbers.known & ~holds if relation in (">", ">=", "!=") else numbers.known & holds


def _at_most(numbers: Numbers, bounds: npt.NDArray[np.int64], never: Mask | None) -> Mask:
    held: Mask = numbers.mantissas <= bounds[numbers.at]
    return held if never is None else held & ~never[numbers.at]
