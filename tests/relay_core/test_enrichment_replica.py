"""The replica of the registries: what it holds, in whatever order it came, and who is told."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest

from alphapulse.api.relay.v1.relay_service_pb2 import ListingDefinition
from alphapulse.api.venue.v1.venue_pb2 import Venue, VenueStatus
from alphapulse.domain.revisions import RevisionToken
from relay_service.core import RelayCore

SECOND = 1_000_000_000


def venue(code: str, *fees: tuple[int, int | None, int | None]) -> Venue:
    """A venue whose taker fees hold from and to times in seconds."""
    made = Venue(code=code, status=VenueStatus.VENUE_STATUS_ACTIVE)
    for fee, start, end in fees:
        schedule = made.fee_schedules.add()
        tier = schedule.tiers.add()
        tier.taker_bps.mantissa, tier.taker_bps.exponent = fee, -1
        if start is not None:
            schedule.valid_from.seconds = start
        if end is not None:
            schedule.valid_to.seconds = end
    return made


def fee_of(core: RelayCore, key: int) -> float:
    return float(core.slots.table["taker_fee_bps"][core.slots.slot_of(key)])


def test_a_listing_takes_its_venues_first_tier_unless_it_has_its_own(core: RelayCore, build: Any) -> None:
    core.replica.apply_listing(build.listing(1, 9, "V", fee=None))
    core.replica.apply_listing(build.listing(2, 9, "V", fee=3))
    assert math.isnan(fee_of(core, 1))
    core.replica.apply_venue(venue("V", (125, None, None)))
    assert (fee_of(core, 1), fee_of(core, 2)) == (12.5, 3.0)
    core.replica.remove_venue("V")
    assert math.isnan(fee_of(core, 1))


def test_a_fee_schedule_holds_in_its_span(core: RelayCore, build: Any) -> None:
    core.replica.apply_venue(venue("V", (10, None, 100), (20, 100, 200)))
    core.replica.apply_listing(build.listing(1, 9, "V", fee=None))
    core.tick(50 * SECOND)
    assert fee_of(core, 1) == 1.0
    core.tick(100 * SECOND)
    assert fee_of(core, 1) == 2.0
    core.tick(200 * SECOND)
    assert math.isnan(fee_of(core, 1))


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2), (2, 0, 1)])
def test_the_order_of_arrival_does_not_matter(core: RelayCore, build: Any, order: tuple[int, ...]) -> None:
    steps = (
        lambda: core.replica.apply_venue(venue("V", (10, None, None))),
        lambda: core.replica.apply_instrument(build.instrument(9)),
        lambda: core.replica.apply_listing(build.listing(1, 9, "V", fee=None)),
    )
    for step in order:
        steps[step]()
    slot = core.slots.slot_of(1)
    row = core.slots.table[slot]
    assert (row["known"], row["asset_class"], row["taker_fee_bps"], row["venue_status"]) == (1, 8, 1.0, 1)
    assert (row["tick"], row["tick_exponent"]) == (1, -2)
    assert core.slots.venues.texts[row["venue"]] == "V"
    definition = ListingDefinition.FromString(core.replica.definition(slot))
    assert (definition.listing.listing_key, definition.instrument.asset_class) == (1, 8)
    assert core.replica.definition(core.slots.add(77)) == b""


def test_changes_are_told_together_before_the_next_event(core: RelayCore, build: Any) -> None:
    told: list[list[int]] = []
    core.on_definition_changed(lambda slots: told.append(sorted(slots.tolist())))
    for key in (1, 2, 1):
        core.replica.apply_listing(build.listing(key, 9, "V"))
    core.replica.apply_venue(venue("V", (10, None, None)))
    core.settle()
    core.settle()
    # No definition changes with what holds for all of a venue.
    core.replica.apply_venue(Venue(code="V", status=VenueStatus.VENUE_STATUS_HALTED))
    core.settle()
    assert told == [[0, 1]]
    core.replica.apply_instrument(build.instrument(9))
    core.settle()
    assert told == [[0, 1], [0, 1]]


def test_what_a_whole_snapshot_does_not_name_is_gone(core: RelayCore, build: Any) -> None:
    for key in (1, 2):
        core.replica.apply_listing(build.listing(key, 9, "V"))
    core.replica.apply_instrument(build.instrument(9))
    core.replica.keep_only("instrument", {build.hex_id(2), build.hex_id(9)})
    assert core.slots.table["known"][[core.slots.slot_of(1), core.slots.slot_of(2)]].tolist() == [0, 1]
    assert core.replica.listings == 1
    assert core.replica.instrument_by_id(build.hex_id(9)) is not None


async def test_a_revision_is_waited_for(core: RelayCore) -> None:
    replica = core.replica
    wanted = RevisionToken(instrument=5, venue=2)
    waiting = asyncio.create_task(replica.wait_revision(wanted, 10))
    replica.set_revision("instrument", 7)
    await asyncio.sleep(0)
    assert not waiting.done()
    replica.set_revision("venue", 2)
    assert await waiting
    assert await replica.wait_revision(wanted, 0)
    assert not await replica.wait_revision(RevisionToken(synthetic=1), 0.01)
    replica.set_revision("instrument", 3)
    assert replica.revision == RevisionToken(7, 2, 0)


def test_tables_grow_with_what_they_hold(core: RelayCore, build: Any) -> None:
    for key in range(1, 2_001):
        core.replica.apply_listing(build.listing(key, 5_000 + key // 50, f"V{key % 50}"))
    group = int(core.slots.table["group"][core.slots.slot_of(1_000)])
    assert core.engine.groups.members(group).tolist() == [core.slots.slot_of(key) for key in range(1_000, 1_050)]
    assert core.replica.listings == 2_000
