"""The registry client, asynchronous and blocking, and the replica, against the real registries."""

from __future__ import annotations

import asyncio
import inspect
import itertools
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from alphapulse.domain.asset_class import AssetClass
from alphapulse.domain.decimal import ExactDecimal
from alphapulse.domain.errors import InvalidArgument, NotFound, RequestIdReused, StaleEtag, Unavailable
from alphapulse.domain.identifiers import Isin, Scheme
from alphapulse.domain.instruments import (
    EquityDetails,
    IdentifierAssertion,
    Instrument,
    Listing,
    TradingRules,
)
from alphapulse.domain.outcomes import LookupOutcome
from alphapulse.domain.revisions import RevisionToken
from strategy_sdk import (
    Addresses,
    BlockingRegistryClient,
    Bookmark,
    Change,
    ChangeKind,
    Component,
    ComponentPrice,
    DefinitionOutcome,
    EvaluationState,
    InstrumentEntry,
    InstrumentFilter,
    LookupItem,
    LookupOptions,
    RegistrationOutcome,
    RegistryClient,
    RegistryReplica,
    Snapshot,
    Synthetic,
    Venue,
    VenueType,
    Write,
)

_NUMBERS = itertools.count(1)


def fresh_isin() -> str:
    """One that no test used before."""
    return Isin.from_nsin("DE", f"{next(_NUMBERS):09d}").value


def equity(isin: str, name: str = "Some company") -> Instrument:
    return Instrument(
        asset_class=AssetClass.EQUITY,
        name=name,
        details=EquityDetails(currency="EUR", country="DE", sector="Tests"),
        identifiers=(IdentifierAssertion(Scheme.ISIN, isin, source="test"),),
        source="test",
    )


def listing(symbol: str, venue: str = "XETR") -> Listing:
    rules = TradingRules(tick_size=ExactDecimal(1, -2), lot_size=ExactDecimal(1))
    return Listing(venue=venue, symbol=symbol, currency="EUR", rules=rules, source="test")


@pytest.fixture
async def registry(platform: Any) -> AsyncIterator[RegistryClient]:
    async with RegistryClient(platform.addresses) as client:
        await client.register_venue(Venue("XETR", "Xetra", VenueType.EXCHANGE, mic="XETR", operating_mic="XETR"))
        yield client


async def test_what_is_registered_is_found_by_every_name(registry: RegistryClient) -> None:
    isin = fresh_isin()
    made = await registry.register_instrument(equity(isin, "Found by every name"), [listing(isin)])
    assert made.outcome is RegistrationOutcome.CREATED
    assert made.entry.instrument.id is not None
    found = await registry.lookup_isin(isin, LookupOptions(read_after=made.revision_token))
    assert found.resolved
    assert found.instrument == made.entry.instrument
    assert found.instrument.details == EquityDetails(currency="EUR", country="DE", sector="Tests")
    (place,) = found.listings
    assert (place.symbol, place.rules.tick_size) == (isin, ExactDecimal(1, -2))
    assert place.id is not None
    by_symbol = await registry.lookup_symbol(isin, "XETR")
    assert by_symbol.instruments == found.instruments
    by_key = await registry.get_listing(place.id.key)
    assert (by_key.listing, by_key.instrument) == (place, found.instrument)
    entry = await registry.get_instrument(made.entry.instrument.id, latest=True)
    assert entry.listings == (place,)
    assert entry.identity_text.startswith("ap1|equity|isin|")
    again = await registry.register_instrument(equity(isin, "Found by every name"), [listing(isin)])
    assert again.outcome is RegistrationOutcome.UNCHANGED


async def test_look_ups_end_as_they_end(registry: RegistryClient) -> None:
    isin = fresh_isin()
    made = await registry.register_instrument(equity(isin))
    wrong, unknown = "US0378331006", fresh_isin()
    results = await registry.batch_lookup(
        [isin, wrong, unknown], Scheme.ISIN, LookupOptions(read_after=made.revision_token)
    )
    outcomes = [one.outcome for one in results]
    assert outcomes == [LookupOutcome.RESOLVED, LookupOutcome.INVALID, LookupOutcome.NOT_FOUND]
    assert results[1].violation is not None
    assert "check" in results[1].violation.rule
    mixed = await registry.batch_lookup([LookupItem(Scheme.ISIN, isin), LookupItem(Scheme.CUSIP, "037833100")])
    assert [one.outcome for one in mixed] == [LookupOutcome.RESOLVED, LookupOutcome.NOT_FOUND]
    for lookup in (registry.lookup_cusip, registry.lookup_sedol, registry.lookup_figi):
        assert (await lookup("?")).outcome is LookupOutcome.INVALID
    with pytest.raises(InvalidArgument, match="scheme"):
        await registry.batch_lookup([isin])
    with pytest.raises(InvalidArgument, match="zone"):
        await registry.lookup_isin(isin, LookupOptions(as_of=datetime(2026, 1, 1)))


async def test_ids_alone_are_those_of_the_full_answer(registry: RegistryClient) -> None:
    isin, unknown, wrong = fresh_isin(), fresh_isin(), "US0378331006"
    made = await registry.register_instrument(equity(isin), [listing(isin)])
    options = LookupOptions(read_after=made.revision_token, ids_only=True)
    for found in (
        await registry.lookup_isin(isin, options),
        await registry.lookup_isin(isin, LookupOptions(ids_only=True)),
        await registry.lookup_symbol(isin, "XETR", options),
        *(await registry.batch_lookup([isin, isin], Scheme.ISIN, LookupOptions(ids_only=True))),
        *(await registry.batch_lookup([LookupItem(Scheme.ISIN, isin)], None, options)),
    ):
        assert found.resolved
        assert found.instrument == Instrument(
            AssetClass.EQUITY, "", None, id=made.entry.instrument.id, status=made.entry.instrument.status
        )
        (place,) = found.listings
        held = made.entry.listings[0]
        assert (place.id, place.venue, place.symbol, place.currency) == (held.id, "XETR", isin, "")
    results = await registry.batch_lookup([unknown, wrong], Scheme.ISIN, options)
    assert [one.outcome for one in results] == [LookupOutcome.NOT_FOUND, LookupOutcome.INVALID]
    assert results[1].violation is not None


async def test_errors_are_those_of_the_services(registry: RegistryClient) -> None:
    with pytest.raises(InvalidArgument) as caught:
        await registry.register_instrument(replace(equity("US0378331006"), details=EquityDetails(currency="EURO")))
    assert len(caught.value.violations) >= 2
    with pytest.raises(NotFound):
        await registry.get_instrument("0123456789abcdef0123456789abcdef")
    isin = fresh_isin()
    await registry.register_instrument(equity(isin), write=Write(request_id=isin))
    with pytest.raises(RequestIdReused):
        await registry.register_instrument(equity(isin, "Another"), write=Write(request_id=isin))
    async with RegistryClient(Addresses(instrument_registry="127.0.0.1:1"), read_deadline=5) as nobody:
        with pytest.raises(Unavailable):
            await nobody.lookup_isin(isin)


async def test_a_stream_of_registrations_answers_in_order(registry: RegistryClient) -> None:
    isins = [fresh_isin() for _ in range(25)]
    entries = [InstrumentEntry(equity(isin), (listing(isin),)) for isin in isins]
    entries[7] = InstrumentEntry(equity("US0378331006"), ())

    async def given() -> AsyncIterator[InstrumentEntry]:
        for entry in entries:
            yield entry

    results = [one async for one in registry.register_instruments(given(), batch_size=4)]
    assert [one.outcome for one in results].count(RegistrationOutcome.CREATED) == 24
    assert results[7].outcome is RegistrationOutcome.REFUSED
    assert isinstance(results[7].error, InvalidArgument)
    token = results[-1].revision_token
    found = await registry.batch_lookup(isins, Scheme.ISIN, LookupOptions(read_after=token))
    ids = [one.instrument.id if one.instrument else None for one in found]
    assert ids == [one.instrument_id for one in results]


async def test_a_listing_kept_in_a_case_has_no_id_in_its_result(registry: RegistryClient) -> None:
    taken = fresh_isin()
    await registry.register_instrument(equity(taken, "Alpha Works"), [listing(taken)])
    other = InstrumentEntry(equity(fresh_isin(), "Zeta Bakery"), (listing(taken),))
    (result,) = [one async for one in registry.register_instruments([other])]
    assert result.outcome is RegistrationOutcome.COLLISION
    assert result.collision_case_id
    assert result.listing_ids == (None,)


async def test_lists_walk_their_pages_and_searches_find_names(registry: RegistryClient) -> None:
    sector = f"Sector {fresh_isin()}"
    details = EquityDetails(currency="EUR", country="DE", sector=sector)
    entries = [InstrumentEntry(replace(equity(fresh_isin(), f"Paged {k}"), details=details), ()) for k in range(7)]
    results = [one async for one in registry.register_instruments(entries)]
    token = results[-1].revision_token
    wanted = InstrumentFilter(sectors=[sector])
    listed = [one async for one in registry.list_instruments(wanted, page_size=3, read_after=token)]
    assert {one.instrument.id for one in listed} == {one.instrument_id for one in results}
    hits = await registry.search("Paged 3", wanted, read_after=token)
    assert hits[0].found.instrument.name == "Paged 3"


async def test_updates_keep_to_their_etag(registry: RegistryClient) -> None:
    made = await registry.register_instrument(equity(isin := fresh_isin()), [listing(isin)])
    entry = made.entry
    named = replace(entry.instrument, name="A new name")
    updated = await registry.update_instrument(named, ["name"], write=Write(etag=entry.version.etag))
    assert updated.instrument.name == "A new name"
    with pytest.raises(StaleEtag):
        await registry.update_instrument(named, ["name"], write=Write(etag=entry.version.etag))
    finer = replace(entry.listings[0], rules=TradingRules(tick_size=ExactDecimal(5, -3)))
    changed = await registry.update_listing(finer, ["rules"])
    assert changed.listing.rules.tick_size == ExactDecimal(5, -3)
    assert changed.listing.definition_version == entry.listings[0].definition_version + 1


async def test_a_watch_begins_with_a_snapshot_and_goes_on(registry: RegistryClient) -> None:
    sector = f"Sector {fresh_isin()}"
    details = EquityDetails(currency="EUR", country="DE", sector=sector)
    first = replace(equity(fresh_isin()), details=details)
    await registry.register_instrument(first)
    watch = registry.watch_instruments(InstrumentFilter(sectors=[sector]))
    found: list[Any] = []
    async for event in watch:
        found.append(event)
        if isinstance(event, Bookmark) and event.snapshot_complete:
            second = await registry.register_instrument(replace(equity(fresh_isin()), details=details))
        if isinstance(event, Change):
            break
    await watch.aclose()  # type: ignore[attr-defined]
    held = [entry.instrument.name for one in found if isinstance(one, Snapshot) for entry in one.entries]
    assert held == [first.name]
    assert found[-1].kind is ChangeKind.CREATED
    assert found[-1].entity == second.entry.instrument


async def test_venues(registry: RegistryClient) -> None:
    venue = Venue("SDK_TEST", "A test's venue", VenueType.CRYPTO_EXCHANGE, always_open=True, source="test")
    made = await registry.register_venue(venue)
    assert made.outcome in (DefinitionOutcome.CREATED, DefinitionOutcome.UNCHANGED)
    entry = await registry.get_venue("SDK_TEST", read_after=made.revision_token)
    assert (entry.venue.name, entry.venue.type) == ("A test's venue", VenueType.CRYPTO_EXCHANGE)
    assert (await registry.is_open("SDK_TEST", datetime(2026, 1, 3, tzinfo=UTC))).open
    assert (await registry.lookup_mic("XETR")).venue is not None
    assert (await registry.lookup_mic("??")).outcome is LookupOutcome.INVALID
    assert "SDK_TEST" in [one.code async for one in registry.list_venues(page_size=1)]
    assert [one[0] for one in await registry.batch_get_venues(["XETR", "NONE_SUCH"])] == [
        LookupOutcome.RESOLVED,
        LookupOutcome.NOT_FOUND,
    ]


async def test_synthetics(registry: RegistryClient) -> None:
    one = await registry.register_instrument(equity(isin := fresh_isin()), [listing(isin)])
    two = await registry.register_instrument(equity(isin := fresh_isin()), [listing(isin)])
    ids = [made.entry.listings[0].id for made in (one, two)]
    components = (Component("a", listing_id=ids[0]), Component("b", listing_id=ids[1]))
    report = await registry.validate_formula("a - 2*b", components)
    assert (report.valid, report.variables) == (True, ("a", "b"))
    assert not (await registry.validate_formula("a -")).valid
    spread = Synthetic("SDK-SPREAD", "a - 2*b", components, unit="EUR")
    write = Write(after_token=two.revision_token)
    made = await registry.register_synthetic(spread, write=write)
    assert made.value.synthetic_id
    found = await registry.get_synthetic("SDK-SPREAD", read_after=made.revision_token)
    assert found.synthetic == made.value
    prices = [ComponentPrice("a", bid=10.0, ask=12.0), ComponentPrice("b", bid=1.0, ask=3.0)]
    value = await registry.evaluate_synthetic("SDK-SPREAD", prices)
    assert (value.state, value.value) == (EvaluationState.FRESH, 7.0)
    assert "SDK-SPREAD" in [found.name async for found in registry.list_synthetics()]


def test_the_blocking_client_is_the_asynchronous_one(platform: Any) -> None:
    isin = fresh_isin()
    with BlockingRegistryClient(platform.addresses) as registry:
        results = list(registry.register_instruments([InstrumentEntry(equity(isin), ())]))
        found = registry.lookup_isin(isin, LookupOptions(read_after=results[0].revision_token))
        assert found.instrument is not None
        assert found.instrument.id == results[0].instrument_id
        with pytest.raises(NotFound):
            registry.get_instrument("0123456789abcdef0123456789abcdef")
        first = next(iter(registry.list_instruments(page_size=1)))
        assert isinstance(first, InstrumentEntry)
        watch = registry.watch_instruments()
        assert isinstance(next(watch), (Snapshot, Bookmark))
        watch.close()  # type: ignore[attr-defined]
    registry.close()


def test_both_clients_have_the_same_methods() -> None:
    def public(kind: type[Any]) -> dict[str, list[str]]:
        found = inspect.getmembers(kind, inspect.isfunction)
        return {name: list(inspect.signature(one).parameters) for name, one in found if not name.startswith("_")}

    asynchronous, blocking = public(RegistryClient), public(BlockingRegistryClient)
    assert blocking == asynchronous


async def test_the_replica_answers_from_memory_and_follows(platform: Any, registry: RegistryClient) -> None:
    isin, later = fresh_isin(), fresh_isin()
    made = await registry.register_instrument(equity(isin), [listing(isin)])
    async with RegistryReplica(platform.addresses) as replica:
        await replica.ready()
        assert replica.isin(isin) == made.entry.instrument
        (place,) = made.entry.listings
        assert place.key is not None
        assert made.entry.instrument.id is not None
        assert replica.listing(place.key) == replica.symbol("XETR", isin) == place
        assert replica.listings_of(made.entry.instrument.id) == (place,)
        assert replica.instrument(made.entry.instrument.id) == made.entry.instrument
        venue = replica.venue("XETR")
        assert venue is not None
        assert venue.name == "Xetra"
        assert replica.isin(later) is None
        assert RevisionToken.decode(replica.revision_token).instrument > 0
        assert replica.age < 60
        changed: list[Any] = []
        replica.on_change(changed.append)
        second = await registry.register_instrument(equity(later))
        await replica.reached(second.revision_token)
        assert replica.isin(later) == second.entry.instrument
        assert changed[-1].value == second.entry.instrument


async def test_the_replica_survives_broken_connections(platform: Any, registry: RegistryClient, proxy_to: Any) -> None:
    async with (
        proxy_to(platform.addresses.instrument_registry) as proxy,
        RegistryReplica(replace(platform.addresses, instrument_registry=proxy.address)) as replica,
    ):
        await replica.ready()
        for _ in range(3):
            proxy.cut()
            made = await registry.register_instrument(equity(isin := fresh_isin()))
            await replica.reached(made.revision_token)
            assert replica.isin(isin) == made.entry.instrument


async def test_a_replica_makes_a_value_once(platform: Any, registry: RegistryClient) -> None:
    await registry.register_instrument(equity(isin := fresh_isin()))
    async with RegistryReplica(platform.addresses) as replica:
        await replica.ready()
        assert replica.isin(isin) is replica.isin(isin)


async def test_many_calls_share_a_client(registry: RegistryClient) -> None:
    isins = [fresh_isin() for _ in range(20)]
    results = await asyncio.gather(*(registry.register_instrument(equity(isin)) for isin in isins))
    assert {one.outcome for one in results} == {RegistrationOutcome.CREATED}
