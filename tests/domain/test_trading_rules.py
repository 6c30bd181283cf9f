"""Trading rules: tiers of ticks, announced changes, and what is wrong with them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from alphapulse.domain.decimal import ExactDecimal
from alphapulse.domain.instruments import Listing, TickTier, TradingRules
from alphapulse.domain.trading_rules import rules_at, tick_at
from alphapulse.domain.validation import validate_listing

D = ExactDecimal.parse
START = datetime(2026, 3, 2, tzinfo=UTC)


def tiers(*pairs: tuple[str, str]) -> TradingRules:
    return TradingRules(tick_tiers=tuple(TickTier(D(price), D(tick)) for price, tick in pairs))


def faults(rules: TradingRules, *upcoming: TradingRules) -> dict[str, str]:
    listing = Listing("XNAS", "AAPL", "USD", rules=rules, upcoming_rules=upcoming)
    return {one.field.removeprefix("listing."): one.rule for one in validate_listing(listing)}


def test_the_tick_is_that_of_the_tier_the_price_lies_in() -> None:
    rules = tiers(("0", "0.0001"), ("1", "0.01"), ("100", "0.05"))
    ticks = {"-5": "0.0001", "0.9999": "0.0001", "1": "0.01", "99.99": "0.01", "100": "0.05", "1e9": "0.05"}
    assert {price: str(tick_at(rules, D(price))) for price in ticks} == ticks
    assert tick_at(TradingRules(tick_size=D("0.5")), D("3")) == D("0.5")
    assert tick_at(TradingRules(), D("3")) is None
    assert faults(rules) == {}


def test_all_that_is_wrong_with_tiers_is_told() -> None:
    assert faults(tiers(("1", "0.01"))) == {"rules.tick_tiers[0].from_price": "tier-start"}
    assert faults(tiers(("0", "0.01"), ("5", "0.05"), ("5", "0.1"), ("3", "0"))) == {
        "rules.tick_tiers[2].from_price": "tier-order",
        "rules.tick_tiers[3].from_price": "tier-order",
        "rules.tick_tiers[3].tick_size": "positive",
    }
    assert faults(tiers(("0", "0.01"), ("1.005", "0.05"))) == {"rules.tick_tiers[1].from_price": "tier-grid"}
    assert faults(replace(tiers(("0", "1")), tick_size=D("1"))) == {"rules.tick_size": "tick-twice"}
    many = tiers(*[(str(n), "1") for n in range(101)])
    assert faults(many) == {"rules.tick_tiers": "too-many"}


def test_values_have_to_be_possible() -> None:
    rules = TradingRules(
        max_notional=D("5"), min_notional=D("6"), contract_size=D("0"), min_size=D("2"), max_size=D("1")
    )
    assert faults(rules) == {
        "rules.max_notional": "notional-order",
        "rules.contract_size": "positive",
        "rules.max_size": "size-order",
    }


def test_announced_rules_have_a_time_each_later_than_the_one_before() -> None:
    now = TradingRules(tick_size=D("1"), effective_from=START)
    later = [replace(now, effective_from=START + timedelta(days=n)) for n in range(4)]
    assert faults(now, *later[1:]) == {}
    assert faults(now, later[0]) == {"upcoming_rules[0].effective_from": "schedule-order"}
    assert faults(now, later[2], later[1]) == {"upcoming_rules[1].effective_from": "schedule-order"}
    assert faults(now, replace(later[1], tick_size=D("0"), effective_from=None)) == {
        "upcoming_rules[0].effective_from": "required",
        "upcoming_rules[0].tick_size": "positive",
    }
    assert faults(now, *[replace(now, effective_from=START + timedelta(days=n)) for n in range(1, 18)]) == {
        "upcoming_rules": "too-many"
    }


def test_announced_rules_count_from_their_time_on() -> None:
    first, second = (
        TradingRules(lot_size=D(size), effective_from=START + timedelta(days=n)) for n, size in ((1, "2"), (2, "3"))
    )
    listing = Listing("XNAS", "A", "USD", rules=TradingRules(lot_size=D("1")), upcoming_rules=(first, second))
    lots = [rules_at(listing, START + timedelta(hours=hours)).lot_size for hours in (0, 23, 24, 47, 48, 1000)]
    assert [str(one) for one in lots] == ["1", "1", "2", "2", "3", "3"]


@given(
    st.lists(st.integers(1, 10**6), min_size=1, max_size=20, unique=True).map(sorted),
    st.integers(-(10**6), 2 * 10**6),
)
def test_any_sound_table_gives_the_tick_of_the_last_tier_not_above_the_price(starts: list[int], price: int) -> None:
    prices = [0, *starts]
    rules = TradingRules(tick_tiers=tuple(TickTier(D(str(p)), D("1")) for p in prices))
    assert faults(rules) == {}
    marked = TradingRules(tick_tiers=tuple(TickTier(D(str(p)), D(str(at + 1))) for at, p in enumerate(prices)))
    expected = max((at for at, p in enumerate(prices) if p <= price), default=0) + 1
    assert tick_at(marked, D(str(price))) == D(str(expected))
