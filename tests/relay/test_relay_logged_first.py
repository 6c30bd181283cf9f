"""What waits for the log of execution reports is bounded, told once it can be, and sent elsewhere where another relay writes the log."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphapulse.api.marketdata.v1.marketdata_pb2 import EventBatch
from alphapulse.api.relay.v1 import relay_service_pb2 as pb
from alphapulse.client import Backoff
from alphapulse.domain.decimal import ExactDecimal
from alphapulse.domain.domains import Domain
from alphapulse.embedded import LaunchOptions, ValkeyStore
from alphapulse.records import EXECUTION_REPORT, FrameType, encode_control, encode_frame, row_sizes
from relay_service.core import RelayCore
from relay_service.egress.logged_first import MAX_KINDS, LoggedFirst
from relay_service.kernel.engine import KernelSettings
from relay_service.log.first_log import MAX_LOSSES, FirstLog
from relay_service.log.records import LoggedGap, LoggedHole, cost_of
from relay_service.log.relay_log import LogSettings, LogState
from relay_service.results import AcceptResult, SourceGapRecord
from strategy_sdk import OrderSide, OrderState, OrderUpdate, publish

PATIENCE = 20.0
UNKNOWN = float("inf")
SOURCE: dict[str, Any] = {"domain": int(Domain.EXECUTION), "acknowledges": True}
EXECUTIONS: dict[str, Any] = {"domain": int(Domain.EXECUTION), "include_unknown": True}
ORDER = OrderUpdate(1, "order-1", OrderSide.BUY, OrderState.OPEN, ExactDecimal.parse("1.5"))


@pytest.fixture
def valkey() -> Iterator[ValkeyStore]:
    """A server of the test's own, which it may stop."""
    with tempfile.TemporaryDirectory(prefix="alphapulse-test-") as folder:
        server = ValkeyStore(Path(folder) / "v", LaunchOptions(durable=False, remove_with_parent=True))
        server.start()
        yield server
        server.stop()


async def until(found: Callable[[], Any]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not found():  # noqa: ASYNC110 - other tasks
            await asyncio.sleep(0.002)


def reports(*keys: int) -> Any:
    rows = EXECUTION_REPORT.new(len(keys))
    rows["listing_key"], rows["flags"] = keys, 1
    return rows


async def answered(source: Any, kind: FrameType) -> bytes:
    """The next answer of a kind."""
    while True:
        found, payload = await source.answer()
        if found == kind:
            return bytes(payload)


@pytest.fixture
async def two_relays(start_relay: Any, fresh_redis_url: str, tmp_path: Path) -> Any:
    """Of one RELAY_ID: the first, and one that is started later."""
    first = await start_relay(log_url=fresh_redis_url)

    async def start_second() -> Any:
        sockets = {name: first.config.ingress_socket.with_name(f"{name}2") for name in ("ingress", "egress")}
        return await start_relay(log_url=fresh_redis_url, **{f"{name}_socket": path for name, path in sockets.items()})

    return first, start_second


async def test_a_publisher_at_a_relay_that_was_fenced_off_goes_on_at_the_other(two_relays: Any) -> None:
    first, start_second = two_relays
    second = await start_second()
    reader = await second.unix()
    await reader.put(filter=EXECUTIONS)
    addresses = f"{first.handle.address},{second.handle.address}"
    async with publish("GATEWAY", Domain.EXECUTION, addresses, ingress_socket="", backoff=Backoff(0.01, 0.05)) as out:
        out.execution(ORDER)  # the first takes it in, and finds out that it cannot log it
        await out.settled(timeout=PATIENCE)
        [row] = await reader.rows(1)
        assert row["client_order_id"].rstrip(b"\0") == b"order-1"
        assert first.app.logs[Domain.EXECUTION].state is LogState.FENCED
        assert out.stats().refused == {}


async def test_a_relay_that_was_fenced_off_says_goodbye_to_its_execution_sources_alone(
    two_relays: Any, build: Any
) -> None:
    first, start_second = two_relays
    gateway, other = [await first.collector(name, **SOURCE) for name in ("GATEWAY", "OTHER")]
    market, reader = await first.collector(), await first.unix()
    await reader.put(filter={"include_unknown": True})
    await start_second()
    await gateway.send(reports(1), EXECUTION_REPORT)
    for source in (gateway, other):
        goodbye = pb.FrameRejected.FromString(await answered(source, FrameType.GOODBYE))
        assert (goodbye.reason, "another relay" in goodbye.message) == ("LOG_UNAVAILABLE", True)
    late = first.stub.PublishAcknowledged()
    await late.write(pb.PublishRequest(hello=pb.SourceHello(source="LATE", provenance=1, epoch=1, **SOURCE)))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await late.read()
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    await market.send(build.quotes([1]))
    assert len(await reader.rows(1)) == 1, "the market goes on"


async def test_repeated_frames_and_losses_wait_within_a_bound_and_are_told(
    start_relay: Any, valkey: ValkeyStore
) -> None:
    relay = await start_relay(log_url=valkey.url)
    reader, source = await relay.unix(), await relay.collector("GATEWAY", **SOURCE)
    await reader.put(filter=EXECUTIONS)
    log = relay.app.logs[Domain.EXECUTION]
    again = encode_frame(EXECUTION_REPORT.event_type, reports(1, 2), slot=7, sequence=1)
    valkey.stop()
    await source.send_bytes(again)
    await until(lambda: log.unlogged == 2)
    times, kinds = 3000, 2 * MAX_KINDS
    for number in range(times):
        gap = pb.SourceGap(slot=7, reason="RECONNECTED", count=2, listing_key=1 + number % kinds)
        await source.send_bytes(again + encode_control(FrameType.SOURCE_GAP, gap))
    state = relay.app.core.sources.get("GATEWAY")
    await until(lambda: state.gap_events == 2 * times)
    assert state.duplicates == 2 * times
    assert relay.app.fanout.waiting(Domain.EXECUTION) <= MAX_KINDS + 3
    assert log.tail.size <= (MAX_LOSSES + 1) * 300 + 4096
    valkey.start()
    await reader.until(lambda: sum(gap.count for gap in reader.of().source_gaps) == 2 * times)
    assert len(await reader.rows(2)) == 2
    receipt = pb.SourceAcknowledged.FromString(await answered(source, FrameType.ACKNOWLEDGED))
    assert receipt.sequence == 2


async def test_a_client_that_ends_its_requests_is_told_what_is_relayed_afterwards(
    start_relay: Any, valkey: ValkeyStore
) -> None:
    relay = await start_relay(log_url=valkey.url, execution_patience_seconds=3600.0)
    call = relay.stub.PublishAcknowledged()
    hello = pb.SourceHello(source="GATEWAY", provenance=1, epoch=1, row_sizes=row_sizes(), **SOURCE)
    await call.write(pb.PublishRequest(hello=hello))
    assert (await call.read()).welcome.accepted
    valkey.stop()
    for first in (1, 3):
        batch = EventBatch.FromString(reports(first, first + 1).tobytes())
        await call.write(pb.PublishRequest(events=pb.SourceEvents(first_sequence=first, batch=batch)))
    await call.done_writing()
    await until(lambda: relay.app.logs[Domain.EXECUTION].unlogged == 4)
    await asyncio.wait_for(relay.stub.GetRelayStatus(pb.GetRelayStatusRequest()), PATIENCE)  # it has seen the end
    valkey.start()
    told = []
    while (answer := await asyncio.wait_for(call.read(), PATIENCE)) is not grpc.aio.EOF:
        told.append(answer.acknowledged.sequence)
    assert told[-1:] == [4]


steps = st.lists(
    st.one_of(
        st.tuples(st.just("rows"), st.sampled_from("AB"), st.integers(1, 3)),
        st.tuples(st.just("again"), st.sampled_from("AB"), st.integers(1, 500)),
        st.tuples(st.just("lose"), st.sampled_from("AB"), st.integers(0, 3), st.integers(1, 3), st.integers(1, 600)),
        st.tuples(st.just("logged"), st.integers(1, 6)),
    ),
    max_size=30,
)


@settings(max_examples=60, deadline=None)
@given(steps)
def test_whatever_waits_is_bounded_in_order_and_told(script: list[Any]) -> None:
    core = RelayCore(KernelSettings(registry_enabled=False, capacity=4))
    log = FirstLog(LogSettings("test", "redis://127.0.0.1:1"), 1)  # never entered: the test says what is logged
    told: list[tuple[str, str, int]] = []
    owed: list[tuple[str, str, int]] = []
    handed = [0]

    def hand_over(result: AcceptResult, number: int) -> None:
        for record in result.gaps:
            told.append(("loss", record.source, record.events))
            assert number > handed[0], "losses are told in the order of their numbers"
            handed[0] = number
        for group in result.groups:
            assert group.first_sequence + len(group.slots) - 1 <= log.logged, "logged first"
            told.append(("rows", result.source, len(group.slots)))

    first = LoggedFirst(log, lambda group: 0, hand_over, core.sources)
    core.gates[Domain.EXECUTION] = log.refusal
    sources = {name: core.sources.claim(name, 1, 1, None, Domain.EXECUTION)[0] for name in "AB"}
    for source in sources.values():
        source.acknowledges = True
    events = frames = 0
    for kind, *values in [*script, ("logged", 1 << 20)]:
        if kind == "logged":
            log.tail.logged(min(log.logged + values[0], events))
            continue
        source = sources[values[0]]
        if kind == "rows":
            first.take(
                core.accept(source, EXECUTION_REPORT.event_type, reports(*[1] * values[1]), source.next_sequence, 1)
            )
            events, frames = events + values[1], frames + 1
            owed.append(("rows", source.name, values[1]))
        elif kind == "again" and source.next_sequence > 1:
            for _ in range(values[1]):
                first.take(core.accept(source, EXECUTION_REPORT.event_type, reports(1), 1, 1))
        elif kind == "lose":
            count, key, times = values[1:]
            for number in range(times):
                first.take(core.source_gap(source, "RECONNECTED", key + number, count))
                owed.append(("loss", source.name, count))
        assert first.waiting <= (frames + 1) * (MAX_KINDS + 4)
    assert _by_place(told) == _by_place(owed), "everything is told, between the same events"
    assert first.waiting == 0
    assert log.position == (0, events, log.last_gap), "who resumes now is told nothing again"
    assert all(source.acknowledged == source.last_sequence for source in sources.values())


def _by_place(items: list[tuple[str, str, int]]) -> list[Any]:
    """Runs of rows, and before each what every source lost: how many in all, inf where that is not known of all."""
    found: list[Any] = [{}]
    for kind, source, count in items:
        if kind == "rows":
            found += [(source, count), {}]
        else:
            found[-1][source] = found[-1].get(source, 0) + (count or UNKNOWN)
    return found


def test_losses_beyond_what_is_kept_are_a_hole_to_who_resumes_before_them() -> None:
    log = FirstLog(LogSettings("test", "redis://127.0.0.1:1"), 1)
    for number in range(MAX_LOSSES + 50):
        assert log.append_gap(SourceGapRecord("A", "RECONNECTED", 1, 1)) == number + 1
    hole, *kept = log.pending()
    assert hole == LoggedHole(1, 0, 51)
    assert [one.number for one in kept if isinstance(one, LoggedGap)] == list(range(52, MAX_LOSSES + 51))
    assert log.tail.size == sum(map(cost_of, kept))
