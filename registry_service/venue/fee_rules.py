"""The rules of fee schedules: tiers that rise from 0, one schedule of a product at a time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from alphapulse.domain.decimal import ExactDecimal
from registry_service.venue.convert import wire
from registry_service.venue.findings import Findings

PRODUCTS: Final = ("SPOT", "MARGIN", "PERPETUAL", "FUTURE", "OPTION", "EQUITY", "FX", "POOL")
"""What a schedule can be for."""
CURRENCY: Final = re.compile(r"[A-Z0-9]{1,20}")
SOURCE_LENGTH: Final = 2048
_LARGEST_BPS: Final = ExactDecimal(10_000)
_NETWORK_LENGTH: Final = 64
_BPS: Final = ("maker_bps", "taker_bps")
_PER_UNIT: Final = ("maker_per_unit", "taker_per_unit")
_BEGIN: Final = datetime.min.replace(tzinfo=UTC)
_END: Final = datetime.max.replace(tzinfo=UTC)


def fee_findings(findings: Findings, schedules: Sequence[wire.FeeSchedule], name: str = "fee_schedules") -> None:
    """Adds every rule the schedules break."""
    spans: dict[str, list[tuple[datetime, datetime]]] = {}
    for at, schedule in findings.count(name, schedules):
        path = f"{name}[{at}]"
        schedule_findings(findings, path, schedule)
        span = _span(findings, path, schedule)
        if span is None:
            continue
        taken = spans.setdefault(schedule.product, [])
        if any(span[0] < end and start < span[1] for start, end in taken):
            of = f" of {schedule.product}" if schedule.product else ""
            findings.add(path, "", "span-overlap", f"two schedules{of} hold at the same time")
        taken.append(span)


def schedule_findings(findings: Findings, path: str, schedule: wire.FeeSchedule) -> None:
    """Adds every rule one schedule breaks by itself."""
    if CURRENCY.fullmatch(schedule.volume_currency) is None:
        findings.add(f"{path}.volume_currency", schedule.volume_currency, "currency-code", "1 to 20 capitals, digits")
    if schedule.product and schedule.product not in PRODUCTS:
        findings.add(f"{path}.product", schedule.product, "product-unknown", f"one of {', '.join(PRODUCTS)}, or none")
    findings.text(f"{path}.source", schedule.source, SOURCE_LENGTH)
    findings.day(f"{path}.checked_date", schedule.checked_date)
    if schedule.fee_currency and CURRENCY.fullmatch(schedule.fee_currency) is None:
        findings.add(f"{path}.fee_currency", schedule.fee_currency, "currency-code", "1 to 20 capitals, digits")
    _tiers(findings, path, schedule)
    for at, fee in findings.count(f"{path}.withdrawals", schedule.withdrawals, 1000):
        _withdrawal(findings, f"{path}.withdrawals[{at}]", fee)


def _tiers(findings: Findings, path: str, schedule: wire.FeeSchedule) -> None:
    if not schedule.tiers:
        findings.add(f"{path}.tiers", "", "required", "a schedule has at least one tier")
    before: ExactDecimal | None = None
    for at, tier in findings.count(f"{path}.tiers", schedule.tiers):
        where = f"{path}.tiers[{at}]"
        _fees(findings, where, tier, schedule.fee_currency)
        findings.text(f"{where}.name", tier.name, _NETWORK_LENGTH)
        volume = findings.decimal(tier, "min_volume", where) or ExactDecimal(0)
        if at == 0 and volume != ExactDecimal(0):
            findings.add(f"{where}.min_volume", volume, "tier-first", "the first tier holds from 0")
        elif before is not None and volume <= before:
            rule = f"tiers rise, and the one before holds from {before}"
            findings.add(f"{where}.min_volume", volume, "tier-order", rule)
        before = volume


def _fees(findings: Findings, where: str, tier: wire.FeeTier, fee_currency: str) -> None:
    """Both fees in basis points, or both a unit."""
    per_unit = any(tier.HasField(name) for name in _PER_UNIT)
    if per_unit and any(tier.HasField(name) for name in _BPS):
        findings.add(where, "", "tier-fees", "a tier states basis points or fees a unit, not both")
    for name in _PER_UNIT if per_unit else _BPS:
        fee = findings.decimal(tier, name, where)
        if not tier.HasField(name):
            findings.add(f"{where}.{name}", "", "required", "a tier states both fees")
        elif not per_unit and fee is not None and (fee > _LARGEST_BPS or fee < ExactDecimal(-10_000)):
            findings.add(f"{where}.{name}", fee, "range", "-10000 to 10000 basis points")
    if per_unit and not fee_currency:
        findings.add(f"{where}.maker_per_unit", "", "fee-currency", "fees a unit need the schedule's fee_currency")


def _withdrawal(findings: Findings, path: str, fee: wire.WithdrawalFee) -> None:
    if CURRENCY.fullmatch(fee.asset) is None:
        findings.add(f"{path}.asset", fee.asset, "currency-code", "1 to 20 capitals, digits")
    findings.text(f"{path}.network", fee.network, _NETWORK_LENGTH)
    if not fee.HasField("amount") and not fee.HasField("bps"):
        findings.add(f"{path}.amount", "", "required", "an amount or basis points")
    for name in ("amount", "bps"):
        value = findings.decimal(fee, name, path)
        if value is not None and value < ExactDecimal(0):
            findings.add(f"{path}.{name}", value, "not-negative", "it must not be below zero")


def _span(findings: Findings, path: str, schedule: wire.FeeSchedule) -> tuple[datetime, datetime] | None:
    known = len(findings.found)
    start = findings.time(schedule, "valid_from", path, kept=True) or _BEGIN
    end = findings.time(schedule, "valid_to", path, kept=True) or _END
    if len(findings.found) > known:
        return None
    if start >= end:
        findings.add(f"{path}.valid_to", end.isoformat(), "span-order", "valid_to has to be later than valid_from")
        return None
    return start, end
