"""Signals and executions explained and replayed: as the market is, from logs of their own."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import grpc
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import relay_replaying as replaying

from alphapulse.api.relay.v1 import relay_service_pb2 as pb
from alphapulse.client import from_rpc_error
from alphapulse.domain.domains import Domain
from alphapulse.domain.provenance import RecordFlag
from alphapulse.records import EXECUTION_REPORT, STRATEGY_SIGNAL
from alphapulse_cli.main import cli
from relay_service.config import Role
from relay_service.evidence.flags import MEANINGS
from relay_service.log import first_log
from relay_service.log.entries import pieces
from relay_service.log.first_log import FirstTail
from relay_service.log.records import LoggedGap, LoggedHole, LoggedInput, LoggedRows
from relay_service.results import SourceGapRecord, among

KEYS, SECOND, START_NS, VENUES = replaying.KEYS, replaying.SECOND, replaying.START_NS, replaying.VENUES
Life, changed, prepared, replayed = replaying.Life, replaying.changed, replaying.prepared, replaying.replayed
KIND_OF = {"S": STRATEGY_SIGNAL.event_type, "E": EXECUTION_REPORT.event_type, "A": 2}
DOMAIN_OF = {"S": Domain.SIGNAL, "E": Domain.EXECUTION}
SYNTHETICS = (1_000, 999)
PATIENCE = 20.0

rows = st.builds(
    lambda key, late, text, mark, bid: {
        "listing_key": key,
        "venue_time_ns": START_NS + late,
        "text": text,
        "client_order_id": text,
        "flags": 1 | int(mark),
        "bid_price": bid,
        "ask_price": bid + 1,
        "bid_size": 1,
        "ask_size": 1,
    },
    st.sampled_from([*KEYS, *SYNTHETICS, 99, 0]),
    st.sampled_from([0, 3 * SECOND, -60 * SECOND]),
    st.sampled_from([b"", b"order-1", b"a\0b", b"\xff"]),
    st.sampled_from([0, 0, 0, RecordFlag.GAP_BEFORE, RecordFlag.POSSIBLE_DUPLICATE, RecordFlag.STALE]),
    st.integers(100, 104),
)
frames = st.builds(
    lambda name, made, skip: ("send", name, KIND_OF[name], made, skip),
    st.sampled_from(["S", "S", "E", "E", "A"]),
    st.lists(rows, min_size=1, max_size=6),
    st.sampled_from([0, 0, 0, 0, 2, -1, -3]),
)
others = st.one_of(
    st.tuples(
        st.just("define"),
        st.sampled_from(KEYS),
        st.sampled_from(VENUES),
        st.just(1),
        st.none(),
        st.integers(1, 9),
    ),
    st.tuples(st.just("undefine"), st.sampled_from(KEYS)),
    st.tuples(st.just("synthetic"), st.integers(0, 1), st.sampled_from(["a + b - c", "b * 2"]), st.just(0), st.none()),
    st.tuples(st.just("unsynthetic"), st.integers(0, 1)),
    st.tuples(st.just("lose"), st.sampled_from(["S", "E"]), st.sampled_from([0, 3]), st.integers(0, 4)),
    st.tuples(st.just("restart"), st.sampled_from(["S", "E"])),
    st.tuples(st.just("tick")),
)
steps = st.tuples(st.sampled_from([1_000, SECOND]), st.one_of(frames, frames, others))


@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.booleans(), st.booleans(), st.lists(steps, min_size=1, max_size=30), st.integers(200, 1000))
def test_whatever_happened_in_a_domain_comes_out_the_same_again(
    ready: bool, registries: bool, script: list[Any], cut: int
) -> None:
    life = Life(registry_enabled=registries)
    if ready:
        prepared(life)
    life.play(script)
    for domain, journal in life.journals.items():
        records = journal.tail.records()
        cut_up = [piece for one in records for piece in (pieces(one, cut) if isinstance(one, LoggedRows) else (one,))]
        found = replayed(cut_up, domain)
        assert found.divergence is None
        assert (found.stopped, found.rows) == ("", life.core.last_of(domain))
        assert found.gaps == sum(isinstance(one, LoggedGap) for one in records)


def eventful() -> Any:
    """Signals and reports before and after definitions came, changed and went, with losses and rows that cannot be."""
    life = Life()
    prepared(life)
    for name, kind in KIND_OF.items():
        row = {"listing_key": 1, "flags": 1, "bid_price": 100, "ask_price": 101}
        bad, unknown = row | {"text": b"\xff", "reason": b"a\0b"}, row | {"listing_key": 0}
        life.send(name, kind, [row, bad, unknown, row | {"listing_key": 1_000}, row | {"listing_key": 99}], 0)
        life.define(1, "XV", 5, 3, 2)
        life.send(name, kind, [row], 3)
        life.core.replica.remove_listing(1)
        life.send(name, kind, [row, row], 0)
        life.define(1, "XV", 5, 3, 1)
        life.core.replica.remove_synthetic("N0")
        life.send(name, kind, [row, row | {"listing_key": 1_000}], 0)
        prepared(life)
    return life


@pytest.mark.parametrize("domain", DOMAIN_OF.values())
def test_what_a_domain_logs_is_what_it_takes_and_no_more(domain: Domain) -> None:
    life = eventful()
    records = life.journals[domain].tail.records()
    assert replayed(records, domain).divergence is None
    noted = [one for one in records if isinstance(one, LoggedInput)]
    assert [(one.what, one.name, bool(one.data)) for one in noted] == [
        ("settings", "", True),
        *sorted([("listing", "1", True), ("synthetic", "N0", True)], key=lambda one: names(noted).index(one[1])),
        ("listing", "1", True),
        ("listing", "1", False),
        *sorted([("listing", "1", True), ("synthetic", "N0", False)], key=lambda one: names(noted[4:]).index(one[1])),
    ]
    frame = next(one.frame for one in records if isinstance(one, LoggedRows))
    assert frame is not None
    assert (frame.rows, frame.refused) == (5, (1, 2))
    before = len(records)
    life.define(2, "XV", 5, 3, 7)
    life.synthetic(1, "a - b", 0, None)
    assert len(life.journals[domain].tail.records()) == before, "nothing happened in it"
    for place, one in enumerate(noted):
        without = [other for other in records if other is not one]
        if place:
            assert replayed(without, domain).divergence is not None, one
    for field in ("flags", "definition_version", "sequence", "relay_in_ns"):
        other = next(k for k, one in enumerate(records) if isinstance(one, LoggedRows) and one.first > 1)
        by = int(RecordFlag.UNKNOWN_LISTING) if field == "flags" else 1
        found = replayed(
            [*records[:other], changed(records[other], field, by), *records[other + 1 :]], domain
        ).divergence
        assert found is not None
        assert field in [name for name, _, _ in found.differences]


def names(noted: list[Any]) -> list[str]:
    return [one.name for one in noted]


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=12))
def test_the_places_of_what_a_frame_lost_are_those_in_the_frame(marks: list[tuple[bool, bool]]) -> None:
    faulty = [place for place, (text, _) in enumerate(marks) if text]
    left = [refused for text, refused in marks if not text]
    expected = tuple(place for place, (text, refused) in enumerate(marks) if text or refused)
    assert among(faulty, [place for place, refused in enumerate(left) if refused]) == expected


@given(st.lists(st.sampled_from(["gap", "gap", "gap", "input", "rows"]), max_size=40))
def test_losses_that_are_joined_leave_definitions_where_they_are(kinds: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(first_log, "MAX_LOSSES", 3)
        tail, gaps, inputs, behind = FirstTail(0), 0, 0, 0
        for kind in kinds:
            following = tail.last + 1
            if kind == "gap":
                gaps += 1
                behind += 1
                tail.add(LoggedGap(gaps, SourceGapRecord("E", "RECONNECTED", 1, following)))
            elif kind == "input":
                inputs += 1
                tail.add(LoggedInput(following, "listing", str(inputs), b"x", 0))
            else:
                behind = 0
                tail.add(LoggedRows(following, 1, EXECUTION_REPORT.event_type, b"", "E", 0))
    records = tail.records()
    assert names([one for one in records if isinstance(one, LoggedInput)]) == [str(k + 1) for k in range(inputs)]
    assert sum(isinstance(one, LoggedRows) for one in records) == tail.last
    told = [
        one.number if isinstance(one, LoggedGap) else one.source_gap
        for one in records
        if isinstance(one, LoggedGap | LoggedHole)
    ]
    assert told == sorted(told)
    assert (told[-1] if told else 0) == gaps
    last = max((k for k, one in enumerate(records) if isinstance(one, LoggedRows)), default=-1)
    assert sum(isinstance(one, LoggedGap | LoggedHole) for one in records[last + 1 :]) == min(behind, 3)


def test_every_flag_has_a_meaning() -> None:
    assert set(MEANINGS) == set(RecordFlag)


async def explain(relay: Any, domain: Domain, sequence: int, **fields: Any) -> Any:
    request = pb.ExplainEventRequest(sequence=sequence, domain=domain, **fields)  # type: ignore[arg-type]
    return await relay.stub.ExplainEvent(request)


async def refusal(relay: Any, *asked: Any, **fields: Any) -> Any:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await explain(relay, *asked, **fields)
    return from_rpc_error(caught.value)


async def command(*arguments: str, **environment: str) -> tuple[int, str]:
    """(exit code, what it says) of `alphapulse`, in a thread with a loop of its own: a process would compile the kernel anew."""
    done = await asyncio.to_thread(CliRunner().invoke, cli, list(arguments), env=environment)
    return done.exit_code, done.output


def one_row(layout: Any, **fields: Any) -> Any:
    made = layout.new(1)
    made["listing_key"], made["flags"] = 1, 1
    for name, value in fields.items():
        made[name] = value
    return made


async def test_a_relay_explains_and_replays_its_signals_and_executions(
    open_relay: Any, build: Any, fresh_redis_url: str
) -> None:
    """At the relay and at an edge; a signal with its cause, a report with the one before it."""
    async with open_relay(log_url=fresh_redis_url) as core:
        core.define(build.listing(1, version=3))
        quotes = await core.collector("QUOTES")
        await quotes.send(build.quotes([1, 1]))
        signals = await core.collector("SIGNALS", domain=Domain.SIGNAL)
        reports = await core.collector("REPORTS", domain=Domain.EXECUTION, acknowledges=True)
        async with asyncio.timeout(PATIENCE):
            while core.app.core.last_sequence < 2:  # noqa: ASYNC110 - of the relay, which tells nobody
                await asyncio.sleep(0.002)
        said = one_row(STRATEGY_SIGNAL, cause_sequence=2, text="größer".encode(), direction=1)
        await signals.send(said, STRATEGY_SIGNAL)
        await signals.send(one_row(STRATEGY_SIGNAL, cause_sequence=77), STRATEGY_SIGNAL)
        flags = 1 | int(RecordFlag.POSSIBLE_DUPLICATE | RecordFlag.PRICE_ABSENT)
        for order, flag in ((b"one", 1), (b"two", 1), (b"one", flags)):
            await reports.send(one_row(EXECUTION_REPORT, client_order_id=order, flags=flag, state=2), EXECUTION_REPORT)
        async with asyncio.timeout(PATIENCE):
            while core.app.logs[Domain.EXECUTION].logged < 3 or core.app.logs[Domain.SIGNAL].logged < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.002)
        async with open_relay(role=Role.EDGE, edge_id="one", log_url=fresh_redis_url) as edge:
            edge.define(build.listing(1, version=3))
            for relay in (core, edge):
                signal = await explain(relay, Domain.SIGNAL, 1)
                assert (signal.source, signal.source_sequence, signal.relay_id) == (
                    "SIGNALS",
                    1,
                    core.app.fanout.relay_id,
                )
                assert signal.definition.listing.definition_version == signal.definition_version == 3
                [cause] = signal.inputs
                assert (cause.role, cause.source, cause.source_sequence) == ("cause", "QUOTES", 2)
                assert cause.event.quotes[0].sequence == 2
                assert all(stamp.time_ns for stamp in signal.stamps[2:])
                [missing] = (await explain(relay, Domain.SIGNAL, 2)).inputs
                assert (missing.role, "holds 1 to 2" in missing.note) == ("cause", True)
                report = await explain(relay, Domain.EXECUTION, 3)
                [before] = report.inputs
                assert (before.role, before.event.execution_reports[0].sequence) == ("before", 1)
                assert report.frame == pb.ExplainedFrame(first_sequence=3, rows=1)
                assert [flag.name for flag in report.flags] == ["PRICE_ABSENT", "POSSIBLE_DUPLICATE"]
                [missing] = (await explain(relay, Domain.EXECUTION, 2)).inputs
                assert (missing.role, missing.event.execution_reports[:]) == ("before", [])
                assert (await explain(relay, Domain.MARKET, 2)).event.quotes[0].sequence == 2
                gone = await refusal(relay, Domain.EXECUTION, 4)
                assert (gone.reason, gone.metadata["newest_sequence"]) == ("OUT_OF_RANGE", "3")
                assert (await refusal(relay, 9, 1)).violations[0].rule == "domain"
        address = {"RELAY_ADDRESS": core.handle.address}
        code, told = await command("relay", "explain", "1", "--domain", "signal", **address)
        assert code == 0, told
        assert "direction BUY" in told
        assert 'text "größer"' in told
        assert "cause: Quote 2, number 2 of QUOTES" in told
        code, told = await command("relay", "explain", "3", "--domain", "execution", **address)
        assert 'client_order_id "one"' in told
        assert "before: " in told
    for domain, events in ((Domain.SIGNAL, 2), (Domain.EXECUTION, 3), (Domain.MARKET, 2)):
        code, told = await command("relay", "replay", "--log", fresh_redis_url, "--domain", domain.title, "--json")
        found = json.loads(told)
        assert (code, found["events"], found["divergence"], found["stopped"]) == (0, events, None, "")


async def test_a_report_that_is_not_logged_yet_is_not_explained(
    open_relay: Any, fresh_redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What nobody was given, nobody is told of."""
    async with open_relay(log_url=fresh_redis_url) as core:
        log, go = core.app.logs[Domain.EXECUTION], asyncio.Event()
        append = log.store.append

        async def waits(entries: Any) -> None:
            await go.wait()
            await append(entries)

        monkeypatch.setattr(log.store, "append", waits)
        reports = await core.collector("REPORTS", domain=Domain.EXECUTION, acknowledges=True)
        await reports.send(one_row(EXECUTION_REPORT), EXECUTION_REPORT)
        async with asyncio.timeout(PATIENCE):
            while not log.unlogged:  # noqa: ASYNC110 - of the relay, which tells nobody
                await asyncio.sleep(0.002)
        assert (await refusal(core, Domain.EXECUTION, 1)).reason == "OUT_OF_RANGE"
        go.set()
        async with asyncio.timeout(PATIENCE):
            while log.unlogged:  # noqa: ASYNC110
                await asyncio.sleep(0.002)
        assert (await explain(core, Domain.EXECUTION, 1)).source == "REPORTS"
