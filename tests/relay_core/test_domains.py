"""Domains in the core: sequences of their own, what a source may send, texts, limits, and sources that keep what they send."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphapulse.api.relay.v1.relay_service_pb2 import SourceHello
from alphapulse.domain.domains import Domain, domain_of
from alphapulse.records import EXECUTION_REPORT, LAYOUTS, QUOTE, STRATEGY_SIGNAL, RecordLayout, texts_at_fault
from relay_service.core import RelayCore
from relay_service.ingress.control import Seats
from relay_service.kernel.engine import KernelSettings
from relay_service.limits import DomainLimits, Limits, RateLimit
from relay_service.sources import SourceState

SECOND = 1_000_000_000
LAYOUT_OF = {Domain.MARKET: QUOTE, Domain.SIGNAL: STRATEGY_SIGNAL, Domain.EXECUTION: EXECUTION_REPORT}


def rows_of(layout: RecordLayout, keys: list[int], **fields: Any) -> Any:
    rows = layout.new(len(keys))
    rows["listing_key"], rows["flags"] = keys, 1
    for name, value in fields.items():
        rows[name] = value
    return rows


class Relay:
    """A core with one source a domain."""

    def __init__(self, limits: Limits | None = None, **settings_: Any) -> None:
        self.core = RelayCore(KernelSettings(registry_enabled=False, capacity=4, **settings_), limits)
        self.sources = {domain: self.core.sources.claim(domain.name, 1, 1, None, domain)[0] for domain in Domain}
        for domain in (Domain.SIGNAL, Domain.EXECUTION):
            self.sources[domain].acknowledges = True

    def send(self, domain: Domain, keys: list[int], now_ns: int = SECOND, **fields: Any) -> Any:
        source, layout = self.sources[domain], LAYOUT_OF[domain]
        first = fields.pop("first", source.next_sequence)
        return self.core.accept(source, layout.event_type, rows_of(layout, keys, **fields), first, now_ns)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(Domain), st.integers(1, 5)), max_size=20))
def test_each_domain_numbers_its_own_events_without_a_hole(script: list[tuple[Domain, int]]) -> None:
    relay = Relay()
    expected = dict.fromkeys(Domain, 1)
    for domain, count in script:
        result = relay.send(domain, list(range(1, count + 1)))
        [group] = result.groups
        assert result.domain is domain
        assert group.rows["sequence"].tolist() == list(range(expected[domain], expected[domain] + count))
        expected[domain] += count
    assert {domain: relay.core.last_of(domain) + 1 for domain in Domain} == expected


def test_event_types_say_their_domain() -> None:
    assert {domain_of(kind) for kind in LAYOUTS if kind < 32} == {Domain.MARKET}
    assert (STRATEGY_SIGNAL.domain, EXECUTION_REPORT.domain) == (Domain.SIGNAL, Domain.EXECUTION)


def test_a_source_sends_events_of_its_domain_alone() -> None:
    relay = Relay()
    source = relay.sources[Domain.MARKET]
    result = relay.core.accept(source, STRATEGY_SIGNAL.event_type, rows_of(STRATEGY_SIGNAL, [1]), 1, SECOND)
    assert (result.rejected, result.refusal, result.groups) == (1, "WRONG_DOMAIN", ())
    assert relay.core.counters().rejects == {"WRONG_DOMAIN": 1}
    assert relay.core.last_of(Domain.SIGNAL) == 0


def seats(core: RelayCore) -> Seats:
    return Seats(core, lambda _: None, lambda: None, {}, lambda _: None)


def hello(source: str, **fields: Any) -> SourceHello:
    return SourceHello(**{"source": source, "epoch": 1, "provenance": 1, "slot": 1} | fields)


@pytest.mark.parametrize(
    ("second", "rule"),
    [
        (hello("A", slot=2, domain=2, acknowledges=True), "connection-domain"),
        (hello("A", domain=9), "domain"),
        (hello("B", slot=2, domain=3), "connection-domain"),
    ],
)
def test_a_connection_carries_one_domain(second: SourceHello, rule: str) -> None:
    held = seats(RelayCore())
    assert held.hello(hello("A"), 1).accepted
    refused = held.hello(second, 1)
    assert (refused.accepted, refused.reason) == (False, "INVALID_ARGUMENT")
    assert f"[{rule}]" in refused.message


def test_a_source_is_of_one_domain_for_good_and_an_execution_source_keeps_what_it_sends() -> None:
    core = RelayCore()
    assert seats(core).hello(hello("A", domain=2), 1).accepted
    assert "[source-domain]" in seats(core).hello(hello("A", epoch=2), 1).message
    assert "[acknowledges]" in seats(core).hello(hello("E", domain=3), 1).message
    assert seats(core).hello(hello("E", domain=3, acknowledges=True), 1).accepted


TEXT = st.one_of(
    st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=40).map(str.encode),
    st.binary(max_size=40),
).map(lambda text: text[:40])


@settings(deadline=None)
@given(st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=8))
def test_rows_whose_texts_are_none_are_refused_and_the_others_taken(texts: list[tuple[bytes, bytes]]) -> None:
    def is_text(data: bytes) -> bool:
        data = data.rstrip(b"\0")
        return b"\0" not in data and data.decode(errors="replace").encode() == data

    good = [is_text(a) and is_text(b) for a, b in texts]
    keys = list(range(1, len(texts) + 1))
    fields = {"order_id": [a for a, _ in texts], "execution_id": [b for _, b in texts]}
    assert texts_at_fault(EXECUTION_REPORT, rows_of(EXECUTION_REPORT, keys, **fields)).tolist() == [
        not one for one in good
    ]
    relay = Relay()
    result = relay.send(Domain.EXECUTION, keys, **fields)
    taken = [key for group in result.groups for key in group.rows["listing_key"].tolist()]
    assert taken == [key for key, fits in zip(keys, good, strict=True) if fits]
    assert result.rejected == good.count(False)
    assert relay.core.counters().rejects.get("MALFORMED_TEXT", 0) == good.count(False)


def test_keys_that_strategies_make_up_take_no_slot_of_the_market() -> None:
    relay = Relay(max_provisional=80)
    relay.send(Domain.SIGNAL, list(range(1, 101)))
    assert np.count_nonzero(relay.send(Domain.SIGNAL, [500]).groups[0].slots == -1) == 1
    slots = relay.send(Domain.MARKET, list(range(1001, 1081))).groups[0].slots
    assert (slots >= 0).all()


def limited(domain: Domain, **bounds: int) -> Relay:
    usual = {one: DomainLimits() for one in Domain}
    return Relay(Limits(usual | {domain: DomainLimits(**bounds)}))


def test_a_source_of_the_market_above_its_limit_is_shed_and_its_loss_declared() -> None:
    relay = limited(Domain.MARKET, source_events=10)
    assert relay.send(Domain.MARKET, [1] * 10).accepted == 10
    shed = relay.send(Domain.MARKET, [1] * 7)
    assert (shed.rejected, shed.refusal) == (7, "SOURCE_RATE_LIMITED")
    assert [(gap.reason, gap.events) for gap in shed.gaps] == [("SOURCE_RATE_LIMITED", 7)]
    assert relay.send(Domain.MARKET, [1] * 2).gaps == ()
    assert relay.send(Domain.SIGNAL, [1] * 50).accepted == 50
    owed = relay.core.tick(2 * SECOND)
    assert [(gap.reason, gap.events) for gap in owed.gaps] == [("SOURCE_RATE_LIMITED", 2)]
    after = relay.send(Domain.MARKET, [1], 2 * SECOND)
    assert after.accepted == 1
    assert after.groups[0].rows["flags"][0] & 1 << 13, "the next one bears GAP_BEFORE"
    assert relay.sources[Domain.MARKET].limit.shed == 9


@pytest.mark.parametrize(
    "bounds", [{"source_events": 10}, {"source_bytes": 10 * STRATEGY_SIGNAL.row_size}], ids=["events", "bytes"]
)
def test_a_source_that_keeps_what_it_sends_is_asked_to_send_it_again(bounds: dict[str, int]) -> None:
    relay = limited(Domain.SIGNAL, **bounds)
    assert relay.send(Domain.SIGNAL, [1] * 10).receipt.sequence == 10
    held = relay.send(Domain.SIGNAL, [1] * 7)
    assert (held.refusal, held.resend_from, held.receipt, held.gaps) == ("SOURCE_RATE_LIMITED", 11, None, ())
    ahead = relay.send(Domain.SIGNAL, [1], 3 * SECOND, first=18)
    assert (ahead.refusal, ahead.resend_from) == ("SEQUENCE_AHEAD", 11)
    again = relay.send(Domain.SIGNAL, [1] * 7, 3 * SECOND, first=11)
    assert (again.accepted, again.receipt.sequence) == (7, 17)
    twice = relay.send(Domain.SIGNAL, [1] * 7, 3 * SECOND, first=11)
    assert (twice.duplicates, twice.groups, twice.receipt.sequence) == (7, (), 17)
    assert relay.sources[Domain.SIGNAL].gap_events == 0


@settings(deadline=None)
@given(
    st.integers(1, 1000),
    st.lists(st.tuples(st.integers(0, SECOND // 3), st.integers(1, 300)), max_size=60),
)
def test_a_limit_admits_no_more_than_its_rate_and_a_burst(rate: int, frames: list[tuple[int, int]]) -> None:
    limit = RateLimit(DomainLimits(source_events=rate))
    now, taken, first = 10 * SECOND, 0.0, 10 * SECOND
    for passed, count in frames:
        now += passed
        if limit.admits(count, 1, now):
            taken += count
            # One second's worth at once, what came in since, and the frame that was taken on credit.
            assert taken <= rate + rate * (now - first) / SECOND + count + 1e-6


def test_a_receipt_of_an_earlier_epoch_says_nothing() -> None:
    told: list[int] = []
    source = SourceState("E", 1, epoch=2, on_acknowledged=told.append)
    source.acknowledge(1, 50)
    source.acknowledge(2, 3)
    assert (told, source.acknowledged) == ([3], 3)
