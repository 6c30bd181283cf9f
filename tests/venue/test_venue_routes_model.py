"""Plans and scores against exhaustive search and against the plainest arithmetic."""

from __future__ import annotations

import itertools
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from alphapulse.domain.decimal import ExactDecimal
from registry_service.venue import numbers
from registry_service.venue.ranking import PARTS, Candidate, Weights, rank
from registry_service.venue.routing import Slot, plan


@st.composite
def slots(draw: st.DrawFn) -> Slot:
    lot = draw(st.integers(1, 5))
    return Slot(
        penalty=Fraction(draw(st.integers(-12, 12)), draw(st.integers(1, 3))),
        lot=lot,
        low=lot * draw(st.integers(1, 4)),
        high=lot * draw(st.integers(0, 8)),
    )


def worth(given_slots: list[Slot], sizes: tuple[int, ...]) -> tuple[int, Fraction, int]:
    """Smaller is better."""
    cost = sum((slot.penalty * size for slot, size in zip(given_slots, sizes, strict=True)), Fraction(0))
    return -sum(sizes), cost, sum(size > 0 for size in sizes)


@settings(max_examples=300)
@given(st.lists(slots(), max_size=4), st.integers(0, 45), st.integers(0, 4))
def test_no_plan_is_better(given_slots: list[Slot], size: int, most: int) -> None:
    choices = [[0, *range(slot.low, slot.high + 1, slot.lot)] for slot in given_slots]
    feasible = (
        sizes
        for sizes in itertools.product(*choices)
        if sum(sizes) <= size and (not most or sum(one > 0 for one in sizes) <= most)
    )
    best = min(worth(given_slots, sizes) for sizes in feasible)
    found = plan(given_slots, size, most)
    assert found.optimal
    assert all(one in choices[at] for at, one in enumerate(found.sizes))
    assert worth(given_slots, found.sizes) == best


@given(st.lists(slots(), max_size=30), st.integers(0, 10**6), st.integers(0, 6), st.integers(1, 200))
def test_a_search_cut_short_still_keeps_the_constraints(
    given_slots: list[Slot], size: int, most: int, budget: int
) -> None:
    found = plan(given_slots, size, most, budget)
    used = [(slot, taken) for slot, taken in zip(given_slots, found.sizes, strict=True) if taken]
    assert sum(found.sizes) <= size
    assert not most or len(used) <= most
    assert all(slot.low <= taken <= slot.high and taken % slot.lot == 0 for slot, taken in used)


def test_lots_far_apart_take_bounded_time() -> None:
    far = [Slot(Fraction(at), lot, lot, 10**12 // lot * lot) for at, lot in enumerate((10**9, 7, 1, 10**6 + 3))]
    found = plan(far, 10**12 - 1)
    assert sum(found.sizes) == 10**12 - 1


figures = st.none() | st.fractions(Fraction(1, 100), Fraction(10**6))


@st.composite
def candidates(draw: st.DrawFn) -> list[Candidate]:
    return [
        Candidate(
            code=f"V{at}",
            listing_id=f"l{at}",
            fee=draw(st.none() | st.fractions(Fraction(-5), Fraction(50))),
            depth=draw(figures),
            volume=draw(figures),
            fill=draw(figures),
            latency=draw(figures),
        )
        for at in range(draw(st.integers(0, 5)))
    ]


@given(candidates(), st.lists(st.integers(0, 100), min_size=3, max_size=3).filter(lambda w: sum(w) <= 100))
def test_scores_are_the_weighted_parts(given_candidates: list[Candidate], given_weights: list[int]) -> None:
    numbers_ = [*map(Fraction, given_weights), Fraction(100 - sum(given_weights))]
    weights = Weights(*numbers_)
    results = rank(given_candidates, weights)
    assert sorted(one.candidate.code for one in results) == sorted(one.code for one in given_candidates)
    measure = "depth" if any(one.depth for one in given_candidates) else "volume"
    for one in results:
        values = {part: getattr(one.candidate, {"fees": "fee", "liquidity": measure}.get(part, part)) for part in PARTS}
        assert one.missing == tuple(part for part in PARTS if values[part] is None)
        for part, value in values.items():
            others = [
                getattr(other, {"fees": "fee", "liquidity": measure}.get(part, part)) for other in given_candidates
            ]
            known = [other for other in others if other is not None]
            if value is None:
                wanted = Fraction(0)
            elif part == "fees":
                wanted = Fraction(1000) / (10 + value - min(known))
            elif part == "liquidity":
                wanted = 100 * value / max(known)
            else:
                wanted = 100 * min(known) / value
            assert one.parts[part] == wanted
            assert 0 <= wanted <= 100
        total = sum(one.parts[part] * weight for part, weight in zip(PARTS, numbers_, strict=True)) / 100
        assert one.score == total
    assert [one.score for one in results] == sorted((one.score for one in results), reverse=True)


@given(st.fractions(-(10**9), 10**9))
def test_a_fraction_as_a_decimal_is_exact_or_just_above(value: Fraction) -> None:
    found = numbers.fraction(numbers.decimal(value))
    assert value <= found
    assert found - value < Fraction(1, 10**8)
    if 10**9 % value.denominator == 0:
        assert found == value


@given(st.integers(-(2**63), 2**63 - 1), st.integers(-30, 5))
def test_a_decimal_goes_there_and_back(mantissa: int, exponent: int) -> None:
    given_number = ExactDecimal(mantissa, exponent)
    assert numbers.decimal(numbers.fraction(given_number)) == given_number
