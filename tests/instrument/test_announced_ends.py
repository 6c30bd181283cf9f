"""The end of a listing that was announced for a time: look-ups, reads and watches tell it when the time has come."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import asyncpg

from alphapulse.api.common.v1 import common_pb2 as common
from alphapulse.api.instrument.v1 import instrument_pb2 as wire
from alphapulse.api.instrument.v1 import instrument_service_pb2 as service
from registry_service.instrument.convert import stamp
from registry_service.instrument.lifecycle.announced import ACTOR
from registry_service.storage.database import make_engine
from registry_service.storage.migrations.run import migrate

TRADING, DELISTED = wire.LISTING_STATUS_TRADING, wire.LISTING_STATUS_DELISTED
LATEST = common.ReadOptions(latest=True)


def after(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


async def watching(registry):
    """A watch that has begun."""
    watch = registry.stub.WatchInstruments(service.WatchInstrumentsRequest(skip_snapshot=True))
    await watch.read()
    return watch


async def next_listing(watch):
    """The next change of a listing."""
    while True:
        for one in (await watch.read()).changes.changes:
            if one.HasField("listing"):
                return one


async def shown(registry, entries, **options) -> list[int]:
    """The listing's status by look-up, by id, and in the list of an instrument's listings."""
    looked_up = await registry.isin(entries.isin(1), **options)
    held = looked_up.entries[0].instrument.instrument_id
    got = await registry.stub.GetInstrument(service.GetInstrumentRequest(instrument_id=held, **options))
    found = [looked_up.entries[0].listings[0], got.entry.listings[0]]
    if not options:
        request = service.ListListingsRequest(instrument_ids=[held], read=LATEST)
        found.append((await registry.stub.ListListings(request)).listings[0])
    return [one.status for one in found]


async def test_a_listing_is_delisted_when_its_announced_end_comes(registry, entries):
    watch, end = await watching(registry), after(0.6)
    listed = entries.listing("XETR", "S", valid_to=stamp(end))
    registered = await registry.register(entries.equity(entries.isin(1)), listed)
    assert set(await shown(registry, entries)) == {TRADING}
    await next_listing(watch)
    change = await next_listing(watch)
    watch.cancel()
    assert (change.actor, change.kind) == (ACTOR, common.CHANGE_KIND_RETIRED)
    assert change.commit_time.ToDatetime(tzinfo=UTC) >= end
    assert change.listing.definition_version == change.previous_listing.definition_version + 1
    assert [one.WhichOneof("event") for one in change.listing.events] == ["delisting"]
    assert change.listing.events[0].effective_time == change.listing.valid_to == stamp(end)
    # The answers were cached while it traded.
    assert set(await shown(registry, entries)) == {DELISTED}
    assert set(await shown(registry, entries, as_of=stamp(end - timedelta(seconds=1)))) == {TRADING}
    # Who sends the entry again, with the status it had, does not bring it back.
    listed.status = TRADING
    again = await registry.register(entries.equity(entries.isin(1)), listed)
    assert again.entry.listings[0] == change.listing
    assert registered.entry.listings[0].listing_id == change.listing.listing_id
    # Nor does an entry that knows nothing of the end: a relisting has to be recorded.
    listed.ClearField("valid_to")
    told = await registry.register(entries.equity(entries.isin(1)), listed)
    assert (told.entry.listings[0], [one.field for one in told.differences]) == (change.listing, ["listings[0].status"])


async def test_what_had_ended_before_it_was_registered_is_delisted_from_the_start(registry, entries):
    start, end = after(-2_000_000), after(-1_000_000)
    listed = entries.listing("XETR", "S", valid_from=stamp(start), valid_to=stamp(end))
    first = (await registry.register(entries.equity(entries.isin(1)), listed)).entry.listings[0]
    assert (first.status, first.definition_version) == (DELISTED, 1)
    assert set(await shown(registry, entries)) == {DELISTED}
    assert set(await shown(registry, entries, as_of=stamp(after(-1_500_000)))) == {TRADING}
    for status in (wire.LISTING_STATUS_UNSPECIFIED, TRADING):
        listed.status = status
        again = await registry.register(entries.equity(entries.isin(1)), listed)
        assert again.entry.listings[0] == first


async def test_an_end_that_is_moved_counts_where_it_is_now(registry, entries):
    listed = entries.listing("XETR", "S", valid_to=stamp(after(0.8)))
    one = (await registry.register(entries.equity(entries.isin(1)), listed)).entry.listings[0]
    watch = await watching(registry)

    async def move(end: datetime) -> None:
        request = service.UpdateListingRequest(listing=wire.Listing(listing_id=one.listing_id, valid_to=stamp(end)))
        request.update_mask.paths.append("valid_to")
        await registry.stub.UpdateListing(request)

    await move(after(3600))
    assert (await next_listing(watch)).listing.status == TRADING
    await asyncio.sleep(1)  # past the end that no longer counts
    assert set(await shown(registry, entries)) == {TRADING}
    await move(after(-60))
    assert (await next_listing(watch)).listing.status == TRADING
    assert (await next_listing(watch)).listing.status == DELISTED
    watch.cancel()


async def test_ends_announced_to_an_earlier_version_of_the_registry_come_too(registry, entries):
    """That version did not say when a listing is due."""
    listed = entries.listing("XETR", "S", valid_to=stamp(after(3600)))
    await registry.register(entries.equity(entries.isin(1)), listed)
    await registry.register(entries.equity(entries.isin(2)), entries.listing("XETR", "T"))
    connection = await asyncpg.connect(registry.database_url)
    await connection.execute(
        "UPDATE instrument.entity SET expires_at = NULL; UPDATE instrument.alembic_version SET version_num = '0007'"
    )
    engine = make_engine(registry.database_url, "instrument", pool_size=2)
    await migrate(engine, "instrument")
    await engine.dispose()
    due = await connection.fetch("SELECT expires_at FROM instrument.entity WHERE kind = 2 AND expires_at IS NOT NULL")
    await connection.close()
    assert [stamp(row["expires_at"]) for row in due] == [listed.valid_to]
