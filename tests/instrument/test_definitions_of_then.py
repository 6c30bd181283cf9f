"""The definition that an event was enriched with, found by the relay in the registry's history."""

from __future__ import annotations

import time

from alphapulse.api.common.v1.common_pb2 import Decimal
from alphapulse.api.instrument.v1 import instrument_pb2 as wire
from alphapulse.api.instrument.v1 import instrument_service_pb2 as service
from relay_service.core import RelayCore
from relay_service.enrichment.feed import RegistryAddresses
from relay_service.evidence.definitions import DefinitionFinder, Origin


async def test_the_definition_of_then_comes_from_the_history(registry, entries):
    core = RelayCore()
    finder = DefinitionFinder(core, RegistryAddresses(registry.address, "127.0.0.1:1", "127.0.0.1:1"))
    first = await registry.register(entries.equity(entries.isin(1), "Before AG"), entries.listing("XETR", "BEF"))
    (listing,) = first.entry.listings
    core.replica.apply_instrument(first.entry.instrument)
    core.replica.apply_listing(listing)
    key, then_ns = listing.listing_key, time.time_ns()
    assert (await finder.of(key, listing.definition_version, then_ns)).origin is Origin.HELD
    renamed = wire.Instrument(instrument_id=listing.instrument_id, name="After AG")
    await registry.stub.UpdateInstrument(
        service.UpdateInstrumentRequest(instrument=renamed, update_mask={"paths": ["name"]})
    )
    rules = wire.TradingRules(tick_size=Decimal(mantissa=5, exponent=-2))
    changed = wire.Listing(listing_id=listing.listing_id, rules=rules)
    request = service.UpdateListingRequest(listing=changed, update_mask={"paths": ["rules"]})
    now = (await registry.stub.UpdateListing(request)).listing
    assert now.definition_version > listing.definition_version
    core.replica.apply_listing(now)
    found = await finder.of(key, listing.definition_version, then_ns)
    assert found.origin is Origin.HISTORY
    assert found.listing.listing.definition_version == listing.definition_version
    assert not found.listing.listing.rules.HasField("tick_size")
    assert found.listing.instrument.name == "Before AG"
    assert (await finder.of(key, now.definition_version, then_ns)).listing.listing == now
    unheard_of = await finder.of(key, 77, then_ns)
    assert unheard_of.origin is Origin.PRESENT
    assert "holds no version 77" in unheard_of.note
    assert unheard_of.listing.listing == now
    assert (await finder.of(123456, 1, then_ns)).origin is Origin.UNKNOWN
