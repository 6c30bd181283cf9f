"""The data sets themselves, before anybody registers them."""

from __future__ import annotations

from collections import Counter
from zoneinfo import ZoneInfo

import pytest

from alphapulse.api.common.v1 import common_pb2 as common
from alphapulse.api.venue.v1 import venue_pb2 as wire
from alphapulse.domain.identifiers import Cusip, Isin, Sedol
from alphapulse_cli.seed import currencies, mics, stocks, synthetics, trading_venues
from alphapulse_cli.seed.time_zones import zone_of
from registry_service.synthetic.rules import synthetic_violations
from registry_service.venue.rules import venue_violations


def test_every_mic_is_a_valid_venue() -> None:
    venues = {venue.code: venue for venue in mics.venues()}
    assert len(venues) >= 2_733
    assert [one for venue in venues.values() for one in venue_violations(venue)] == []
    assert Counter(venue.status for venue in venues.values())[wire.VENUE_STATUS_EXPIRED] >= 503
    nasdaq = venues["XNAS"]
    assert (nasdaq.country, nasdaq.city, nasdaq.time_zone) == ("US", "New York", "America/New_York")
    assert venues["XNGS"].operating_mic == "XNAS"
    assert venues["XNGS"].mic_level == wire.MIC_LEVEL_SEGMENT
    assert sum(bool(venue.time_zone) for venue in venues.values()) > 2_400


def test_operators_come_before_their_segments() -> None:
    seen: set[str] = set()
    for venue in mics.venues():
        seen.add(venue.code)
        # The list has expired markets of operators that became markets themselves.
        assert venue.operating_mic in seen or venue.status == wire.VENUE_STATUS_EXPIRED


@pytest.mark.parametrize(
    ("country", "city", "zone"),
    [
        ("DE", "Frankfurt", "Europe/Berlin"),
        ("JP", "Tokyo", "Asia/Tokyo"),
        ("US", "Chicago", "America/Chicago"),
        ("AU", "sydney", "Australia/Sydney"),
        ("CA", "Toronto", "America/Toronto"),
        ("US", "Jersey City", ""),
        ("US", "", ""),
        ("", "Tokyo", ""),
    ],
)
def test_a_time_zone_is_told_where_it_is_certain(country: str, city: str, zone: str) -> None:
    assert zone_of(country, city) == zone


def test_the_zones_of_venues_exist() -> None:
    assert all(ZoneInfo(zone) for zone in {venue.time_zone for venue in mics.venues()} - {""})


def test_calendars_are_those_of_the_package() -> None:
    known = pytest.importorskip("exchange_calendars").get_calendar_names()
    assert set(mics.CALENDARS.values()) <= set(known)
    venues = list(mics.venues())
    ours = set(known) & {venue.code for venue in venues}
    active = {venue.code for venue in venues if venue.status == wire.VENUE_STATUS_ACTIVE}
    # CMES names the calendar of Globex there, and a swap facility in the list of MICs.
    assert (ours & active) - {"CMES"} <= set(mics.CALENDARS)


def test_the_crypto_exchanges_that_are_collected_from_have_endpoints_and_fees() -> None:
    venues = {venue.code: venue for venue in trading_venues.venues()}
    for code in ("BINANCE", "COINBASE", "KRAKEN"):
        venue = venues[code]
        assert venue.always_open
        # What is asked for first where a reader knows no products.
        assert venue.fee_schedules[0].product == "SPOT"
        assert venue.fee_schedules[0].source.startswith("https://")
        assert {endpoint.protocol for endpoint in venue.endpoints} >= {1, 2}


def test_one_instrument_an_isin_and_the_bad_one_is_reported() -> None:
    skipped: list[str] = []
    entries = list(stocks.entries(skipped))
    isins = [entry.instrument.identifiers[0].value for entry in entries]
    assert len(isins) == len(set(isins)) >= 1_311
    assert all(Isin.is_valid(isin) for isin in isins)
    assert any("CH1012549785" in reason for reason in skipped)
    assert "CH1012549785" not in isins


def test_identifiers_inside_an_isin_are_told_too() -> None:
    for entry in stocks.entries([]):
        held = {one.scheme: one.value for one in entry.instrument.identifiers}
        isin = held[common.IDENTIFIER_SCHEME_ISIN]
        if isin.startswith("US"):
            assert Cusip.is_valid(held[common.IDENTIFIER_SCHEME_CUSIP])
        if isin.startswith("GB"):
            assert Sedol.is_valid(held[common.IDENTIFIER_SCHEME_SEDOL])


def test_no_symbol_of_a_venue_is_claimed_twice() -> None:
    claimed = Counter((listing.venue, listing.symbol) for entry in stocks.entries([]) for listing in entry.listings)
    assert claimed.total() > 700
    assert max(claimed.values()) == 1


def test_pairs_follow_the_convention_of_the_market() -> None:
    pairs = currencies.pairs()
    assert len(pairs) == len(set(pairs)) >= 60
    assert {("EUR", "USD"), ("GBP", "USD"), ("USD", "JPY"), ("EUR", "GBP"), ("XAU", "USD")} <= set(pairs)
    assert not {(quote, base) for base, quote in pairs} & set(pairs)


def test_the_demonstrations_are_valid() -> None:
    made = list(synthetics.synthetics())
    assert {"BTC-CROSS-MID", "ETH-BTC-RATIO"} <= {one.name for one in made}
    assert [one for synthetic in made for one in synthetic_violations(synthetic)] == []
