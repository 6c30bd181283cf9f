"""What a pool's state comes to: against the contracts' own formulas, written down anew, and against rational arithmetic that rounds nothing."""

from __future__ import annotations

import itertools
import random
from decimal import Context, Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphapulse.domain.errors import InvalidArgument
from collector_service.chain.quotes import STEP, PoolQuote, Side, quote, range_step, reserves_step
from collector_service.chain.states import Change, Liquidity, Range, Reserves, State, States, Unread, after
from collector_service.chain.ticks import MAX_TICK, sqrt_price_at, tick_range
from collector_service.listings import PoolTerms, TokenTerms

Q96 = 2**96
FEES = st.sampled_from((100, 500, 2_500, 3_000, 10_000, 999_999))
SPACINGS = st.sampled_from((1, 10, 60, 200))


def terms(base: int = 0, decimals: tuple[int, int] = (18, 6), fee: int = 3_000, spacing: int = 60) -> PoolTerms:
    tokens = tuple(
        TokenTerms("eip155:1", f"0x{place:040x}", digits, f"T{place}") for place, digits in enumerate(decimals)
    )
    return PoolTerms("eip155:1", "0x" + "a" * 40, "uniswap-v3", fee, tokens, base, None, spacing)


def number(amount: tuple[int, int] | None) -> Fraction:
    assert amount is not None
    return Fraction(amount[0]) * Fraction(10) ** amount[1]


# What UniswapV2Library computes, with its own factors of 1,000.
def amount_out(paid: int, reserve_in: int, reserve_out: int) -> int:
    return paid * 997 * reserve_out // (reserve_in * 1000 + paid * 997)


def amount_in(got: int, reserve_in: int, reserve_out: int) -> int:
    return reserve_in * got * 1000 // ((reserve_out - got) * 997) + 1


@given(st.integers(1, 2**112 - 1), st.integers(1, 2**112 - 1))
def test_a_step_of_reserves_is_what_the_library_of_uniswap_v2_asks_and_pays(base: int, other: int) -> None:
    bid, ask = reserves_step(base, other, 3_000)
    assert bid.size == ask.size == base // STEP
    assert bid.paid == amount_out(bid.size, base, other)
    assert ask.paid == (amount_in(ask.size, other, base) if ask.size else 0)


@given(st.integers(1, 2**112 - 1), st.integers(1, 2**112 - 1), st.integers(0, 20), st.integers(0, 20), st.data())
def test_a_quote_is_never_better_than_the_pool(base: int, other: int, d0: int, d1: int, data: st.DataObject) -> None:
    side = data.draw(st.sampled_from((0, 1)))
    state = Reserves(base, other) if side == 0 else Reserves(other, base)
    made = quote(state, terms(side, (d0, d1) if side == 0 else (d1, d0)))
    unit, money = Fraction(10) ** d0, Fraction(10) ** d1
    margin = Fraction(other, base) * unit / money
    bid, ask = number(made.bid), number(made.ask)
    assert bid <= margin * Fraction(997, 1000) < margin / Fraction(997, 1000) <= ask
    if made.bid_size is not None:
        # Whoever sells so much is paid so much at least: the size was rounded down and the price as well.
        assert bid * number(made.bid_size) * money <= amount_out(base // STEP, base, other)
    if made.ask_size is not None:
        size = number(made.ask_size) * unit
        assert size <= base // STEP
        assert ask * Fraction(base // STEP) / unit * money >= amount_in(base // STEP, other, base)
        smaller = data.draw(st.integers(1, int(size)))
        # A smaller amount costs no more a unit, but for the contract's rounding to whole units.
        assert amount_in(smaller, other, base) <= ask / unit * money * smaller + 2


@pytest.mark.parametrize(
    "state", [None, Reserves(0, 0), Reserves(0, 5), Reserves(5, 0), Range(Q96, 0, 0), Range(0, 5, 0)]
)
def test_a_pool_that_holds_nothing_has_no_quote(state: State | None) -> None:
    assert quote(state, terms()) == PoolQuote()


def test_a_pool_of_two_units_has_prices_at_the_margin_and_no_size() -> None:
    made = quote(Reserves(3, 7), terms(decimals=(0, 0)))
    assert (made.bid_size, made.ask_size) == (None, None)
    assert number(made.bid) <= Fraction(7 * 997, 3000) < Fraction(7000, 3 * 997) <= number(made.ask)


def test_ticks_begin_where_the_contract_says() -> None:
    # The constants of TickMath, and the root of the price itself: they differ by less than the contract's own rounding.
    assert sqrt_price_at(0) == Q96
    assert sqrt_price_at(-MAX_TICK) == 4295128739
    assert sqrt_price_at(MAX_TICK) == 1461446703485210103287273052203988822378723970342
    exact = Context(prec=80, Emin=-10_000, Emax=10_000)
    for tick in (1, -1, 2, 60, -60, 887, 50_000, -50_001, 201_234, -201_234, 500_000, 887_271, -887_271):
        root = exact.multiply(exact.sqrt(exact.power(Decimal("1.0001"), tick)), Decimal(Q96))
        assert abs(exact.divide(Decimal(sqrt_price_at(tick)), root) - 1) < Decimal("1e-9")
    for tick in (MAX_TICK + 1, -MAX_TICK - 1):
        with pytest.raises(InvalidArgument):
            sqrt_price_at(tick)
    assert tick_range(-1, 60) == (sqrt_price_at(-60), sqrt_price_at(0))
    assert tick_range(MAX_TICK, 60) == (sqrt_price_at(887_220), sqrt_price_at(MAX_TICK))
    assert tick_range(-MAX_TICK, 60) == (sqrt_price_at(-MAX_TICK), sqrt_price_at(-887_220))


@st.composite
def ranges(draw: st.DrawFn) -> Range:
    tick = draw(st.integers(-400_000, 400_000))
    within = draw(st.integers(0, sqrt_price_at(tick + 1) - sqrt_price_at(tick) - 1))
    return Range(sqrt_price_at(tick) + within, draw(st.integers(1, 2**128 - 1)), tick)


@given(ranges(), FEES, SPACINGS)
def test_a_step_in_a_range_is_what_moves_the_price_as_far_as_is_sure(state: Range, fee: int, spacing: int) -> None:
    lower, upper = tick_range(state.tick, spacing)
    at, step = state.sqrt_price, state.sqrt_price // STEP
    down, up = max(at - step, lower), min(at + step, upper)
    # By the definition of liquidity: token 0 is L / sqrt(P), token 1 is L * sqrt(P); nothing is rounded.
    liquidity = Fraction(state.liquidity)
    zero_down, one_down = liquidity * Q96 / down - liquidity * Q96 / at, liquidity * (at - down) / Q96
    zero_up, one_up = liquidity * Q96 / at - liquidity * Q96 / up, liquidity * (up - at) / Q96
    charged = Fraction(10**6, 10**6 - fee)
    bid, ask = range_step(state, 0, fee, (lower, upper))
    again = Side(ask.paid, ask.size), Side(bid.paid, bid.size)
    assert range_step(state, 1, fee, (lower, upper)) == again
    for got, exact in ((bid.paid, one_down), (ask.size, zero_up)):
        assert 0 <= exact - got < 2
    for paid, exact in ((bid.size, zero_down * charged), (ask.paid, one_up * charged)):
        assert 0 <= paid - exact < 2 * charged + 1


@given(ranges(), FEES, SPACINGS, st.sampled_from((0, 1)), st.sampled_from((0, 6, 8, 18)), st.sampled_from((0, 6, 18)))
def test_a_quote_of_a_range_holds_its_margin_between_bid_and_ask(
    state: Range, fee: int, spacing: int, base: int, d0: int, d1: int
) -> None:
    made = quote(state, terms(base, (d0, d1), fee, spacing))
    margin = Fraction(state.sqrt_price**2, Q96**2)
    scale = Fraction(10) ** (d0 - d1)
    margin = margin * scale if base == 0 else 1 / (margin * scale)
    kept = Fraction(10**6 - fee, 10**6)
    assert number(made.bid) <= margin * kept <= margin / kept <= number(made.ask)
    bid, ask = range_step(state, base, fee, tick_range(state.tick, spacing))
    decimals = (d0, d1)[base]
    for size, side in ((made.bid_size, bid), (made.ask_size, ask)):
        if size is not None:
            assert 0 < number(size) * 10**decimals <= side.size
            assert size[0] < 10**15
    assert made.bid_size is None or made.ask_size is None or made.bid_size[1] == made.ask_size[1]


def test_at_the_edge_of_a_range_no_amount_is_sure() -> None:
    edge = sqrt_price_at(60)
    above = quote(Range(edge, 10**20, 60), terms())
    # The same price after it was reached from above: liquidity is that below the tick.
    below = quote(Range(edge, 10**20, 59), terms())
    assert above.bid_size is None
    assert above.ask_size is not None
    assert below.bid_size is not None
    assert below.ask_size is None


def test_a_state_no_pool_has_is_refused_by_its_rule() -> None:
    for state, rule in ((Range(Q96, 1, 900_000), "tick-range"), (Reserves(1, 2**112 - 1), "price-range")):
        with pytest.raises(InvalidArgument) as error:
            quote(state, terms(decimals=(36, 36)) if rule == "tick-range" else terms(decimals=(200, 0)))
        assert error.value.violations[0].rule == rule


def after_all(changes: list[tuple[int, int, Change]]) -> State | None:
    states = States(64)
    for place, index, change in changes:
        states.told(place, f"b{place}", place, [("pool", index, change)])
    news = states.take()
    return news[-1].state if news else None


@given(st.integers(0, 2**32))
def test_logs_that_come_late_count_in_the_order_of_their_blocks(seed: int) -> None:
    rng = random.Random(seed)
    changes: list[tuple[int, int, Change]] = [
        (0, 0, Range(Q96, 1_000, 0)),
        *(
            (place // 3 + 1, place, Liquidity(-5, rng.choice((5, 0)), rng.randrange(-50, 400)))
            for place in range(1, 12)
        ),
    ]
    if rng.random() < 0.3:
        changes.append((9, 0, Unread()))
    late = changes[:]
    rng.shuffle(late)
    assert after_all(late) == after_all(changes)


@pytest.mark.parametrize(("tick", "held"), [(-61, 10), (-60, 12), (59, 12), (60, 10)])
def test_liquidity_counts_from_its_lower_tick_to_below_its_upper_one(tick: int, held: int) -> None:
    assert after(Range(Q96, 10, tick), Liquidity(-60, 60, 2)) == Range(Q96, held, tick)
    # More than there is cannot be taken: something was missed, and what the pool holds is not known.
    assert after(Range(Q96, 10, 0), Liquidity(-60, 60, -11)) is None


def test_what_is_too_far_back_to_be_withdrawn_is_no_longer_remembered_apart() -> None:
    states = States(kept=4)
    states.told(1, "b1", 10, [("pool", 0, Range(Q96, 5, 0))])
    for number in range(2, 100):
        states.told(number, f"b{number}", 10 * number, [("pool", 0, Liquidity(-1, 1, 1))])
    (told,) = states.take()
    assert (told.state, told.time_ns) == (Range(Q96, 5 + 98, 0), 990)
    for number in itertools.chain(range(99, 95, -1)):
        states.withdrawn(f"b{number}", 10 * number, ["pool"])
    (told,) = states.take()
    assert (told.state, told.time_ns) == (Range(Q96, 5 + 94, 0), 950)
    assert not states.take()
    states.missed()
    (told,) = states.take()
    assert told.state is None
    # What follows says nothing of what was missed, until a log tells the whole.
    states.told(200, "b200", 1, [("pool", 0, Liquidity(-1, 1, 1))])
    assert not states.take()
    states.told(201, "b201", 2, [("pool", 0, Reserves(1, 2))])
    assert [one.state for one in states.take()] == [Reserves(1, 2)]
