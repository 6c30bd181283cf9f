"""Watches: a snapshot, then every change once and in order, across resumes and while writers run."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

from alphapulse.api.common.v1 import common_pb2 as common
from alphapulse.api.instrument.v1 import instrument_pb2 as wire
from alphapulse.api.instrument.v1 import instrument_service_pb2 as service
from alphapulse.domain import errors


class Seen:
    """What one watch delivered."""

    def __init__(self):
        self.snapshot = {}
        self.changes = []
        self.token = ""
        self.revision = 0
        self.complete = False
        self.settled = False
        """Whether the last thing delivered is a bookmark: the token then stands for all of it."""

    def take(self, event):
        for one in event.snapshot.entries:
            self.snapshot[one.instrument.instrument_id] = one
        self.changes.extend(event.changes.changes)
        self.settled = event.HasField("bookmark")
        if self.settled:
            self.token, self.revision = event.bookmark.resume_token, event.bookmark.revision
            self.complete |= event.bookmark.snapshot_complete


@asynccontextmanager
async def watching(registry, **wanted):
    """A watch and a coroutine that reads it until a condition holds."""
    call = registry.stub.WatchInstruments(service.WatchInstrumentsRequest(**wanted))
    seen = Seen()

    async def until(condition):
        async with asyncio.timeout(20):
            while not condition(seen):
                seen.take(await call.read())
        return seen

    yield until
    call.cancel()


async def write_many(registry, entries, start, count):
    for n in range(start, start + count):
        await registry.register(entries.equity(entries.isin(n)), entries.listing("XETR", f"W{n}"))


async def test_snapshot_then_changes_with_previous_values(registry, entries):
    first = await registry.register(entries.equity(entries.isin(0)), entries.listing("XETR", "A"))
    async with watching(registry) as until:
        seen = await until(lambda s: s.complete)
        assert list(seen.snapshot.values()) == [first.entry]
        changed = wire.Listing(listing_id=first.entry.listings[0].listing_id, status=wire.LISTING_STATUS_HALTED)
        await registry.stub.UpdateListing(
            service.UpdateListingRequest(
                listing=changed,
                update_mask={"paths": ["status"]},
                write=common.WriteOptions(actor="ann", request_id="halt"),
            )
        )
        seen = await until(lambda s: s.changes)
        (change,) = seen.changes
        assert change.kind == common.CHANGE_KIND_UPDATED
        assert change.listing.status == wire.LISTING_STATUS_HALTED
        assert change.previous_listing == first.entry.listings[0]
        assert (change.actor, change.request_id) == ("ann", "halt")
        assert change.revision == change.listing.revision


async def test_no_hole_and_no_double_while_writers_run(registry, entries):
    await write_many(registry, entries, 0, 5)
    writers = asyncio.gather(*(write_many(registry, entries, 100 * n, 20) for n in range(1, 5)))
    final = 2 * (5 + 4 * 20)  # an instrument and a listing each
    async with watching(registry) as until:
        seen = await until(lambda s: s.complete)
    start, token, revisions = seen.revision, seen.token, []
    held = {one.revision for entry in seen.snapshot.values() for one in (entry.instrument, *entry.listings)}
    while not revisions or revisions[-1] < final:
        # Every few changes the connection is given up and taken up again where the bookmark says.
        async with watching(registry, resume_token=token) as until:
            seen = await until(lambda s: s.settled and len(s.changes) >= 2)
        revisions += [one.revision for one in seen.changes]
        token = seen.token
    await writers
    assert revisions == list(range(start + 1, final + 1))
    assert held == set(range(1, start + 1))


async def test_one_watch_follows_writers_without_a_break(registry, entries):
    async with watching(registry) as until:
        await until(lambda s: s.complete)
        writers = asyncio.gather(*(write_many(registry, entries, 100 * n, 20) for n in range(4)))
        seen = await until(lambda s: len(s.changes) == 160)
        await writers
    assert [one.revision for one in seen.changes] == list(range(1, 161))


async def test_resume_delivers_what_was_missed_and_only_that(registry, entries):
    await write_many(registry, entries, 0, 3)
    async with watching(registry) as until:
        token = (await until(lambda s: s.complete)).token
    await write_many(registry, entries, 3, 4)
    async with watching(registry, resume_token=token) as until:
        seen = await until(lambda s: s.settled and len(s.changes) == 8)
    assert not seen.snapshot
    assert [one.revision for one in seen.changes] == list(range(7, 15))
    async with watching(registry, resume_token=seen.token) as until:
        await write_many(registry, entries, 7, 1)
        later = await until(lambda s: len(s.changes) == 2)
    assert [one.revision for one in later.changes] == [15, 16]


async def test_a_filtered_watch_gets_its_own_and_whole_newcomers(registry, entries):
    here = await registry.register(entries.equity(entries.isin(1)), entries.listing("XETR", "A"))
    there = await registry.register(entries.equity(entries.isin(2)), entries.listing("XPAR", "B"))
    async with watching(registry, filter=service.InstrumentFilter(venues=["XETR"])) as until:
        seen = await until(lambda s: s.complete)
        assert list(seen.snapshot) == [here.entry.instrument.instrument_id]
        await registry.register(entries.equity(entries.isin(3)), entries.listing("XPAR", "C"))
        joined = await registry.register(entries.equity(entries.isin(2)), entries.listing("XETR", "B"))
        seen = await until(lambda s: s.changes)
        assert seen.snapshot[there.entry.instrument.instrument_id] == joined.entry
        assert [one.listing.symbol for one in seen.changes] == ["B"]
        await registry.register(entries.equity(entries.isin(2)), entries.listing("XPAR", "B2"))
        seen = await until(lambda s: len(s.changes) == 2)
        assert seen.changes[1].listing.symbol == "B2"
        token = (await until(lambda s: s.settled)).token
    request = service.InstrumentFilter(venues=["XETR"])
    await registry.register(entries.equity(entries.isin(3)), entries.listing("XPAR", "C2"))
    await registry.register(entries.equity(entries.isin(1)), entries.listing("XPAR", "A2"))
    async with watching(registry, filter=request, resume_token=token) as until:
        seen = await until(lambda s: any(one.listing.symbol == "A2" for one in s.changes))
    assert [one.listing.symbol for one in seen.changes] == ["A2"]


async def test_one_that_ceases_to_match_is_sent_a_last_time(registry, entries):
    created = await registry.register(entries.equity(entries.isin(1), details={"sector": "Old"}))
    async with watching(registry, filter=service.InstrumentFilter(sectors=["Old"])) as until:
        await until(lambda s: s.complete)
        for sector in ("New", "Newer"):
            changed = wire.Instrument(instrument_id=created.entry.instrument.instrument_id)
            changed.equity.sector = sector
            request = service.UpdateInstrumentRequest(instrument=changed, update_mask={"paths": ["equity.sector"]})
            await registry.stub.UpdateInstrument(request)
        await registry.register(entries.equity(entries.isin(2), details={"sector": "Old"}))
        seen = await until(lambda s: len(s.changes) == 2)
    assert [one.instrument.equity.sector for one in seen.changes] == ["New", "Old"]


async def test_tokens_from_elsewhere_are_refused(registry, entries):
    await write_many(registry, entries, 0, 1)
    async with watching(registry) as until:
        token = (await until(lambda s: s.complete)).token
    other = service.InstrumentFilter(venues=["XETR"])
    for wanted in ({"resume_token": token, "filter": other}, {"resume_token": "nonsense"}):
        call = registry.stub.WatchInstruments(service.WatchInstrumentsRequest(**wanted))
        assert isinstance(await registry.refused(call.read()), errors.ResumeTokenInvalid)


async def test_a_collision_case_is_delivered_to_who_watches_the_incumbent(registry, entries):
    await registry.register(entries.equity(entries.isin(1)), entries.listing("XETR", "A"))
    async with watching(registry, filter=service.InstrumentFilter(venues=["XETR"])) as until:
        await until(lambda s: s.complete)
        answer = await registry.register(entries.equity(entries.isin(2)), entries.listing("XETR", "A"))
        seen = await until(lambda s: s.changes)
    assert seen.changes[0].collision_case.case_id == answer.collision_case_id
