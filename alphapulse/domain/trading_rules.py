"""The rules of trading rules: what orders on a listing must keep to, from when on, and the tick where it depends on the price."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from alphapulse.domain.decimal import ExactDecimal
from alphapulse.domain.instruments import Listing, TickTier, TradingRules
from alphapulse.domain.violations import FieldViolation

MAX_TIERS: Final = 100
MAX_UPCOMING: Final = 16
_POSITIVE: Final = ("tick_size", "lot_size", "max_size", "multiplier", "max_notional", "contract_size")
_NOT_NEGATIVE: Final = ("min_size", "min_notional")
_ORDERED: Final = (("min_size", "max_size", "size-order"), ("min_notional", "max_notional", "notional-order"))


def rules_violations(rules: TradingRules, path: str) -> list[FieldViolation]:
    """What is wrong with one set of rules: values, tiers, and a tick given twice."""
    found: list[FieldViolation] = []
    for name in _POSITIVE:
        value: ExactDecimal | None = getattr(rules, name)
        if value is not None and not value.is_positive:
            found.append(FieldViolation(f"{path}.{name}", str(value), "positive", "it must be above zero"))
    for name in _NOT_NEGATIVE:
        value = getattr(rules, name)
        if value is not None and value.mantissa < 0:
            found.append(FieldViolation(f"{path}.{name}", str(value), "not-negative", "it must not be below zero"))
    for least, most, rule in _ORDERED:
        low, high = getattr(rules, least), getattr(rules, most)
        if low is not None and high is not None and high < low:
            found.append(FieldViolation(f"{path}.{most}", str(high), rule, f"{most} must not be below {least}"))
    if rules.tick_tiers:
        found.extend(_tier_violations(rules.tick_tiers, f"{path}.tick_tiers"))
        if rules.tick_size is not None:
            text = "either one tick for all prices or tiers: with both a consumer could take the wrong one"
            found.append(FieldViolation(f"{path}.tick_size", str(rules.tick_size), "tick-twice", text))
    if rules.effective_from is not None and rules.effective_from.tzinfo is None:
        value_text = rules.effective_from.isoformat()
        found.append(FieldViolation(f"{path}.effective_from", value_text, "time-zone", "a time needs a time zone"))
    return found


def schedule_violations(listing: Listing, path: str) -> list[FieldViolation]:
    """What is wrong with the rules that are announced: each set by itself, its time, and their order."""
    upcoming = listing.upcoming_rules
    if len(upcoming) > MAX_UPCOMING:
        text = f"at most {MAX_UPCOMING} announced changes, got {len(upcoming)}"
        return [FieldViolation(f"{path}.upcoming_rules", str(len(upcoming)), "too-many", text)]
    found: list[FieldViolation] = []
    before, known = listing.rules.effective_from, "rules"
    for at, rules in enumerate(upcoming):
        where = f"{path}.upcoming_rules[{at}]"
        found.extend(rules_violations(rules, where))
        start = rules.effective_from
        if start is None:
            text = "an announced change says when it takes effect"
            found.append(FieldViolation(f"{where}.effective_from", "", "required", text))
        elif start.tzinfo is not None and before is not None and before.tzinfo is not None and start <= before:
            text = f"it must be later than that of {known}, {before.isoformat()}"
            found.append(FieldViolation(f"{where}.effective_from", start.isoformat(), "schedule-order", text))
        before, known = start or before, f"upcoming_rules[{at}]"
    return found


def tick_at(rules: TradingRules, price: ExactDecimal) -> ExactDecimal | None:
    """The tick at a price: the fixed one, or that of the price's tier. None: not known."""
    if not rules.tick_tiers:
        return rules.tick_size
    tick = rules.tick_tiers[0].tick_size
    for tier in rules.tick_tiers:
        if price < tier.from_price:
            break
        tick = tier.tick_size
    return tick


def rules_at(listing: Listing, time: datetime) -> TradingRules:
    """The rules at a time that is not before those in force took effect: what is announced counts from its time on."""
    current = listing.rules
    for rules in listing.upcoming_rules:
        if rules.effective_from is not None and rules.effective_from <= time:
            current = rules
    return current


def _tier_violations(tiers: Sequence[TickTier], path: str) -> list[FieldViolation]:
    if len(tiers) > MAX_TIERS:
        text = f"at most {MAX_TIERS} tiers, got {len(tiers)}"
        return [FieldViolation(path, str(len(tiers)), "too-many", text)]
    found = []
    if tiers[0].from_price.mantissa != 0:
        shown = str(tiers[0].from_price)
        text = "the first tier begins at 0: it holds for every price below the second"
        found.append(FieldViolation(f"{path}[0].from_price", shown, "tier-start", text))
    for at, tier in enumerate(tiers):
        if not tier.tick_size.is_positive:
            shown = str(tier.tick_size)
            found.append(FieldViolation(f"{path}[{at}].tick_size", shown, "positive", "it must be above zero"))
        if at and tier.from_price <= tiers[at - 1].from_price:
            text = f"tiers are in order of price and do not overlap: it must be above {tiers[at - 1].from_price}"
            found.append(FieldViolation(f"{path}[{at}].from_price", str(tier.from_price), "tier-order", text))
        elif at and tier.tick_size.is_positive and not tier.from_price.is_multiple_of(tier.tick_size):
            text = f"the first price of a tier lies on its grid: it is no multiple of {tier.tick_size}"
            found.append(FieldViolation(f"{path}[{at}].from_price", str(tier.from_price), "tier-grid", text))
    return found
