"""16,877 listings of 7,301 ISINs, as a public project tells them, registered and looked up again."""

from __future__ import annotations

import asyncio
import csv
import gzip
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from alphapulse.api.common.v1 import common_pb2 as common
from alphapulse.api.instrument.v1 import instrument_pb2 as wire
from alphapulse.api.instrument.v1 import instrument_service_pb2 as service

RESOLVED = common.LOOKUP_OUTCOME_RESOLVED
CREATED = service.REGISTRATION_OUTCOME_CREATED
IN_FLIGHT = 64
Entry = tuple[wire.Instrument, list[wire.Listing]]


async def all_of(calls: Iterable[Any]) -> list[Any]:
    """The answers of calls, some of them in flight at a time, in order."""
    gate = asyncio.Semaphore(IN_FLIGHT)

    async def one(call: Any) -> Any:
        async with gate:
            return await call()

    return await asyncio.gather(*[one(call) for call in calls])


@pytest.fixture(scope="module")
def cross_listed(reference_dir: Path) -> dict[str, list[dict[str, str]]]:
    """The rows of each ISIN."""
    path = reference_dir / "cross_listings.csv.gz"
    if not path.is_file():
        pytest.skip(f"no {path}")
    found: dict[str, list[dict[str, str]]] = defaultdict(list)
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            found[row["isin"]].append(row)
    return found


def venue_of(exchange: str) -> str:
    return exchange.upper().replace(" ", "_")


def share(isin: str, rows: Sequence[dict[str, str]]) -> Entry:
    """The file tells neither names nor currencies: the ISIN names it, XXX of ISO 4217 says that the currency is not known."""
    instrument = wire.Instrument(
        asset_class=common.ASSET_CLASS_EQUITY,
        name=isin,
        source="cross_listings",
        equity=wire.EquityDetails(currency="XXX"),
        identifiers=[wire.IdentifierAssertion(scheme=common.IDENTIFIER_SCHEME_ISIN, value=isin)],
    )
    listings = [
        wire.Listing(
            venue=venue_of(row["exchange"]),
            symbol=row["ticker"],
            currency="XXX",
            primary=row["is_primary"] == "1",
        )
        for row in rows
    ]
    return instrument, listings


@pytest.mark.timeout(240)
async def test_every_isin_returns_all_its_listings(
    registry: Any, cross_listed: dict[str, list[dict[str, str]]]
) -> None:
    results = await registry.register_all([share(isin, rows) for isin, rows in cross_listed.items()])
    assert {one.outcome for one in results} == {CREATED}
    assert sum(len(one.listing_ids) for one in results) == sum(map(len, cross_listed.values()))

    isins = list(cross_listed)
    found: list[service.LookupResult] = []
    for at in range(0, len(isins), 500):
        request = service.BatchLookupRequest(scheme=common.IDENTIFIER_SCHEME_ISIN, values=isins[at : at + 500])
        found.extend((await registry.stub.BatchLookup(request)).results)
    for (isin, rows), answer, registered in zip(cross_listed.items(), found, results, strict=True):
        assert answer.outcome == RESOLVED, isin
        (entry,) = answer.entries
        assert entry.instrument.instrument_id == registered.instrument_id
        shown = {(one.venue, one.symbol, one.primary, one.listing_id) for one in entry.listings}
        wanted = zip(rows, registered.listing_ids, strict=True)
        assert shown == {
            (venue_of(row["exchange"]), row["ticker"], row["is_primary"] == "1", listing_id)
            for row, listing_id in wanted
        }, isin
        assert len(entry.listings) == len(rows)
    # One by one they answer the same: every fourth, for it is the same again and takes longer than all the rest.
    answers = await all_of(look_up(registry, isin) for isin in isins[::4])
    assert [answer.result for answer in answers] == found[::4]
    await _each_symbol_names_its_listing(registry, cross_listed, results)
    await _preferences_choose_among_the_listings(registry, cross_listed)


def look_up(registry: Any, isin: str) -> Any:
    return lambda: registry.stub.LookupISIN(service.LookupISINRequest(isin=isin))


async def _each_symbol_names_its_listing(
    registry: Any, cross_listed: dict[str, list[dict[str, str]]], results: Sequence[service.RegistrationResult]
) -> None:
    wanted = [
        (
            service.LookupItem(
                scheme=common.IDENTIFIER_SCHEME_EXCHANGE_SYMBOL, value=row["ticker"], venue=venue_of(row["exchange"])
            ),
            key,
        )
        for rows, result in zip(cross_listed.values(), results, strict=True)
        for row, key in zip(rows, result.listing_ids, strict=True)
    ]
    for at in range(0, len(wanted), 1000):
        request = service.BatchLookupRequest(items=[item for item, _ in wanted[at : at + 1000]])
        answers = (await registry.stub.BatchLookup(request)).results
        assert [(one.outcome, list(one.listing_ids)) for one in answers] == [
            (RESOLVED, [key]) for _, key in wanted[at : at + 1000]
        ]


async def _preferences_choose_among_the_listings(registry: Any, cross_listed: dict[str, list[dict[str, str]]]) -> None:
    most = sorted(cross_listed, key=lambda isin: -len(cross_listed[isin]))[:50]
    for isin in most:
        rows = cross_listed[isin]
        primary = await registry.isin(isin, primary_only=True)
        assert [one.symbol for one in primary.entries[0].listings] == [
            row["ticker"] for row in rows if row["is_primary"] == "1"
        ]
        venue = venue_of(rows[-1]["exchange"])
        there = await registry.isin(isin, preferred_venues=["NOWHERE", venue])
        assert sorted(one.symbol for one in there.entries[0].listings) == sorted(
            row["ticker"] for row in rows if venue_of(row["exchange"]) == venue
        )
