"""One subscriber's queue under any order of events and writes: nothing is lost in silence, memory is bounded, order is kept."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from alphapulse.api.relay.v1 import relay_service_pb2 as pb
from alphapulse.records import QUOTE
from relay_service.core import RelayCore
from relay_service.egress.conflation import MAX_STRAYS
from relay_service.egress.envelope import GrpcEncoder, delivery
from relay_service.egress.fanout import FanOut
from relay_service.egress.items import Batch
from relay_service.egress.settings import FanOutSettings
from relay_service.kernel.engine import KernelSettings
from relay_service.subscriptions.wanted import Filter, Latest, Sample, Start, Stream, Wanted

BOUND = 1 << 16
SLACK = 4096
"""Notices find room in a full queue."""

contracts = st.one_of(st.just(Stream()), st.just(Stream(8192)), st.just(Latest()), st.builds(Sample, st.integers(1, 4)))
steps = st.lists(
    st.one_of(
        st.tuples(st.just("rows"), st.lists(st.integers(1, 6), min_size=1, max_size=120)),
        st.tuples(st.just("lost"), st.integers(1, 5)),
        st.tuples(st.just("take"), st.integers(1, 6)),
        st.tuples(st.just("put"), contracts),
    ),
    max_size=60,
)


class Run:
    """A fan-out with one client that reads when it is told to."""

    def __init__(self, contract: Stream | Latest | Sample, provisional: int = 200_000) -> None:
        self.core = RelayCore(KernelSettings(registry_enabled=False, capacity=4, max_provisional=provisional))
        self.fanout = FanOut(self.core, FanOutSettings("test", registry_enabled=False, queue_bytes=BOUND))
        self.client = self.fanout.connect("grpc", GrpcEncoder(), lambda: None)
        self.source = self.core.sources.claim("S", 1, 1)[0]
        self.taken: list[Any] = []
        self.put(contract)

    def put(self, contract: Stream | Latest | Sample) -> None:
        self.fanout.put(self.client, Wanted(1, Filter(), contract, Start.NOW))

    def rows(self, keys: list[int]) -> None:
        rows = QUOTE.new(len(keys))
        rows["listing_key"], rows["flags"], rows["bid_price"], rows["ask_price"] = keys, 1, 1, 2
        self.fanout.deliver(self.core.accept(self.source, QUOTE.event_type, rows, self.source.next_sequence, 1))

    def lost(self, count: int) -> None:
        self.fanout.deliver(self.core.source_gap(self.source, "RECONNECTED", 0, count))

    def take(self, count: int) -> None:
        for _ in range(count):
            data = self.client.take()
            if data is None:
                return
            self.taken.append(pb.SubscribeResponse.FromString(data))


@settings(max_examples=150, deadline=None)
@given(contracts, steps)
def test_whatever_was_not_delivered_is_declared(contract: Any, script: list[tuple[str, Any]]) -> None:
    run = Run(contract)
    lost = 0
    for kind, value in script:
        getattr(run, kind)(value)
        lost += value if kind == "lost" else 0
        assert run.client.queue.queued <= BOUND + SLACK
    run.take(1 << 20)
    [subscription] = run.client.subscriptions.values()
    expected, declared, delivered, gap_before = 1, 0, 0, False
    for response in run.taken:
        which = response.WhichOneof("message")
        if which == "delivery":
            one = response.delivery
            assert (one.first_number, one.count) == (expected, len(one.batch.quotes))
            sequences = [quote.sequence for quote in one.batch.quotes]
            assert sequences == sorted(sequences)
            assert one.last_sequence == sequences[-1]
            expected += one.count
            delivered += one.count
            gap_before = False
        elif which == "gap" and response.gap.from_number:
            assert not gap_before, "two gaps in a row are one"
            assert response.gap.from_number == expected
            expected = response.gap.to_number + 1
            gap_before = True
        elif which == "gap":
            declared += response.gap.count
        else:
            gap_before = False
    assert declared == lost
    assert expected == subscription.next_number
    assert delivered == subscription.delivered
    assert run.client.queue.queued == 0
    assert subscription.queued == 0
    assert run.client.queued_bytes == 0


filters = st.frozensets(st.integers(1, 8), min_size=1, max_size=8)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(filters, min_size=1, max_size=80),  # more than one word of bits
    st.lists(st.lists(st.integers(1, 8), min_size=1, max_size=40), min_size=1, max_size=12),
    st.randoms(use_true_random=False),
)
def test_each_client_gets_the_rows_its_filter_wants_however_it_reads(
    chosen: list[frozenset[int]], frames: list[list[int]], random: Any
) -> None:
    """Frames are divided among filters, rows wait in batches that grow while they do; held against picking row by row."""
    core = RelayCore(KernelSettings(registry_enabled=False, capacity=4))
    fanout = FanOut(core, FanOutSettings("test", registry_enabled=False, queue_bytes=1 << 30))
    source = core.sources.claim("S", 1, 1)[0]
    clients = [fanout.connect("grpc", GrpcEncoder(), lambda: None) for _ in chosen]
    for keys, client in zip(chosen, clients, strict=True):
        fanout.put(client, Wanted(1, Filter(listing_keys=keys), Stream(), Start.NOW))
    got: list[list[tuple[int, int]]] = [[] for _ in chosen]

    def read(number: int) -> None:
        data = clients[number].take()
        response = pb.SubscribeResponse() if data is None else pb.SubscribeResponse.FromString(data)
        if response.HasField("delivery"):
            one = response.delivery
            assert one.first_number == len(got[number]) + 1
            assert one.last_sequence == one.batch.quotes[-1].sequence
            got[number] += [(quote.sequence, quote.listing_key) for quote in one.batch.quotes]
            assert one.count == len(one.batch.quotes)

    for sent in frames:
        rows = QUOTE.new(len(sent))
        rows["listing_key"], rows["flags"], rows["bid_price"], rows["ask_price"] = sent, 1, 1, 2
        fanout.deliver(core.accept(source, QUOTE.event_type, rows, source.next_sequence, 1))
        rows[:] = QUOTE.new(1)  # the buffer is the caller's again
        for number in range(len(chosen)):
            if random.random() < 0.5:
                read(number)
    for number in range(len(chosen)):
        while clients[number].queue:
            read(number)
    everything = list(enumerate([key for sent in frames for key in sent], 1))
    assert got == [[(sequence, key) for sequence, key in everything if key in keys] for keys in chosen]


def test_a_client_that_reads_nothing_costs_a_bounded_amount_whatever_happens() -> None:
    run = Run(Stream())
    for _ in range(3000):
        run.rows([1, 2, 3])
        run.lost(1)
    assert run.client.queue.queued <= BOUND + SLACK
    run.take(1 << 20)
    gaps = [one.gap for one in run.taken if one.WhichOneof("message") == "gap"]
    assert sum(gap.count for gap in gaps if not gap.from_number) == 3000
    missing = sum(gap.count for gap in gaps if gap.from_number)
    assert sum(one.delivery.count for one in run.taken if one.HasField("delivery")) + missing == 9000


def test_what_conflates_is_bounded_for_listings_the_relay_keeps_no_state_of() -> None:
    run = Run(Latest(), provisional=2)
    keys = list(range(1, 3 * MAX_STRAYS))
    for _ in range(3):
        run.rows(keys)
    [subscription] = run.client.subscriptions.values()
    kept = 2 + MAX_STRAYS
    assert run.client.queued_bytes < (kept + 1) * QUOTE.row_size + SLACK
    run.take(1 << 20)
    deliveries = [one.delivery for one in run.taken if one.HasField("delivery")]
    [gap] = [one.gap for one in run.taken if one.HasField("gap")]
    quotes = [quote for one in deliveries for quote in one.batch.quotes]
    assert [quote.listing_key for quote in quotes] == keys[:kept]
    assert min(quote.sequence for quote in quotes) > 2 * len(keys)
    assert sum(one.conflated for one in deliveries) == 2 * kept
    lost = 3 * (len(keys) - kept)
    assert (gap.from_number, gap.to_number, gap.count, gap.reason) == (kept + 1, kept + lost, lost, "QUEUE_FULL")
    assert (subscription.dropped, run.fanout.figures.gaps_declared) == (lost, lost)


def test_a_bound_above_the_relays_own_is_the_relays_own() -> None:
    run = Run(Stream(1 << 40))
    for _ in range(100):
        run.rows(list(range(1, 7)) * 10)
    assert run.client.queue.queued <= BOUND + SLACK
    run.take(1 << 20)
    [lagging] = [one.lagging for one in run.taken if one.HasField("lagging")]
    assert lagging.max_queue_bytes == BOUND
    assert lagging.queued_bytes > BOUND // 2


@given(
    st.integers(1, (1 << 32) - 1),
    st.integers(1, (1 << 64) - 1),
    st.integers(0, (1 << 64) - 1),
    st.integers(0, (1 << 64) - 1),
    st.integers(1, 40),
)
def test_the_envelope_is_what_protobuf_writes(
    number: int, first: int, sequence: int, conflated: int, rows: int
) -> None:
    run = Run(Stream())
    run.fanout.put(run.client, Wanted(number, Filter(), Stream(), Start.NOW))
    made = QUOTE.new(rows)
    made["sequence"][-1] = sequence
    data = made.tobytes()
    batch = Batch(run.client.subscriptions[number], first, 0, rows, len(data), conflated=conflated)
    batch.parts.append((QUOTE.event_type, data, rows))
    found = pb.SubscribeResponse.FromString(delivery(batch)).delivery
    assert (found.subscription_id, found.first_number, found.count) == (number, first, rows)
    assert (found.last_sequence, found.conflated, len(found.batch.quotes)) == (sequence, conflated, rows)
