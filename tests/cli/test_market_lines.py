"""Every event type can be shown as a line and as JSON, and chosen by an option."""

from __future__ import annotations

import json
from typing import Any

import pytest

from alphapulse.domain.domains import Domain
from alphapulse.domain.errors import InvalidArgument
from alphapulse.records import EXECUTION_REPORT, LAYOUTS, STRATEGY_SIGNAL, RecordLayout
from alphapulse_cli.event_filter import filter_of
from alphapulse_cli.market_lines import line, record
from strategy_sdk import EventBatch, EventType


def event_of(layout: RecordLayout, **fields: Any) -> Any:
    rows = layout.new(1)
    rows["flags"], rows["listing_key"] = 1, 7
    for name, value in fields.items():
        rows[name] = value
    [event] = EventBatch(1, 1, 1, 1, 99, ((layout, rows),)).events()
    return event


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=lambda layout: layout.name)
def test_every_event_type_can_be_shown(layout: RecordLayout) -> None:
    event = event_of(layout)
    assert EventType(layout.event_type).name in line(event, None)
    shown = record(event, None)
    assert shown["type"] == EventType(layout.event_type).name
    json.dumps(shown)


def test_reports_and_signals_say_what_they_hold() -> None:
    report = event_of(
        EXECUTION_REPORT, client_order_id=b"order-1", state=4, side=1, price=10025, price_exponent=-2, reason=b"done"
    )
    shown = record(report, None)
    assert (shown["client_order_id"], shown["state"], shown["side"]) == ("order-1", "FILLED", "BUY")
    assert (shown["price"], shown["reason"], shown["possible_duplicate"]) == ("100.25", "done", False)
    assert "client_order_id order-1" in line(report, None)
    signal = event_of(STRATEGY_SIGNAL, name=b"momentum.1m", direction=2, value=1.5)
    assert "name momentum.1m direction SELL value 1.5" in line(signal, None)


def test_a_domain_is_that_of_the_option_or_of_the_types() -> None:
    def chosen(*types: str, domain: str | None = None) -> Domain:
        return filter_of(types, domain, (), (), (), unknown=False).chosen_domain

    assert chosen() is Domain.MARKET
    assert chosen(domain="execution") is Domain.EXECUTION
    assert chosen("strategy_signal") is Domain.SIGNAL
    with pytest.raises((InvalidArgument, KeyError)):
        chosen("no_such_type")
