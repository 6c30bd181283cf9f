"""ExplainEvent: what is told of one event agrees with what was sent and what was streamed, and what cannot be told says why."""

from __future__ import annotations

import asyncio
import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import pytest
from click.testing import CliRunner

from alphapulse.api.relay.v1 import relay_service_pb2 as pb
from alphapulse.api.synthetic.v1.synthetic_pb2 import Component, Synthetic
from alphapulse.client import from_rpc_error
from alphapulse.domain import errors
from alphapulse.embedded import LaunchOptions, ValkeyStore
from alphapulse.records import LAYOUTS, OPPORTUNITY, QUOTE, SYNTHETIC_UPDATE, TRADE, encode_frame
from alphapulse_cli.main import cli
from relay_service.log.records import LoggedHole

PATIENCE = 20.0


async def until(found: Any) -> Any:
    async with asyncio.timeout(PATIENCE):
        while True:
            if answer := found():
                return answer
            await asyncio.sleep(0.002)


async def explain(relay: Any, sequence: int, relay_id: str = "") -> Any:
    return await relay.stub.ExplainEvent(pb.ExplainEventRequest(sequence=sequence, relay_id=relay_id))


async def refusal(relay: Any, sequence: int, relay_id: str = "") -> Any:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await explain(relay, sequence, relay_id)
    return from_rpc_error(caught.value)


def event_of(batch: Any) -> dict[str, Any]:
    """The one event of a batch."""
    [found] = [
        {name: getattr(one, name) for name in layout.fields}
        for layout in LAYOUTS.values()
        for one in getattr(batch, layout.batch_field)
    ]
    return found


def hundredths(build: Any, *rows: tuple[int, int, int], **fields: Any) -> Any:
    """Quotes (key, bid, ask) in hundredths."""
    made = build.quotes([key for key, _, _ in rows])
    made["bid_price"], made["ask_price"] = [bid for _, bid, _ in rows], [ask for _, _, ask in rows]
    made["price_exponent"] = -2
    made["collector_time_ns"] = build.now_ns()
    made["venue_time_ns"] = made["collector_time_ns"] - 1_000_000
    for name, value in fields.items():
        made[name] = value
    return made


def traded(build: Any, key: int, venue: str, fee: int = 1, tick: int = 1, **fields: Any) -> Any:
    """A listing of instrument 500 with a taker fee in basis points and a tick in hundredths."""
    made = build.listing(key, 500, venue, **fields)
    made.fees.taker_bps.mantissa = fee
    made.rules.tick_size.mantissa, made.rules.tick_size.exponent = tick, -2
    return made


async def test_an_event_is_explained_with_its_frame_its_stamps_and_its_definition(
    start_relay: Any, build: Any, fresh_redis_url: str
) -> None:
    relay = await start_relay(log_url=fresh_redis_url, http_port=0)
    relay.define(traded(build, 1, "XV", version=7))
    client = await relay.grpc()
    await client.put(1, filter={"venues": ["XV"]})
    await client.put(2, filter={"event_types": [TRADE.event_type]})
    other = await relay.unix()
    await other.put(1)
    collector = await relay.collector("SOURCE")
    await collector.send(hundredths(build, (1, 100, 101)))
    frame = hundredths(build, (1, 100, 101), (1, 102, 103), (0, 104, 105), (1, 106, 107))
    collector.next_sequence = 1  # the first of the frame came before, the third has no listing
    await collector.send(frame)
    [_, streamed, _] = await client.rows(3)
    logged = await until(lambda: not relay.app.log.unlogged and relay.app.log.tail.base == 3)
    assert logged
    for relay_id in ("", relay.app.fanout.settings.relay_id):
        told = await explain(relay, 3, relay_id)
        assert event_of(told.event) == {
            name: value for name, value in (await client.rows(3))[2].items() if name != "type"
        }
        assert event_of(told.event)["bid_price"] == 106
        assert (told.source, told.source_sequence) == ("SOURCE", 4)
        assert told.frame == pb.ExplainedFrame(first_sequence=1, rows=4, place=3, refused=1, duplicates=1)
        assert told.relay_id == relay.app.fanout.settings.relay_id
        assert (told.definition_version, told.definition_origin) == (7, pb.DEFINITION_ORIGIN_HELD)
        assert told.definition.listing.venue == "XV"
        assert told.matching_subscriptions == 2
        stamps = [stamp.time_ns for stamp in told.stamps]
        assert [stamp.name for stamp in told.stamps] == ["venue", "collector_in", "relay_in", "relay_out", "logged"]
        assert 0 < stamps[0] < stamps[1] <= stamps[2] <= stamps[3] <= stamps[4]
        spans = [(later - earlier) / 1e3 for earlier, later in itertools.pairwise(stamps)]
        assert [(hop.hop, hop.p50_us, hop.count) for hop in told.hops] == [
            (name, span, 1)
            for name, span in zip(
                ("venue_to_collector", "collector_to_relay", "relay", "relay_to_log"), spans, strict=True
            )
        ]
    assert (await explain(relay, 2)).source_sequence == 2
    shown = await asyncio.to_thread(
        CliRunner().invoke, cli, ["relay", "explain", "3"], env={"RELAY_ADDRESS": relay.handle.address}
    )
    assert shown.exit_code == 0, shown.output
    for text in (
        f"event 3 of {told.relay_id}: QUOTE XV S1 (LIVE)",
        "bid_price 1.06",
        "SOURCE, its number 4: row 4 of 4 of the frame from 1 (1 refused, 1 had come before)",
        "version 7: the one it was enriched with",
        "2 subscriptions would take it now",
    ):
        assert text in shown.output
    url = f"http://{relay.handle.http_address}/RelayService/ExplainEvent?sequence=3"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        by_http = await answer.json()
    assert (by_http["sourceSequence"], by_http["event"]["quotes"][0]["bidPrice"]) == ("4", "106")
    assert event_of((await explain(relay, 2)).event) == {
        name: value for name, value in streamed.items() if name != "type"
    }


async def test_each_flag_says_what_it_means_and_why(start_relay: Any, build: Any, fresh_redis_url: str) -> None:
    relay = await start_relay(log_url=fresh_redis_url)
    relay.define(traded(build, 1, "XV", tick=5))
    client = await relay.grpc()
    await client.put(1, filter={"include_unknown": True})
    collector = await relay.collector("SOURCE")
    await collector.send(hundredths(build, (1, 10_000, 10_005)))
    now_ns = build.now_ns()
    collector.next_sequence += 3
    await collector.send(hundredths(build, (1, 10_003, 10_000), venue_time_ns=now_ns - 9_000_000_000))
    await collector.send(hundredths(build, (1, 90_000, 90_005)))
    await collector.send(hundredths(build, (9, 1, 2)))
    await client.rows(4)

    def reasons(told: Any) -> dict[str, str]:
        assert all(flag.meaning for flag in told.flags)
        return {flag.name: flag.why for flag in told.flags}

    marked = await explain(relay, 2)
    why = reasons(marked)
    assert set(why) == {"CROSSED", "STALE", "OFF_TICK", "OUT_OF_ORDER", "GAP_BEFORE"}
    assert why["CROSSED"] == "bid 100.03 is at or above ask 100.00"
    assert why["STALE"].startswith("it reached the relay 9,0")
    assert "bid 100.03: no multiple of the tick size 0.05" in why["OFF_TICK"]
    assert why["OUT_OF_ORDER"].startswith("event 1 of the listing")
    assert why["GAP_BEFORE"] == "3 events of SOURCE are missing (SOURCE_GAP), declared before sequence 2"
    [gap] = marked.gaps_before
    assert (gap.reason, gap.count, gap.last_sequence) == ("SOURCE_GAP", 3, 1)
    assert marked.frame.missing_before == 3
    assert (
        "event of the listing before it that was not marked is 1, a quote of 100.00 to 100.05"
        in reasons(await explain(relay, 3))["PRICE_BAND"]
    )
    unknown = await explain(relay, 4)
    assert set(reasons(unknown)) == {"UNKNOWN_LISTING"}
    assert unknown.definition_origin == pb.DEFINITION_ORIGIN_UNKNOWN
    relay.define(traded(build, 9, "XV", version=3))
    learned = await explain(relay, 4)
    assert learned.definition_origin == pb.DEFINITION_ORIGIN_PRESENT
    assert "version 3 is known now" in learned.definition_note
    relay.define(traded(build, 1, "XV", version=2))
    superseded = await explain(relay, 1)
    assert superseded.definition_origin == pb.DEFINITION_ORIGIN_PRESENT  # nobody to ask at the registries' addresses
    assert "version 2 holds now" in superseded.definition_note
    assert "127.0.0.1:1" in superseded.definition_note


async def test_what_is_derived_names_what_it_came_of(start_relay: Any, build: Any, fresh_redis_url: str) -> None:
    relay = await start_relay(log_url=fresh_redis_url, quote_age_ms=3_600_000, tick_ms=10_000)
    relay.define(traded(build, 1, "XV"), traded(build, 2, "XW"))
    inner = Synthetic(synthetic_id=build.hex_id(70), listing_key=70, name="INNER", formula="a", formula_version=4)
    inner.components.append(Component(variable="a", instrument_id=build.hex_id(500)))
    outer = Synthetic(synthetic_id=build.hex_id(71), listing_key=71, name="OUTER", formula="i + t", formula_version=1)
    outer.components.append(Component(variable="i", synthetic="INNER"))
    outer.components.append(Component(variable="t", listing_id=build.hex_id(1), price_field=4))
    relay.app.core.replica.apply_synthetic(inner)
    relay.app.core.replica.apply_synthetic(outer)
    client = await relay.grpc()
    await client.put(1)
    collector = await relay.collector("SOURCE")
    trade = TRADE.new(1)
    trade["listing_key"], trade["flags"], trade["price"] = 1, 1, 100
    await collector.send(trade, TRADE)
    await collector.send(hundredths(build, (1, 10_000, 10_010), (2, 10_001, 10_011)))
    await collector.send(hundredths(build, (2, 10_100, 10_110)))
    rows = await until_rows(client, lambda row: row["type"] == OPPORTUNITY.event_type)
    [opportunity] = [row for row in rows if row["type"] == OPPORTUNITY.event_type]
    told = await explain(relay, opportunity["sequence"])
    inputs = {one.role: (event_of(one.event)["sequence"], one.source_sequence, one.note) for one in told.inputs}
    bought = next(row for row in rows if row["type"] == QUOTE.event_type and row["listing_key"] == 1)
    assert inputs == {
        "buy": (bought["sequence"], 2, ""),
        "sell": (opportunity["trigger_sequence"], 4, ""),
    }
    assert (told.source, told.source_sequence, told.frame.first_sequence) == ("SOURCE", 0, 4)
    assert {stamp.note for stamp in told.stamps[:2]} == {"of its trigger"}
    assert told.definition.listing.listing_key == 1

    rows = await until_rows(
        client, lambda row: row["listing_key"] == 71 and row["trigger_sequence"] == opportunity["trigger_sequence"]
    )
    last = max((row for row in rows if row["listing_key"] == 71), key=lambda row: row["sequence"])
    told = await explain(relay, last["sequence"])
    inputs = {one.role: event_of(one.event) for one in told.inputs}
    assert inputs["trigger"]["sequence"] == last["trigger_sequence"]
    assert inputs["t"]["sequence"] == 1
    nearest = max(row["sequence"] for row in rows if row["listing_key"] == 70 and row["sequence"] < last["sequence"])
    assert inputs["i"]["sequence"] == nearest
    assert told.synthetic.name == "OUTER"
    assert not told.HasField("definition")
    assert told.stamps[1].time_ns == inputs["trigger"]["collector_time_ns"]
    nested = await explain(relay, inputs["i"]["sequence"])
    [component] = [one for one in nested.inputs if one.role == "a"]
    assert event_of(component.event)["listing_key"] == 2  # the fresher one
    assert nested.event_type == SYNTHETIC_UPDATE.event_type


async def until_rows(client: Any, wanted: Any) -> list[dict[str, Any]]:
    received = client.of(1)
    await client.until(lambda: any(map(wanted, received.rows)))
    rows: list[dict[str, Any]] = received.rows
    return rows


async def test_what_cannot_be_explained_says_why(open_relay: Any, build: Any, fresh_redis_url: str) -> None:
    async with open_relay() as relay:
        assert isinstance(await refusal(relay, 1), errors.NoEventLog)
    async with open_relay(log_url=fresh_redis_url, relay_id="one") as relay:
        first_life = relay.app.fanout.settings.relay_id
        collector = await relay.collector()
        await collector.send(build.quotes([1, 2]))
        await until(lambda: relay.app.log.tail.last == 2)
        for sequence in (3, (1 << 64) - 1):
            beyond = await refusal(relay, sequence)
            assert isinstance(beyond, errors.OutOfRange)
            assert (beyond.metadata["oldest_sequence"], beyond.metadata["newest_sequence"]) == ("1", "2")
        for given in ("two.5", "one", "one.", "one.xyz", "one.-1", "one.0", "one.12345678901234567"):
            [violation] = (await refusal(relay, 1, given)).violations
            assert (violation.field, violation.rule) == ("relay_id", "relay-id"), given
        [violation] = (await refusal(relay, 0)).violations
        assert (violation.field, violation.rule) == ("sequence", "event-sequence")
        assert isinstance(await refusal(relay, 1, "one.1"), errors.OutOfRange)
    async with open_relay(log_url=fresh_redis_url, relay_id="one") as relay:
        told = await explain(relay, 2, first_life)  # of the life before
        assert event_of(told.event)["listing_key"] == 2
        assert told.relay_id == first_life
        beyond = await refusal(relay, 3, first_life)
        assert (beyond.metadata["oldest_sequence"], beyond.metadata["newest_sequence"]) == ("1", "2")
        log = relay.app.log
        log.tail.add(LoggedHole(1, 5, 0))
        collector = await relay.collector("B")
        relay.app.core.engine.take_sequences(5)
        await collector.send(build.quotes([1]))
        await until(lambda: log.tail.base == 6)
        hole = await refusal(relay, 3)
        assert isinstance(hole, errors.LogHole)
        assert (hole.metadata["first_sequence"], hole.metadata["last_sequence"]) == ("1", "5")
        newest = await log.store.newest()
        await log.store._redis.xdel(log.store.name, f"{newest.incarnation}-{newest.first}")
        lost = await refusal(relay, 6)  # Redis took it and has it no more
        assert isinstance(lost, errors.LogHole)


@pytest.fixture
def own_store() -> Iterator[ValkeyStore]:
    """A server that the test may stop."""
    with tempfile.TemporaryDirectory(prefix="alphapulse-test-") as name:
        Path(name).chmod(0o711)  # root may have to run the store as another user
        store = ValkeyStore(Path(name) / "valkey", LaunchOptions(durable=False, remove_with_parent=True))
        store.start()
        yield store
        store.stop()


async def test_while_the_logs_server_is_away_it_is_unavailable(
    start_relay: Any, build: Any, own_store: ValkeyStore
) -> None:
    relay = await start_relay(log_url=own_store.url)
    collector = await relay.collector()
    await collector.send(build.quotes([1]))
    await until(lambda: relay.app.log.tail.base == 1)
    own_store.stop()
    assert isinstance(await refusal(relay, 1), errors.Unavailable)
    await collector.send_bytes(encode_frame(QUOTE.event_type, build.quotes([2]), slot=7, sequence=2))
    await until(lambda: relay.app.log.tail.last == 2)
    told = await explain(relay, 2)  # it is in memory
    assert event_of(told.event)["listing_key"] == 2
    assert told.stamps[-1].note == "not written to the log's server yet"
