"""Filters of lists: what they find, and that a value which names nothing is refused instead of matched by nothing."""

from __future__ import annotations

import asyncio

import pytest

from alphapulse.api.common.v1 import common_pb2 as common
from alphapulse.api.instrument.v1 import instrument_pb2 as wire
from alphapulse.api.instrument.v1 import instrument_service_pb2 as service

Filter = service.InstrumentFilter


async def listed(registry, **wanted):
    answer = await registry.stub.ListInstruments(service.ListInstrumentsRequest(filter=Filter(**wanted)))
    assert answer.total_size == len(answer.entries)
    return sorted(one.instrument.name for one in answer.entries)


@pytest.fixture
async def shares(registry, entries):
    def share(number, name, country, currency, sector="", source="test", **more):
        details = {"country": country, "currency": currency, "sector": sector}
        return entries.equity(entries.isin(number), name, details=details, source=source, **more)

    await asyncio.gather(
        registry.register(
            share(1, "a", "DE", "EUR", "Software"),
            entries.listing("XETR", "A", currency="EUR"),
            entries.listing("XLON", "A", currency="GBX"),
        ),
        registry.register(share(2, "b", "US", "USD"), entries.listing("XETR", "B", currency="EUR")),
        registry.register(
            share(3, "c", "US", "USD", source="other", status=wire.INSTRUMENT_STATUS_RETIRED),
            entries.listing("XNAS", "C", currency="USD", source="other"),
        ),
        registry.register(entries.coin("BTC")),
    )
    return registry


async def test_each_filter_finds_what_it_names_and_they_combine(shares):
    assert await listed(shares, asset_classes=[common.ASSET_CLASS_EQUITY]) == ["a", "b", "c"]
    assert await listed(shares, countries=["US"]) == ["b", "c"]
    assert await listed(shares, currencies=["EUR"]) == ["a"]
    assert await listed(shares, listing_currencies=["EUR"]) == ["a", "b"]
    assert await listed(shares, currencies=["USD"], listing_currencies=["EUR"]) == ["b"]
    assert await listed(shares, sectors=["Software"]) == ["a"]
    assert await listed(shares, sources=["other"]) == ["c"]
    assert await listed(shares, statuses=[wire.INSTRUMENT_STATUS_RETIRED]) == ["c"]
    assert await listed(shares, venues=["XLON", "XNAS"]) == ["a", "c"]
    assert await listed(shares, with_schemes=[common.IDENTIFIER_SCHEME_ISIN], countries=["DE"]) == ["a"]


async def test_venue_and_listing_currency_have_to_be_of_one_listing(shares):
    assert await listed(shares, venues=["XLON"], listing_currencies=["GBX"]) == ["a"]
    assert await listed(shares, venues=["XLON"], listing_currencies=["EUR"]) == []


BROKEN = [
    (Filter(asset_classes=[99]), "filter.asset_classes[0]", "99", "enum-unknown"),
    (Filter(asset_classes=[0]), "filter.asset_classes[0]", "0", "enum-unknown"),
    (Filter(statuses=[77]), "filter.statuses[0]", "77", "enum-unknown"),
    (Filter(with_schemes=[500]), "filter.with_schemes[0]", "500", "enum-unknown"),
    (Filter(countries=["DE", "de"]), "filter.countries[1]", "de", "country-unknown"),
    (Filter(currencies=["ZZZ"]), "filter.currencies[0]", "ZZZ", "currency-unknown"),
    (Filter(currencies=["USDT"]), "filter.currencies[0]", "USDT", "currency-unknown"),
    (Filter(listing_currencies=["usd"]), "filter.listing_currencies[0]", "usd", "currency-code"),
    (Filter(venues=["xetr"]), "filter.venues[0]", "xetr", "venue-format"),
    (Filter(chains=["ethereum"]), "filter.chains[0]", "ethereum", "caip2-format"),
    (Filter(underlying_ids=["zz"]), "filter.underlying_ids[0]", "zz", "id-format"),
    (Filter(sectors=[""]), "filter.sectors[0]", "", "text-length"),
    (Filter(sources=["x" * 300]), "filter.sources[0]", None, "text-length"),
    (Filter(venues=["XETR"] * 1001), "filter.venues", "1001", "too-many"),
]


async def test_a_value_that_names_nothing_is_refused(registry):
    for wanted, field, value, rule in BROKEN:
        for call in (
            registry.stub.ListInstruments(service.ListInstrumentsRequest(filter=wanted)),
            registry.stub.SearchInstruments(service.SearchInstrumentsRequest(query="x", filter=wanted)),
        ):
            (broken,) = (await registry.refused(call)).violations
            assert (broken.field, broken.rule) == (field, rule)
            assert value is None or broken.value == value


async def test_all_that_is_wrong_with_a_filter_is_told_at_once(registry):
    wanted = Filter(asset_classes=[99], countries=["Germany"], currencies=["EURO"])
    wanted.expiry_from.FromSeconds(100)
    wanted.expiry_to.FromSeconds(100)
    error = await registry.refused(registry.stub.ListInstruments(service.ListInstrumentsRequest(filter=wanted)))
    assert [one.field for one in error.violations] == [
        "filter.asset_classes[0]",
        "filter.countries[0]",
        "filter.currencies[0]",
        "filter.expiry_to",
    ]


async def test_listings_by_currency_and_source_and_what_names_nothing(shares):
    async def symbols(**wanted):
        answer = await shares.stub.ListListings(service.ListListingsRequest(**wanted))
        return sorted(f"{one.venue}:{one.symbol}" for one in answer.listings)

    assert await symbols(currencies=["EUR"]) == ["XETR:A", "XETR:B"]
    assert await symbols(currencies=["EUR", "USD"], sources=["other"]) == ["XNAS:C"]
    request = service.ListListingsRequest(
        venues=["?"], statuses=[9], currencies=["e"], instrument_ids=["nope"], sources=[""]
    )
    error = await shares.refused(shares.stub.ListListings(request))
    assert {one.field for one in error.violations} == {
        "venues[0]",
        "statuses[0]",
        "currencies[0]",
        "instrument_ids[0]",
        "sources[0]",
    }


async def test_ids_are_found_however_they_are_spelled(shares):
    answer = await shares.stub.ListListings(service.ListListingsRequest(venues=["XNAS"]))
    one = answer.listings[0]
    request = service.ListListingsRequest(instrument_ids=[one.instrument_id.upper()])
    assert list((await shares.stub.ListListings(request)).listings) == [one]
