"""A security is listed in money that exists; a pair in whatever coin it is priced in."""

from __future__ import annotations

from typing import Any

import pytest

from alphapulse.api.instrument.v1 import instrument_service_pb2 as service


@pytest.mark.parametrize("currency", ["ZZZ", "USDT", "XYZW"])
async def test_a_share_in_a_currency_that_does_not_exist_is_refused(registry: Any, currency: str) -> None:
    entries = registry.entries
    listing = entries.listing("XETR", "EXM", currency=currency)
    error = await registry.refused(registry.register(entries.equity(entries.isin(1)), listing))
    found = [(one.field, one.value, one.rule) for one in error.violations]
    assert found == [("listings[0].currency", currency, "currency-unknown")]


@pytest.mark.parametrize("currency", ["EUR", "GBX"])
async def test_a_share_in_money_or_its_minor_unit_is_taken(registry: Any, currency: str) -> None:
    entries = registry.entries
    answer = await registry.register(entries.equity(entries.isin(1)), entries.listing("XLON", "EXM", currency=currency))
    assert answer.outcome == service.REGISTRATION_OUTCOME_CREATED
    assert answer.entry.listings[0].currency == currency
