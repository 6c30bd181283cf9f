"""Registrations, decisions and events in any order: what is stored stays consistent, and what was known is answered for ever.

After every step the assertions in Postgres say the same as the messages that are answered; answers taken with `known_at` on the
way are asked for again at the end.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import asyncpg
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from alphapulse.api.common.v1 import common_pb2 as common
from alphapulse.api.instrument.v1 import instrument_pb2 as wire
from alphapulse.api.instrument.v1 import instrument_service_pb2 as service
from alphapulse.client.errors import from_rpc_error
from registry_service.instrument.keys import truth_key

LATEST = common.ReadOptions(latest=True)
NAMES = ["Alpha Works", "Beta Bakery", "Gamma Mining", "Delta Shipping"]
SYMBOLS = ["AAA", "BBB", "CCC"]
START = datetime(2015, 1, 1, tzinfo=UTC)
EXPECTED = {"FAILED_PRECONDITION", "INVALID_ARGUMENT", "COLLISION", "NOT_FOUND", "REFERENCE_WRONG_CLASS"}


def stamp(moment):
    message = Timestamp()
    message.FromDatetime(moment.astimezone(UTC).replace(tzinfo=None))
    return message


class Run:
    """One random life of a registry."""

    def __init__(self, registry, entries, seed):
        self.registry, self.entries, self.dice = registry, entries, random.Random(seed)
        self.done = Counter()
        self.kept = []
        self.late = 0

    async def step(self):
        acts = [self.register] * 5 + [self.resolve] * 4 + [self.event] * 5 + [self.update]
        act = self.dice.choice(acts)
        try:
            await act()
            self.done[act.__name__] += 1
        except Exception as raised:
            error = from_rpc_error(raised)
            assert error.reason in EXPECTED, (act.__name__, error)
            assert "constraint" not in error.metadata, (act.__name__, error)
            self.done[f"{act.__name__}:{error.reason}"] += 1

    def moment(self):
        """A time in the past; more often than not a later one than those before, so that events can follow one another."""
        whole = (datetime.now(UTC) - START).days
        self.late = min(whole, self.late + self.dice.randrange(1, 60))
        days = self.late if self.dice.random() < 0.6 else self.dice.randrange(1, whole)
        return stamp(START + timedelta(days=days))

    async def register(self):
        dice, entries = self.dice, self.entries
        number = dice.randrange(6)
        more = []
        if dice.random() < 0.4:
            more.append(entries.identifier("TICKER", dice.choice(SYMBOLS), venue="XNYS"))
        if dice.random() < 0.3:
            more.append(entries.identifier("ISIN", entries.isin(dice.randrange(6))))
            if more[-1].value == entries.isin(number):
                more.pop()
        if dice.random() < 0.3:
            level = dice.choice([common.IDENTIFIER_LEVEL_INSTRUMENT, common.IDENTIFIER_LEVEL_COMPOSITE])
            more.append(entries.identifier("FIGI", dice.choice(["BBG000B9XRY4", "BBG000BLNNH6"]), level=level))
        message = entries.equity(entries.isin(number), name=NAMES[number % 4], identifiers=more)
        if dice.random() < 0.15:
            message.name = dice.choice(NAMES)
        if dice.random() < 0.3:
            message.asset_class = common.ASSET_CLASS_ETF
            message.etf.currency = "EUR"
        fields = {"valid_from": stamp(START)} if dice.random() < 0.3 else {}
        if dice.random() < 0.2:
            fields["status"] = dice.choice([wire.LISTING_STATUS_HALTED, wire.LISTING_STATUS_DELISTED])
        currency = dice.choice(["EUR", "EUR", "EUR", "USD"])
        listing = entries.listing("XETR", dice.choice(SYMBOLS), currency=currency, **fields)
        listings = [listing] if dice.random() < 0.7 else []
        await self.registry.register(message, *listings)

    async def resolve(self):
        request = service.ListCollisionCasesRequest(states=[wire.COLLISION_STATE_OPEN])
        found = (await self.registry.stub.ListCollisionCases(request)).cases
        if not found:
            return
        case = self.dice.choice(found)
        resolution = self.dice.choice([1, 2, 3, 4])
        more = {}
        if resolution in (1, 2) and self.dice.random() < 0.9:
            more["winner_id"] = self.dice.choice([*case.incumbent_ids, "challenger", case.challenger_id])
        if resolution == 2 and self.dice.random() < 0.5:
            own = self.entries.identifier("ISIN", self.entries.isin(100 + self.dice.randrange(50)))
            more["challenger_identifiers"] = [own]
        if resolution == 2 and self.dice.random() < 0.5:
            more["effective_time"] = self.moment()
        elif resolution == 2 and self.dice.random() < 0.3:
            more["retroactive"] = True
        await self.registry.stub.ResolveCollisionCase(
            service.ResolveCollisionCaseRequest(case_id=case.case_id, resolution=resolution, reason="dice", **more)
        )
        self.done[f"{wire.CollisionKind.Name(case.kind)[15:]}:{wire.CollisionResolution.Name(resolution)[21:]}"] += 1

    async def event(self):
        dice = self.dice
        page = await self.registry.stub.ListInstruments(
            service.ListInstrumentsRequest(with_listings=True, read=LATEST, page_size=1000)
        )
        if not page.entries:
            return
        entry = dice.choice(page.entries)
        who, others = entry.instrument.instrument_id, [one.instrument.instrument_id for one in page.entries]
        fields = {}
        if entry.listings and dice.random() < 0.7:
            fields["listing_id"] = dice.choice(entry.listings).listing_id
            name = dice.choice(["symbol_change", "symbol_change", "delisting", "relisting", "halt", "resumption"])
            fields[name] = {"new_symbol": dice.choice(SYMBOLS)} if name == "symbol_change" else {}
        else:
            fields["instrument_id"] = who
            name = dice.choice(["name_change", "identifier_change", "identifier_change", "merger", "spin_off"])
            if name == "name_change":
                fields[name] = {"new_name": dice.choice(NAMES)}
            elif name == "identifier_change" and entry.instrument.identifiers:
                old = dice.choice(entry.instrument.identifiers)
                values = {1: self.entries.isin(dice.randrange(8)), 13: dice.choice(SYMBOLS), 4: "BBG000BLNNH6"}
                part = {
                    "scheme": old.scheme,
                    "old_value": old.value,
                    "new_value": values[old.scheme],
                    "venue": old.venue,
                }
                fields[name] = {"replacements": [part]}
            elif name == "merger" and dice.random() < 0.6:
                fields[name] = {"successor_ids": [dice.choice(others)]}
            else:
                fields["spin_off"] = {"spun_off_ids": [dice.choice(others)]}
        event = wire.LifecycleEvent(effective_time=self.moment(), **fields)
        await self.registry.stub.RecordLifecycleEvent(service.RecordLifecycleEventRequest(event=event))
        self.done[event.WhichOneof("event")] += 1

    async def update(self):
        page = await self.registry.stub.ListListings(service.ListListingsRequest(read=LATEST, page_size=1000))
        if not page.listings:
            return
        one = self.dice.choice(page.listings)
        status = self.dice.choice([1, 2, 4])
        await self.registry.stub.UpdateListing(
            service.UpdateListingRequest(
                listing=wire.Listing(listing_id=one.listing_id, status=status), update_mask={"paths": ["status"]}
            )
        )

    async def remember(self):
        """Takes an answer as known at this moment."""
        known_at, as_of = stamp(datetime.now(UTC)), self.moment()
        for options in ({"known_at": known_at}, {"known_at": known_at, "as_of": as_of}):
            self.kept.append((options, await self.answers(options)))

    async def answers(self, options):
        items = [service.LookupItem(scheme=1, value=self.entries.isin(number)) for number in range(8)]
        items += [service.LookupItem(scheme=14, value=one, venue="XETR") for one in SYMBOLS]
        items += [service.LookupItem(scheme=13, value=one, venue="XNYS") for one in SYMBOLS]
        request = service.BatchLookupRequest(items=items, options=service.LookupOptions(**options))
        found = (await self.registry.stub.BatchLookup(request)).results
        return [(one.outcome, one.listing_ids, one.spans, one.successor_ids, one.entries) for one in found]


async def stored(url):
    """(instruments and listings by id, open assertions), as they are in Postgres."""
    plain = url.replace("postgresql+asyncpg", "postgresql")
    connection = await asyncpg.connect(plain)
    try:
        bodies = await connection.fetch(
            "SELECT kind, body FROM instrument.entity WHERE revision_to IS NULL AND kind IN (1, 2)"
        )
        rows = await connection.fetch("SELECT * FROM instrument.identifier WHERE closed_revision IS NULL")
    finally:
        await connection.close()
    instruments = [wire.Instrument.FromString(row["body"]) for row in bodies if row["kind"] == 1]
    listings = [wire.Listing.FromString(row["body"]) for row in bodies if row["kind"] == 2]
    return {one.instrument_id: one for one in instruments}, {one.listing_id: one for one in listings}, rows


def check(instruments, listings, rows):
    """Messages and assertions say the same."""
    borne = {one: Counter() for one in instruments}
    symbols = {one: [] for one in listings}
    for row in rows:
        if row["scheme"] == 14 and row["target_kind"] == 2:
            symbols[row["target_id"]].append(row)
            assert row["instrument_id"] == listings[row["target_id"]].instrument_id
        else:
            borne[row["instrument_id"]][row["scheme"], row["value"], row["venue"], row["valid_to"]] += 1
    for who, instrument in instruments.items():
        said = Counter()
        for one in instrument.identifiers:
            key = truth_key(one.scheme, one.value, one.venue)
            end = one.valid_to.ToDatetime(tzinfo=UTC) if one.HasField("valid_to") else None
            said[key.scheme, key.value, key.venue, end] += 1
        assert said == borne[who], who
        if instrument.merged_into:
            assert not said
            assert instrument.successor_ids == [instrument.merged_into]
            assert instruments[instrument.merged_into]
            assert not [one for one in listings.values() if one.instrument_id == who]
    now = datetime.now(UTC)
    for one, listing in listings.items():
        current = [row for row in symbols[one] if row["valid_to"] is None or row["valid_to"] > now]
        if listing.status == wire.LISTING_STATUS_DELISTED:
            assert not current, one
        else:
            assert [row["value"] for row in current] == [listing.symbol], (one, listing)
        spans = sorted((row["valid_from"] or START - timedelta(days=9999), row["valid_to"]) for row in symbols[one])
        for (_, end), (start, _) in pairwise(spans):
            assert end is not None
            assert end <= start


@pytest.mark.parametrize("seed", [int(one) for one in os.environ.get("SEEDS", "0 1").split()])
async def test_whatever_happens_messages_and_assertions_agree_and_the_known_stays(registry, entries, seed):
    run = Run(registry, entries, seed)
    for number in range(100):
        await run.step()
        if number % 4 == 0:
            check(*await stored(registry.database_url))
        if number % 20 == 10:
            await run.remember()
    check(*await stored(registry.database_url))
    for options, before in run.kept:
        assert await run.answers(options) == before
    assert run.done["register"] > 10
