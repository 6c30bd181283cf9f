"""Domains at the relay as it serves: filters are of one, a stream carries all, executions go first and starve nobody."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphapulse.api.relay.v1 import relay_service_pb2 as pb
from alphapulse.domain.domains import URGENCY, Domain
from alphapulse.records import EXECUTION_REPORT, QUOTE, STRATEGY_SIGNAL, RecordLayout
from relay_service.core import RelayCore
from relay_service.egress.envelope import GrpcEncoder
from relay_service.egress.fanout import FanOut
from relay_service.egress.items import NOTICE_COST, Notice
from relay_service.egress.queue import QUANTUM, SHARED_BATCH_BYTES, SendQueue
from relay_service.egress.session import MAX_ID, Session
from relay_service.egress.settings import FanOutSettings
from relay_service.kernel.engine import KernelSettings
from relay_service.subscriptions.digest import subject_of
from relay_service.subscriptions.wanted import Filter, Stream

BOTH = pytest.mark.parametrize("transport", ["grpc", "unix"])
LAYOUT_OF = {Domain.MARKET: QUOTE, Domain.SIGNAL: STRATEGY_SIGNAL, Domain.EXECUTION: EXECUTION_REPORT}
LARGEST = 100_000


def rows_of(layout: RecordLayout, count: int, **fields: Any) -> Any:
    rows = layout.new(count)
    rows["listing_key"], rows["flags"] = range(1, count + 1), 1
    for name, value in fields.items():
        rows[name] = value
    return rows


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.sampled_from(Domain), st.integers(1, LARGEST)),
            st.integers(1, 8),
        ),
        max_size=80,
    )
)
def test_the_urgent_goes_first_and_nobody_starves(script: list[tuple[Domain, int] | int]) -> None:
    queue = SendQueue(dict.fromkeys(Domain, 1 << 40))
    waiting: dict[Domain, list[bytes]] = {domain: [] for domain in Domain}
    passed_over = dict.fromkeys(Domain, 0)
    pushed = 0
    for step in [*script, 1 << 20]:
        if not isinstance(step, int):
            domain, size = step
            message = pushed.to_bytes(8, "big") + bytes(size)
            pushed += 1
            queue.lane(domain).push(Notice(message))
            waiting[domain].append(message)
            continue
        for _ in range(step):
            item = queue.take()
            if item is None:
                assert not any(waiting.values())
                break
            assert isinstance(item, Notice)
            [served] = [domain for domain in Domain if waiting[domain] and waiting[domain][0] == item.message]
            waiting[served].pop(0)
            passed_over[served] = 0
            cost = len(item.message) + NOTICE_COST
            for domain in Domain:
                if waiting[domain] and domain is not served:
                    passed_over[domain] += cost
                    more_urgent = URGENCY.index(domain) + (1 if served in URGENCY[URGENCY.index(domain) :] else 0)
                    # A domain waits for a quantum of each that is more urgent, and for one write of a less urgent one.
                    assert passed_over[domain] <= more_urgent * (QUANTUM + LARGEST + 2 * NOTICE_COST) + 2 * (
                        LARGEST + 2 * NOTICE_COST
                    )
                elif not waiting[domain]:
                    passed_over[domain] = 0
    assert queue.queued == 0
    assert not queue


class Run:
    """A fan-out with one client that subscribes to every domain and reads when it is told to."""

    def __init__(self, **bounds: int) -> None:
        self.core = RelayCore(KernelSettings(registry_enabled=False, capacity=4))
        self.fanout = FanOut(self.core, FanOutSettings("test", registry_enabled=False, **bounds))
        self.client = self.fanout.connect("grpc", GrpcEncoder(), lambda: None)
        self.session = Session(self.fanout, self.client, MAX_ID)
        self.session.handle(pb.SubscribeRequest(hello=pb.ClientHello(name="s", heartbeat_interval_ms=600_000)))
        for domain in Domain:
            chosen = pb.SubscriptionFilter(domain=int(domain))  # type: ignore[arg-type]
            self.session.handle(pb.SubscribeRequest(put=pb.PutSubscription(subscription_id=int(domain), filter=chosen)))
        self.sources = {domain: self.core.sources.claim(domain.name, 1, 1, None, domain)[0] for domain in Domain}
        while self.take():
            pass

    def relay(self, domain: Domain, count: int) -> None:
        source, layout = self.sources[domain], LAYOUT_OF[domain]
        rows = rows_of(layout, count)
        self.fanout.deliver(self.core.accept(source, layout.event_type, rows, source.next_sequence, 1))

    def take(self) -> Any:
        data = self.client.take()
        return pb.SubscribeResponse.FromString(data) if data is not None else None


@pytest.mark.parametrize("urgent", [Domain.EXECUTION, Domain.SIGNAL])
async def test_what_is_urgent_is_the_next_write_however_much_of_the_market_waits(urgent: Domain) -> None:
    run = Run()
    for _ in range(100):
        run.relay(Domain.MARKET, 400)
    assert run.client.queue.queued > 100 * 400 * QUOTE.row_size
    assert run.take().delivery.subscription_id == Domain.MARKET
    run.relay(urgent, 1)
    found = run.take().delivery
    assert (found.subscription_id, found.count, found.last_sequence) == (urgent, 1, 1)
    market = run.take().delivery
    assert market.subscription_id == Domain.MARKET
    assert market.ByteSize() < SHARED_BATCH_BYTES + 1024, "what is being written does not hold it up for long"


async def test_a_full_queue_of_one_domain_takes_no_room_of_another() -> None:
    run = Run(queue_bytes=1 << 16)
    for _ in range(50):
        run.relay(Domain.MARKET, 100)
    run.relay(Domain.EXECUTION, 20)
    run.relay(Domain.SIGNAL, 20)
    dropped = {one.queue.domain: one.dropped for one in run.client.subscriptions.values()}
    assert dropped[Domain.MARKET] > 0
    assert (dropped[Domain.EXECUTION], dropped[Domain.SIGNAL]) == (0, 0)
    counts = dict.fromkeys(Domain, 0)
    while (found := run.take()) is not None:
        if found.HasField("delivery"):
            counts[Domain(found.delivery.subscription_id)] += found.delivery.count
    assert (counts[Domain.EXECUTION], counts[Domain.SIGNAL]) == (20, 20)
    assert counts[Domain.MARKET] == 5000 - dropped[Domain.MARKET]


async def test_a_loss_is_told_to_the_subscribers_of_its_domain() -> None:
    run = Run()
    run.fanout.deliver(run.core.source_gap(run.sources[Domain.SIGNAL], "RECONNECTED", 0, 3))
    found = run.take().gap
    assert (found.subscription_id, found.source, found.count) == (Domain.SIGNAL, "SIGNAL", 3)
    assert run.take() is None


def test_tokens_of_the_market_from_before_there_were_domains_stay_good() -> None:
    assert subject_of(Filter(sources=frozenset({"A"})), Stream()).hex() == "c984acd8e1c16973"
    assert subject_of(Filter(domain=Domain.SIGNAL), Stream()) != subject_of(Filter(), Stream())


async def publish(relay: Any, domain: Domain, count: int, **fields: Any) -> None:
    """Events of one source, by the core: what publishing is like is tested elsewhere."""
    core, layout = relay.app.core, LAYOUT_OF[domain]
    source = core.sources.claim(f"SOURCE {domain.name}", 1, 1, None, domain)[0]
    rows = rows_of(layout, count, **fields)
    relay.app.fanout.deliver(core.accept(source, layout.event_type, rows, source.next_sequence, 1))


@BOTH
async def test_a_stream_carries_every_domain_and_an_empty_filter_the_market_alone(relay: Any, transport: str) -> None:
    client = await relay.subscriber(transport, heartbeat_interval_ms=20)
    unknown = {"include_unknown": True}
    await client.put(1, filter=unknown)
    await client.put(2, filter=unknown | {"event_types": [STRATEGY_SIGNAL.event_type]})
    await client.put(3, filter=unknown | {"domain": int(Domain.EXECUTION)})
    for domain in Domain:
        await publish(relay, domain, 2)
    for number in (1, 2, 3):
        await client.rows(2, number)
        rows = client.of(number).rows
        assert {row["type"] for row in rows} == {LAYOUT_OF[Domain(number)].event_type}
        assert [row["sequence"] for row in rows] == [1, 2], "each domain counts for itself"
    number = len(client.log)
    beat = await client.until(lambda: client.last("heartbeat", number))
    assert dict(beat.heartbeat.last_sequences) == {1: 2, 2: 2, 3: 2}
    status = await relay.stub.GetRelayStatus(pb.GetRelayStatusRequest())
    assert [(one.domain, one.last_sequence, one.events, one.subscriptions) for one in status.domains] == [
        (number, 2, 2, 1) for number in (1, 2, 3)
    ]


async def test_a_subscription_is_of_one_domain(relay: Any) -> None:
    client = await relay.grpc()

    async def rule(number: int = 1, **fields: Any) -> tuple[str, str]:
        refused = await client.put(number, **fields)
        [violation] = refused.error.violations
        return violation.field, violation.rule

    mixed = {"event_types": [QUOTE.event_type, EXECUTION_REPORT.event_type]}
    assert await rule(filter=mixed) == ("filter.event_types", "one-domain")
    assert await rule(filter={"event_types": [QUOTE.event_type], "domain": 2}) == ("filter.event_types", "one-domain")
    assert await rule(filter={"domain": 9}) == ("filter.domain", "domain")
    snapshot = pb.SubscriptionStart(snapshot=pb.StartSnapshot())
    assert await rule(filter={"domain": 3}, start=snapshot) == ("start.snapshot", "snapshot-domain")
    await client.put(2, filter={"domain": 2})
    assert await rule(2, filter={"domain": 1}) == ("filter.domain", "domain-change")
    assert not (await client.put(2, filter={"domain": 2, "sources": ["A"]})).removed


@BOTH
async def test_filters_by_definition_hold_for_signals_too(relay: Any, build: Any, transport: str) -> None:
    relay.define(build.listing(1), build.listing(2, venue="XW"))
    client = await relay.subscriber(transport, with_definitions=True)
    await client.put(filter={"domain": 2, "venues": ["XW"]})
    await publish(relay, Domain.SIGNAL, 3, name=b"momentum")
    [row] = await client.rows(1)
    assert (row["listing_key"], bytes(row["name"]).rstrip(b"\0"), row["definition_version"]) == (2, b"momentum", 1)
    [defined] = client.all("definitions")
    assert [one.listing.venue for one in defined.definitions] == ["XW"]
