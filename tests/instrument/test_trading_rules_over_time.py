"""Trading rules through the service: changed, announced, put into force, read as of and as known at any time."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphapulse.api.common.v1 import common_pb2 as common
from alphapulse.api.instrument.v1 import instrument_pb2 as wire
from alphapulse.api.instrument.v1 import instrument_service_pb2 as service
from alphapulse.client.errors import from_rpc_error
from registry_service.instrument.convert import stamp
from registry_service.instrument.lifecycle.announced import ACTOR, Announced
from registry_service.instrument.trading.trading_rules import in_force, timeline
from registry_service.storage.database import make_engine
from registry_service.storage.migrations.run import migrate
from registry_service.storage.model import ChangeKind, Entity, EntityKind
from registry_service.storage.postgres import PostgresStore


def rules(tick: int, since: datetime | None = None, **more) -> wire.TradingRules:
    made = wire.TradingRules(tick_size=common.Decimal(mantissa=tick, exponent=-2), **more)
    if since is not None:
        made.effective_from.CopyFrom(stamp(since))
    return made


def days(count: float) -> datetime:
    return datetime.now(UTC) + timedelta(days=count)


@pytest.fixture
async def listing(registry, entries) -> wire.Listing:
    share = entries.equity(entries.isin(1))
    listed = entries.listing("XETR", "S", rules=rules(1))
    return (await registry.register(share, listed)).entry.listings[0]


async def update(registry, listing: wire.Listing, *paths: str, **fields) -> wire.Listing:
    changed = wire.Listing(listing_id=listing.listing_id, **fields)
    request = service.UpdateListingRequest(listing=changed)
    request.update_mask.paths.extend(paths or tuple(fields))
    return (await registry.stub.UpdateListing(request)).listing


async def get(registry, listing: wire.Listing, **times: datetime) -> service.GetTradingRulesResponse:
    request = service.GetTradingRulesRequest(
        listing_id=listing.listing_id, **{name: stamp(time) for name, time in times.items()}
    )
    return await registry.stub.GetTradingRules(request)


def ticks(answer: service.GetTradingRulesResponse) -> tuple[int, list[int]]:
    return answer.rules.rules.tick_size.mantissa, [one.rules.tick_size.mantissa for one in answer.timeline]


async def test_a_change_is_one_revision_and_says_since_when(registry, listing):
    before = datetime.now(UTC)
    changed = await update(registry, listing, rules=rules(5))
    assert changed.revision == listing.revision + 1
    assert changed.definition_version == listing.definition_version + 1
    assert changed.rules.effective_from == changed.update_time
    assert ticks(await get(registry, listing)) == (5, [1, 5])
    assert ticks(await get(registry, listing, as_of=before)) == (1, [1, 5])
    assert ticks(await get(registry, listing, known_at=before)) == (1, [1])
    first, second = (await get(registry, listing)).timeline
    assert not first.HasField("effective_from")
    assert first.effective_to == second.effective_from == changed.rules.effective_from
    assert (second.revision, second.HasField("effective_to")) == (changed.revision, False)


async def test_a_change_that_became_known_late_holds_from_when_it_took_effect(registry, listing):
    await update(registry, listing, rules=rules(5, days(-10)))
    between = datetime.now(UTC)
    await update(registry, listing, rules=rules(7, days(-20)))
    assert ticks(await get(registry, listing, as_of=days(-15))) == (7, [1, 7])
    assert ticks(await get(registry, listing, as_of=days(-15), known_at=between)) == (1, [1, 5])
    assert ticks(await get(registry, listing, as_of=days(-5), known_at=between)) == (5, [1, 5])


async def test_every_read_as_of_a_time_shows_the_rules_of_that_time(registry, entries, listing):
    before = datetime.now(UTC)
    await update(registry, listing, rules=rules(5), upcoming_rules=[rules(9, days(2))])
    for as_of, tick in ((before, 1), (days(0), 5), (days(3), 9)):
        request = service.GetInstrumentRequest(instrument_id=listing.instrument_id, as_of=stamp(as_of))
        shown = [(await registry.stub.GetInstrument(request)).entry]
        shown += (await registry.isin(entries.isin(1), as_of=stamp(as_of))).entries
        shown += (await registry.symbol("S", "XETR", as_of=stamp(as_of))).entries
        search = service.SearchInstrumentsRequest(query=entries.isin(1), as_of=stamp(as_of))
        shown += [one.entry for one in (await registry.stub.SearchInstruments(search)).hits]
        assert [one.listings[0].rules.tick_size.mantissa for one in shown] == [tick] * 4


async def test_a_start_that_was_wrong_is_corrected_and_one_left_out_stays(registry, listing):
    await update(registry, listing, rules=rules(5, days(-10)))
    corrected = await update(registry, listing, rules=rules(5, days(-4)))
    assert ticks(await get(registry, listing, as_of=days(-7))) == (1, [1, 5])
    lot = common.Decimal(mantissa=2)
    completed = await update(registry, listing, rules=rules(5, lot_size=lot))
    assert completed.rules.effective_from == corrected.rules.effective_from
    assert (await get(registry, listing, as_of=days(-3))).rules.rules.lot_size == lot
    # A multiplier that is absent is 1: another one is a change.
    many = common.Decimal(mantissa=10)
    changed = await update(registry, listing, rules=rules(5, lot_size=lot, multiplier=many))
    assert changed.rules.effective_from == changed.update_time


async def test_an_announced_change_answers_for_its_time_and_not_before(registry, listing):
    before = datetime.now(UTC)
    monday = days(3)
    announced = await update(registry, listing, upcoming_rules=[rules(5, monday), rules(9, days(30))])
    assert announced.definition_version == listing.definition_version
    assert announced.rules == listing.rules
    assert ticks(await get(registry, listing)) == (1, [1, 5, 9])
    assert ticks(await get(registry, listing, as_of=monday - timedelta(microseconds=1)))[0] == 1
    assert ticks(await get(registry, listing, as_of=monday))[0] == 5
    assert ticks(await get(registry, listing, as_of=days(31)))[0] == 9
    assert ticks(await get(registry, listing, as_of=days(31), known_at=before)) == (1, [1])
    by_key = await registry.stub.GetTradingRules(service.GetTradingRulesRequest(listing_key=listing.listing_key))
    assert (by_key.listing_id, ticks(by_key)) == (listing.listing_id, (1, [1, 5, 9]))
    entry = await registry.stub.GetInstrument(
        service.GetInstrumentRequest(instrument_id=listing.instrument_id, as_of=stamp(monday))
    )
    shown = entry.entry.listings[0]
    assert (shown.rules.tick_size.mantissa, len(shown.upcoming_rules)) == (5, 1)
    taken_back = await update(registry, listing, "upcoming_rules")
    assert not taken_back.upcoming_rules
    assert ticks(await get(registry, listing, as_of=days(31))) == (1, [1])


async def test_consumers_learn_it_when_an_announced_change_takes_effect(registry, listing):
    """The registry itself writes it at its time, as one revision with the next definition_version."""
    watch = registry.stub.WatchInstruments(service.WatchInstrumentsRequest(skip_snapshot=True))
    await watch.read()
    due = datetime.now(UTC) + timedelta(milliseconds=400)
    announced = await update(registry, listing, upcoming_rules=[rules(5, due, max_notional=common.Decimal(mantissa=9))])
    found = []
    while len(found) < 2:
        message = await watch.read()
        found += message.changes.changes
    watch.cancel()
    change = found[1]
    assert change.commit_time.ToDatetime(tzinfo=UTC) >= due
    assert change.actor == ACTOR
    assert change.listing.revision == announced.revision + 1
    assert change.listing.definition_version == change.previous_listing.definition_version + 1
    assert change.listing.rules.tick_size.mantissa == 5
    assert change.listing.rules.effective_from.ToDatetime(tzinfo=UTC) == due
    assert not change.listing.upcoming_rules
    now = await registry.stub.GetListing(service.GetListingRequest(listing_id=listing.listing_id))
    assert now.listing == change.listing
    # Known since it was announced, not since it was put into force.
    assert (await get(registry, listing)).rules.revision == announced.revision


async def test_rules_announced_by_a_registration_take_effect_too(registry, entries):
    watch = registry.stub.WatchInstruments(service.WatchInstrumentsRequest(skip_snapshot=True))
    await watch.read()
    listed = entries.listing("XETR", "S", rules=rules(1), upcoming_rules=[rules(2, days(-2)), rules(3, days(-1))])
    await registry.register(entries.equity(entries.isin(1)), listed)
    found: list[wire.Listing] = []
    while len(found) < 3:
        found += [one.listing for one in (await watch.read()).changes.changes if one.HasField("listing")]
    watch.cancel()
    assert [one.rules.tick_size.mantissa for one in found] == [1, 2, 3]
    assert [one.definition_version for one in found] == [1, 2, 3]


_AT = st.integers(0, 20)


@given(st.lists(st.tuples(_AT | st.none(), st.lists(_AT, max_size=3, unique=True).map(sorted)), min_size=1, max_size=8))
def test_the_timeline_is_what_a_naive_model_holds_for_every_instant(writes: list[tuple[int | None, list[int]]]):
    """Version n says rules n are in force from a time on (or changes only what is announced), and announces others."""
    day = lambda n: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=n)  # noqa: E731
    versions, belief, current, announced = [], dict.fromkeys(range(30), 1), (1, None), []
    for number, (since, coming) in enumerate(writes, start=2):
        if since is not None:
            current = (number, since)
            belief |= dict.fromkeys(range(since, 30), number)
        announced = [(at, 100 * number + at) for at in coming if current[1] is None or at > current[1]]
        one = wire.Listing(
            revision=number, rules=rules(current[0], day(current[1]) if current[1] is not None else None)
        )
        one.upcoming_rules.extend(rules(tick, day(at)) for at, tick in announced)
        one.update_time.CopyFrom(stamp(day(100 + number)))
        versions.append(one)
    for at, tick in announced:
        belief |= dict.fromkeys(range(at, 30), tick)
    first = wire.Listing(revision=1, rules=rules(1), update_time=stamp(day(100)))
    spans = timeline([first, *versions])
    held = [in_force(spans, day(at)) for at in range(30)]
    assert [spans[at].rules.tick_size.mantissa for at in held if at is not None] == list(belief.values())


async def test_changes_that_came_due_while_nobody_ran_are_made_up_for_in_order(database_url):
    """Each its own revision; of two replicas that do it at once each change is written once."""
    engine = make_engine(database_url, "instrument")
    await migrate(engine, "instrument")
    start = datetime(2026, 1, 1, tzinfo=UTC)
    message = wire.Listing(listing_id="l" * 32, instrument_id="i" * 32, venue="X", symbol="S", definition_version=1)
    message.upcoming_rules.extend(rules(n, start + timedelta(days=n)) for n in (1, 2, 3))

    async def register(session):
        for kind, entity_id, body in (
            (EntityKind.INSTRUMENT, "i" * 32, wire.Instrument(instrument_id="i" * 32).SerializeToString()),
            (EntityKind.LISTING, "l" * 32, message.SerializeToString()),
        ):
            due = start + timedelta(days=1) if kind is EntityKind.LISTING else None
            entity = Entity(kind, entity_id, body, session.next_revision(), expires_at=due)
            session.put(entity, ChangeKind.CREATED)
        return b""

    async with PostgresStore(engine, "instrument") as store, PostgresStore(engine, "instrument") as other:
        await store.write(register, actor="test")
        early = Announced(store, now=lambda: start)
        assert await early.bring_about() == 0
        both = [Announced(one, now=lambda: start + timedelta(days=10)) for one in (store, other)]
        assert sum(await asyncio.gather(*[one.bring_about() for one in both])) == 3
        versions = (await store.versions(EntityKind.LISTING, ["l" * 32], 99))["l" * 32]
        read = [wire.Listing.FromString(one.body) for one in versions]
        assert [one.rules.tick_size.mantissa for one in read] == [0, 1, 2, 3]
        assert [one.definition_version for one in read] == [1, 2, 3, 4]
        assert await store.next_due(EntityKind.LISTING) is None
    await engine.dispose()


async def test_a_source_that_registers_again_changes_completes_and_announces(registry, entries, listing):
    share = entries.equity(entries.isin(1))

    async def send(source: str = "test", **fields) -> wire.Listing:
        sent = entries.listing("XETR", "S", source=source, **fields)
        return (await registry.register(share, sent)).entry.listings[0]

    learnt = await send("another", rules=wire.TradingRules(lot_size=common.Decimal(mantissa=3)))
    assert not learnt.rules.HasField("effective_from")
    assert [one.rules.lot_size.mantissa for one in (await get(registry, listing)).timeline] == [3]
    changed = await send(rules=rules(2))
    assert changed.rules.effective_from == changed.update_time
    tier = wire.TickTier(from_price=common.Decimal(), tick_size=common.Decimal(mantissa=1))
    tiered = await send(rules=wire.TradingRules(tick_tiers=[tier]))
    assert (tiered.rules.HasField("tick_size"), len(tiered.rules.tick_tiers)) == (False, 1)
    assert (await send("another", rules=rules(9))).rules == tiered.rules
    coming = [rules(4, days(1))]
    assert list((await send(upcoming_rules=coming)).upcoming_rules) == coming
    assert (await send("another", upcoming_rules=[rules(8, days(1))])).upcoming_rules == coming
    # What is announced still although it is in force: nothing to come, and no new revision.
    yesterday = days(-1)
    settled = await update(registry, listing, "rules", "upcoming_rules", rules=rules(4, yesterday))
    assert await send(upcoming_rules=[rules(4, yesterday)]) == settled


async def test_an_entry_sent_again_does_not_take_back_the_change_it_announced(registry, entries):
    share, due = entries.equity(entries.isin(1)), days(-1)

    async def send() -> wire.Listing:
        coming = [rules(5, due), rules(9, due + timedelta(days=30))]
        sent = entries.listing("XETR", "S", rules=rules(1), upcoming_rules=coming)
        return (await registry.register(share, sent)).entry.listings[0]

    await registry.register(share, entries.listing("XETR", "S", rules=rules(1)))
    first = await send()
    assert (first.rules, len(first.upcoming_rules)) == (rules(5, due), 1)
    assert await send() == first
    assert ticks(await get(registry, first)) == (5, [1, 5, 9])
    # What a later change says of the past stays, too.
    await update(registry, first, rules=rules(7))
    assert (await send()).rules.effective_from.ToDatetime(UTC) > due
    assert ticks(await get(registry, first)) == (5, [1, 5, 7, 5, 9])


async def test_what_is_wrong_with_rules_is_told_at_once(registry, listing):
    tier = wire.TickTier(from_price=common.Decimal(mantissa=1), tick_size=common.Decimal(mantissa=1))
    fields = {
        "rules": rules(1, days(2), tick_tiers=[tier, wire.TickTier()]),
        "upcoming_rules": [rules(0)],
    }
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await update(registry, listing, **fields)
    assert {one.field.removeprefix("listing."): one.rule for one in from_rpc_error(caught.value).violations} == {
        "rules.effective_from": "not-in-force",
        "rules.tick_size": "tick-twice",
        "rules.tick_tiers[0].from_price": "tier-start",
        "rules.tick_tiers[1].from_price": "required",
        "rules.tick_tiers[1].tick_size": "required",
        "upcoming_rules[0].effective_from": "required",
        "upcoming_rules[0].tick_size": "positive",
    }
    unknown = registry.stub.GetTradingRules(service.GetTradingRulesRequest(listing_key=7))
    assert (await registry.refused(unknown)).reason == "NOT_FOUND"
    unasked = registry.stub.GetTradingRules(service.GetTradingRulesRequest())
    assert (await registry.refused(unasked)).violations[0].rule == "required"
