"""A group of writes may be planned several times before it is durable: an entry stays as it came, whatever the plans before made of it."""

from __future__ import annotations

from typing import Any

from alphapulse.api.instrument.v1 import instrument_pb2 as wire
from alphapulse.api.instrument.v1 import instrument_service_pb2 as service
from registry_service.instrument.registering.drafts import Draft, Minter, prepare
from registry_service.instrument.registering.needs import needs_of
from registry_service.instrument.registering.planning import Registered
from registry_service.instrument.registering.registration import register
from registry_service.storage.database import make_engine
from registry_service.storage.model import EntityKind, WriteSession
from registry_service.storage.postgres import PostgresStore

FIGI = "BBG000B9XRY4"


async def test_an_entry_planned_before_is_extended_under_the_id_it_was_registered_with_meanwhile(
    database_maker: Any, instrument_template: str, entries: Any
) -> None:
    database = database_maker.create(template=instrument_template)
    minter = Minter()
    found: list[Registered] = []

    async def planned(session: WriteSession, one: Draft) -> bytes:
        found.extend(await register(session, [one], needs_of([one]), minter))
        return b""

    figi = entries.identifier("FIGI", FIGI)
    sent = entries.equity(entries.isin(1), "Nordwind Shipping", identifiers=[figi])
    listing = entries.listing("XETR", "NWD")
    draft = prepare(sent, [listing], minter)
    before = sent.SerializeToString(deterministic=True), listing.SerializeToString(deterministic=True)
    known = entries.equity(entries.isin(1), "Nordwind Shipping")
    del known.identifiers[:]
    known.identifiers.append(figi)
    other = prepare(known, [entries.listing("XETR", "NWD", status=wire.LISTING_STATUS_HALTED)], minter)
    engine = make_engine(database, "instrument", pool_size=2)
    try:
        async with PostgresStore(engine, "instrument") as store:
            await store.write(lambda s: planned(s, draft), actor="test", validate_only=True)
            await store.write(lambda s: planned(s, other), actor="test")
            await store.write(lambda s: planned(s, draft), actor="test")
            (held,) = (await store.children(EntityKind.LISTING, [found[1].instrument_id]))[found[1].instrument_id]
    finally:
        await engine.dispose()
        database_maker.drop(database)
    first, elsewhere, again = found
    assert first.outcome == service.REGISTRATION_OUTCOME_CREATED
    assert elsewhere.outcome == service.REGISTRATION_OUTCOME_CREATED
    assert again.error is None
    assert again.outcome == service.REGISTRATION_OUTCOME_EXTENDED
    assert again.instrument_id == elsewhere.instrument_id
    assert again.listing_ids == elsewhere.listing_ids
    # The entry says nothing of the status: what another said of it meanwhile stays.
    assert wire.Listing.FromString(held.body).status == wire.LISTING_STATUS_HALTED
    assert (sent.SerializeToString(deterministic=True), listing.SerializeToString(deterministic=True)) == before
