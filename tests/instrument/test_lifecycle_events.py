"""Lifecycle events: names, symbols, identifiers, mergers, spin-offs, delistings, halts; on both time axes."""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from instrument.events import (
    COLLISION,
    LATEST,
    NOT_FOUND,
    RESOLVED,
    RETIRED,
    REUSED,
    UNCHANGED,
    day,
    get,
    history,
    ids,
    kinds,
    listed,
    record,
    stamp,
)

from alphapulse.api.common.v1 import common_pb2 as common
from alphapulse.api.instrument.v1 import instrument_pb2 as wire
from alphapulse.api.instrument.v1 import instrument_service_pb2 as service


async def test_a_name_changes_and_the_new_one_is_no_collision(registry, entries):
    held = (await listed(registry, entries, 1, name="Facebook Inc")).instrument
    answer = await record(
        registry,
        day(2021, 10, 28),
        instrument_id=held.instrument_id,
        name_change=wire.NameChange(new_name="Meta Platforms"),
    )
    assert (answer.event.name_change.old_name, answer.event.actor) == ("Facebook Inc", "ann")
    assert answer.entries[0].instrument.name == "Meta Platforms"
    for name in ("Facebook Inc", "Meta Platforms Inc"):
        again = await registry.register(entries.equity(entries.isin(1), name=name))
        assert again.outcome == UNCHANGED
    assert (await get(registry, held.instrument_id, as_of=day(2021))).instrument.name == "Facebook Inc"
    assert (await get(registry, held.instrument_id, as_of=day(2022))).instrument.name == "Meta Platforms"


async def test_a_name_recorded_late_stands_before_the_later_one(registry, entries):
    held = (await listed(registry, entries, 2, name="First Works")).instrument.instrument_id
    await record(registry, day(2020), instrument_id=held, name_change=wire.NameChange(new_name="Third Works"))
    before = datetime.now(UTC)
    await record(registry, day(2010), instrument_id=held, name_change=wire.NameChange(new_name="Second Works"))
    entry = await get(registry, held)
    assert entry.instrument.name == "Third Works"
    changes = [(one.name_change.old_name, one.name_change.new_name) for one in entry.instrument.events]
    assert changes == [("First Works", "Second Works"), ("Second Works", "Third Works")]
    known = await get(registry, held, known_at=stamp(before))
    assert [one.name_change.old_name for one in known.instrument.events] == ["First Works"]


async def test_a_ticker_change_keeps_the_listing_and_history(registry, entries):
    ticker = entries.identifier("TICKER", "FB", venue="XNAS")
    listing = entries.listing("XNAS", "FB", currency="USD", valid_from=day(2012, 5, 18))
    entry = await listed(registry, entries, 3, listing, name="Facebook Inc", identifiers=[ticker])
    listing_id, who = entry.listings[0].listing_id, entry.instrument.instrument_id
    before = datetime.now(UTC)
    answer = await record(
        registry, day(2022, 6, 9), listing_id=listing_id, symbol_change=wire.SymbolChange(new_symbol="META")
    )
    (now,) = answer.entries[0].listings
    assert (now.listing_id, now.symbol, now.definition_version) == (listing_id, "META", 2)
    assert answer.event.symbol_change.old_symbol == "FB"
    found = await registry.symbol("META", "XNAS", read=LATEST)
    assert (found.outcome, list(found.listing_ids)) == (RESOLVED, [listing_id])
    gone = await registry.symbol("FB", "XNAS", read=LATEST)
    assert (gone.outcome, ids(gone)) == (RETIRED, {who})
    assert gone.spans[0].valid_to == day(2022, 6, 9)
    then = await registry.symbol("FB", "XNAS", as_of=day(2020), read=LATEST)
    assert (then.outcome, list(then.listing_ids)) == (RESOLVED, [listing_id])
    assert (await registry.symbol("META", "XNAS", as_of=day(2020), read=LATEST)).outcome == NOT_FOUND
    known = await registry.symbol("FB", "XNAS", known_at=stamp(before))
    assert (known.outcome, known.entries[0].listings[0].symbol) == (RESOLVED, "FB")
    item = service.LookupItem(scheme=common.IDENTIFIER_SCHEME_TICKER, value="META", venue="XNAS")
    request = service.BatchLookupRequest(items=[item], options=service.LookupOptions(read=LATEST))
    assert ids((await registry.stub.BatchLookup(request)).results[0]) == {who}
    again = await registry.register(
        entries.equity(entries.isin(3), name="Facebook Inc"), entries.listing("XNAS", "META", currency="USD")
    )
    assert (again.outcome, len(again.entry.listings)) == (UNCHANGED, 1)


async def test_a_source_that_still_says_the_old_symbol_changes_nothing(registry, entries):
    entry = await listed(registry, entries, 4, entries.listing("XNAS", "FB"))
    await record(registry, day(2022), listing_id=entry.listings[0].listing_id, symbol_change={"new_symbol": "META"})
    stale = entries.listing("XNAS", "FB", status=wire.LISTING_STATUS_DELISTED)
    again = await registry.register(entries.equity(entries.isin(4), name="Alpha Works"), stale)
    assert again.outcome == UNCHANGED
    assert again.entry.listings[0].status == wire.LISTING_STATUS_TRADING
    assert ("listings[0].symbol", "META", "FB") in {(one.field, one.held, one.sent) for one in again.differences}
    other = await listed(registry, entries, 5, entries.listing("XNAS", "FB"), name="Another Bakery")
    assert other.listings[0].symbol == "FB"
    found = await registry.symbol("FB", "XNAS", read=LATEST)
    assert (found.outcome, len(found.entries)) == (REUSED, 2)
    contested = await registry.register(entries.equity(entries.isin(4), name="Alpha Works"), stale)
    assert contested.outcome == COLLISION


async def test_a_symbol_change_recorded_late_takes_its_place(registry, entries):
    entry = await listed(registry, entries, 6, entries.listing("XETR", "AAA"))
    listing_id = entry.listings[0].listing_id
    await record(registry, day(2020), listing_id=listing_id, symbol_change={"new_symbol": "CCC"})
    before = datetime.now(UTC)
    late = await record(registry, day(2010), listing_id=listing_id, symbol_change={"new_symbol": "BBB"})
    assert late.entries[0].listings[0].symbol == "CCC"
    for year, symbol in ((2005, "AAA"), (2015, "BBB"), (2021, "CCC")):
        for one in ("AAA", "BBB", "CCC"):
            found = await registry.symbol(one, "XETR", as_of=day(year), read=LATEST)
            assert (found.outcome == RESOLVED) == (one == symbol), (year, one)
    known = {"known_at": stamp(before)}
    assert (await registry.symbol("AAA", "XETR", as_of=day(2015), **known)).outcome == RESOLVED
    assert (await registry.symbol("BBB", "XETR", as_of=day(2015), **known)).outcome == NOT_FOUND


async def test_a_new_symbol_that_another_bears_is_refused(registry, entries):
    one = await listed(registry, entries, 7, entries.listing("XETR", "AAA"))
    two = await listed(registry, entries, 8, entries.listing("XETR", "BBB"), name="Another Bakery")
    change = {"listing_id": one.listings[0].listing_id, "symbol_change": {"new_symbol": "BBB"}}
    error = await registry.refused(record(registry, day(2022), **change))
    assert (error.reason, error.metadata["holder"]) == ("COLLISION", two.instrument.instrument_id)
    await record(registry, day(2021), listing_id=two.listings[0].listing_id, delisting={})
    await record(registry, day(2022), **change)
    found = await registry.symbol("BBB", "XETR", read=LATEST)
    assert found.outcome == REUSED
    assert ids(await registry.symbol("BBB", "XETR", as_of=day(2020), read=LATEST)) == {two.instrument.instrument_id}
    assert (await registry.symbol("BBB", "XETR", as_of=day(2021, 6), read=LATEST)).outcome == RETIRED
    assert ids(await registry.symbol("BBB", "XETR", as_of=day(2023), read=LATEST)) == {one.instrument.instrument_id}


async def test_an_isin_changes_with_its_cusip(registry, entries):
    old, new = "US0378331005", "US5949181045"
    cusip = entries.identifier("CUSIP", "037833100")
    held = (await registry.register(entries.equity(old, name="Alpha Works", identifiers=[cusip]))).entry.instrument
    who, before = held.instrument_id, datetime.now(UTC)
    isin = {"scheme": common.IDENTIFIER_SCHEME_ISIN, "old_value": old, "new_value": new}
    alone = record(registry, day(2021), instrument_id=who, identifier_change={"replacements": [isin]})
    error = await registry.refused(alone)
    assert [one.rule for one in error.violations] == ["derived-id-mismatch"]
    both = [isin, {"scheme": common.IDENTIFIER_SCHEME_CUSIP, "old_value": "037833100", "new_value": "594918104"}]
    answer = await record(registry, day(2021), instrument_id=who, identifier_change={"replacements": both})
    spans = {one.value: (one.valid_from, one.valid_to) for one in answer.entries[0].instrument.identifiers}
    assert spans[old] == (Timestamp(), day(2021))
    assert spans[new] == (day(2021), Timestamp())
    assert (await registry.isin(new, read=LATEST)).outcome == RESOLVED
    gone = await registry.isin(old, read=LATEST)
    assert (gone.outcome, ids(gone)) == (RETIRED, {who})
    assert (await registry.isin(old, as_of=day(2020), read=LATEST)).outcome == RESOLVED
    assert (await registry.isin(new, as_of=day(2020), read=LATEST)).outcome == NOT_FOUND
    assert (await registry.isin(old, known_at=stamp(before))).outcome == RESOLVED
    # Who still sends the old ISIN, and who knows the new one alone, mean the same instrument.
    for value in (old, new):
        again = await registry.register(entries.equity(value, name="Alpha Works"))
        assert (again.outcome, again.entry.instrument.instrument_id) == (UNCHANGED, who)


async def test_a_merger_retires_and_names_the_successor(registry, entries):
    target = await listed(registry, entries, 10, entries.listing("XETR", "TGT"), name="Target Works")
    buyer = await listed(registry, entries, 11, entries.listing("XETR", "BUY"), name="Buyer Holding")
    one, two = target.instrument.instrument_id, buyer.instrument.instrument_id
    before = datetime.now(UTC)
    answer = await record(registry, day(2023), instrument_id=one, merger={"successor_ids": [two]}, reason="1 for 2")
    assert {entry.instrument.instrument_id for entry in answer.entries} == {one, two}
    gone = await get(registry, one)
    assert (gone.instrument.status, list(gone.instrument.successor_ids)) == (wire.INSTRUMENT_STATUS_RETIRED, [two])
    assert not gone.instrument.merged_into
    assert (gone.listings[0].status, gone.listings[0].valid_to) == (wire.LISTING_STATUS_DELISTED, day(2023))
    assert list((await get(registry, two)).instrument.predecessor_ids) == [one]
    for found in (
        await registry.isin(entries.isin(10), read=LATEST),
        await registry.symbol("TGT", "XETR", read=LATEST),
    ):
        assert (found.outcome, ids(found), list(found.successor_ids)) == (RETIRED, {one}, [two])
    assert (await registry.isin(entries.isin(10), as_of=day(2022), read=LATEST)).outcome == RESOLVED
    assert (await registry.isin(entries.isin(10), as_of=day(2023), read=LATEST)).outcome == RETIRED
    assert (await registry.isin(entries.isin(10), known_at=stamp(before))).outcome == RESOLVED
    told = await history(registry, two)
    assert kinds(told.events) == ["merger"]
    assert [(step.predecessor_id, step.successor_id) for step in told.succession] == [(one, two)]
    assert told.succession[0].event.reason == "1 for 2"
    revisions = [change.revision for change in (await history(registry, one)).changes if change.actor == "ann"]
    commits = {
        change.commit_time.ToNanoseconds() for change in (await history(registry, one)).changes if change.actor == "ann"
    }
    assert len(revisions) == 2
    assert len(commits) == 1  # one commit


async def test_a_chain_of_succession_is_told_from_any_link(registry, entries):
    names = ["Bell Works", "Baby Bell Holding", "Telecom Bakery", "Spun Parts"]
    who = [
        (await listed(registry, entries, 20 + n, name=name)).instrument.instrument_id for n, name in enumerate(names)
    ]
    await record(registry, day(1990), instrument_id=who[0], spin_off={"spun_off_ids": [who[3]]})
    await record(registry, day(2000), instrument_id=who[0], merger={"successor_ids": [who[1]]})
    before = datetime.now(UTC)
    await record(registry, day(2010), instrument_id=who[1], merger={"successor_ids": [who[2]]})
    expected = [(who[0], who[3]), (who[0], who[1]), (who[1], who[2])]
    for one in who:
        told = await history(registry, one)
        assert [(step.predecessor_id, step.successor_id) for step in told.succession] == expected
    known = await history(registry, who[0], known_at=stamp(before))
    assert [(step.predecessor_id, step.successor_id) for step in known.succession] == expected[:2]
    assert (await get(registry, who[0])).instrument.status == wire.INSTRUMENT_STATUS_RETIRED
    assert (await get(registry, who[3])).instrument.status == wire.INSTRUMENT_STATUS_ACTIVE


async def test_delisted_and_relisted_with_a_gap(registry, entries):
    entry = await listed(registry, entries, 30, entries.listing("XETR", "AAA", valid_from=day(2010)))
    listing_id = entry.listings[0].listing_id
    await record(registry, day(2015), listing_id=listing_id, delisting={}, reason="insolvency")
    assert (await registry.symbol("AAA", "XETR", read=LATEST)).outcome == RETIRED
    early = record(registry, day(2014), listing_id=listing_id, relisting={})
    assert (await registry.refused(early)).violations[0].rule == "after-the-delisting"
    answer = await record(registry, day(2018), listing_id=listing_id, relisting={"symbol": "AAB"})
    (now,) = answer.entries[0].listings
    assert (now.symbol, now.status, now.HasField("valid_to")) == ("AAB", wire.LISTING_STATUS_TRADING, False)
    outcomes = {}
    for year in (2009, 2012, 2016, 2019):
        for symbol in ("AAA", "AAB"):
            found = await registry.symbol(symbol, "XETR", as_of=day(year), read=LATEST)
            outcomes[year, symbol] = found.outcome == RESOLVED
    assert {key for key, held in outcomes.items() if held} == {(2012, "AAA"), (2019, "AAB")}
    assert not (await get(registry, entry.instrument.instrument_id, as_of=day(2016))).listings
    then = (await get(registry, entry.instrument.instrument_id, as_of=day(2012))).listings
    assert [(one.symbol, one.status) for one in then] == [("AAA", wire.LISTING_STATUS_TRADING)]
    await record(registry, day(2020), listing_id=listing_id, delisting={})
    assert not (await get(registry, entry.instrument.instrument_id, as_of=day(2021))).listings
    assert (await registry.symbol("AAB", "XETR", as_of=day(2019), read=LATEST)).outcome == RESOLVED


async def test_an_entry_sent_again_does_not_undo_a_recorded_delisting_but_that_of_a_status(registry, entries):
    sent = entries.equity(entries.isin(39)), entries.listing("XETR", "AAA", status=wire.LISTING_STATUS_TRADING)
    (listing,) = (await registry.register(*sent)).entry.listings
    gone = wire.Listing(listing_id=listing.listing_id, status=wire.LISTING_STATUS_DELISTED)
    await registry.stub.UpdateListing(service.UpdateListingRequest(listing=gone, update_mask={"paths": ["status"]}))
    (again,) = (await registry.register(*sent)).entry.listings
    assert (again.status, again.events[0].recorded_as_event) == (wire.LISTING_STATUS_TRADING, False)
    status = wire.LISTING_STATUS_TRADING
    sent = entries.equity(entries.isin(40)), entries.listing("XETR", "BBB", status=status, valid_from=day(2010))
    (listing,) = (await registry.register(*sent)).entry.listings
    await record(registry, day(2015), listing_id=listing.listing_id, delisting={})
    answer = await registry.register(*sent)
    (still,) = answer.entry.listings
    assert (still.status, still.events[0].recorded_as_event) == (wire.LISTING_STATUS_DELISTED, True)
    assert [one.field for one in answer.differences] == ["listings[0].status"]
    await record(registry, day(2018), listing_id=listing.listing_id, relisting={})
    (back,) = (await registry.register(*sent)).entry.listings
    assert back.status == wire.LISTING_STATUS_TRADING


async def test_halts_have_reasons_and_late_ones_leave_today_alone(registry, entries):
    entry = await listed(registry, entries, 31, entries.listing("XNYS", "AAA"))
    listing_id, who = entry.listings[0].listing_id, entry.instrument.instrument_id
    await record(
        registry, day(2024), listing_id=listing_id, halt={"expected_resumption": day(2024, 1, 2)}, reason="LULD"
    )
    (halted,) = (await get(registry, who)).listings
    assert (halted.status, halted.events[0].reason) == (wire.LISTING_STATUS_HALTED, "LULD")
    error = await registry.refused(record(registry, day(2024, 1, 2), listing_id=listing_id, halt={}))
    assert error.reason == "FAILED_PRECONDITION"
    await record(registry, day(2024, 1, 3), listing_id=listing_id, resumption={})
    version = (await get(registry, who)).listings[0].definition_version
    await record(registry, day(2022), listing_id=listing_id, halt={}, reason="news pending")
    await record(registry, day(2022, 1, 2), listing_id=listing_id, resumption={})
    (now,) = (await get(registry, who)).listings
    assert (now.status, now.definition_version) == (wire.LISTING_STATUS_TRADING, version)
    assert kinds(now.events) == ["halt", "resumption", "halt", "resumption"]
    for at, status in ((day(2022), "HALTED"), (day(2023), "TRADING"), (day(2024), "HALTED"), (day(2025), "TRADING")):
        (then,) = (await get(registry, who, as_of=at)).listings
        assert wire.ListingStatus.Name(then.status) == f"LISTING_STATUS_{status}"
    told = await history(registry, who)
    assert [one.reason for one in told.events] == ["news pending", "", "LULD", ""]


async def test_every_way_to_change_a_status_is_an_event(registry, entries):
    entry = await listed(registry, entries, 32, entries.listing("XNYS", "AAA"))
    listing_id, who = entry.listings[0].listing_id, entry.instrument.instrument_id

    async def update(**fields):
        request = service.UpdateListingRequest(
            listing=wire.Listing(listing_id=listing_id, **fields),
            update_mask={"paths": list(fields)},
            reason="by hand",
            write=common.WriteOptions(actor="bob"),
        )
        await registry.stub.UpdateListing(request)

    await update(status=wire.LISTING_STATUS_HALTED)
    again = entries.listing("XNYS", "AAA", status=wire.LISTING_STATUS_TRADING)
    await registry.register(entries.equity(entries.isin(32), name="Alpha Works"), again)
    await update(status=wire.LISTING_STATUS_DELISTED)
    await update(valid_to=day(2020))
    await update(status=wire.LISTING_STATUS_TRADING)
    (now,) = (await get(registry, who)).listings
    assert kinds(now.events) == ["delisting", "halt", "resumption", "relisting"]
    assert now.events[0].effective_time == day(2020)
    assert [(one.actor, one.reason) for one in now.events][1] == ("bob", "by hand")
    assert now.events[2].source == "test"


async def test_events_are_recorded_once_with_their_preconditions(registry, entries):
    entry = await listed(registry, entries, 33, entries.listing("XNYS", "AAA"))
    listing_id = entry.listings[0].listing_id
    change = {"listing_id": listing_id, "symbol_change": {"new_symbol": "BBB"}}
    error = await registry.refused(record(registry, day(2020), write={"etag": "99999"}, **change))
    assert error.reason == "STALE_ETAG"
    dry = await record(registry, day(2020), write={"validate_only": True}, **change)
    assert dry.entries[0].listings[0].symbol == "BBB"
    assert (await registry.symbol("BBB", "XNYS", read=LATEST)).outcome == NOT_FOUND
    first = await record(registry, day(2020), write={"etag": entry.listings[0].etag, "request_id": "e1"}, **change)
    assert (
        await record(registry, day(2020), write={"etag": entry.listings[0].etag, "request_id": "e1"}, **change) == first
    )
    again = await record(registry, day(2020), **change)
    assert (again.already_recorded, again.event) == (True, first.event)
    assert len((await history(registry, entry.instrument.instrument_id)).events) == 1


async def test_everything_wrong_with_an_event_is_told_at_once(registry, entries):
    later = stamp(datetime.now(UTC) + timedelta(days=2))
    error = await registry.refused(record(registry, later, instrument_id="xyz", reason="r" * 600))
    assert {(one.field, one.rule) for one in error.violations} >= {
        ("event.event", "required"),
        ("event.effective_time", "not-yet"),
        ("event.reason", "text-length"),
    }
    error = await registry.refused(record(registry, None, delisting={}))
    assert {(one.field, one.rule) for one in error.violations} == {
        ("event.effective_time", "required"),
        ("event.listing_id", "required"),
    }
    entry = await listed(registry, entries, 34, entries.listing("XNYS", "AAA"))
    who, listing_id = entry.instrument.instrument_id, entry.listings[0].listing_id
    unknown = record(registry, day(2020), instrument_id=who, merger={"successor_ids": [who, "1" * 32, "x"]})
    assert [one.rule for one in (await registry.refused(unknown)).violations][:2] == ["not-itself", "reference-unknown"]
    bad = [{"scheme": 1, "old_value": entries.isin(35), "new_value": "DE000"}, {"scheme": 99}, {"scheme": 1}]
    changed = record(registry, day(2020), instrument_id=who, identifier_change={"replacements": bad})
    fields = [one.field.rpartition("replacements")[2] for one in (await registry.refused(changed)).violations]
    assert {one[:3] for one in fields} == {"[0]", "[1]", "[2]"}
    missing = record(registry, day(2020), listing_id="1" * 32, delisting={})
    assert (await registry.refused(missing)).reason == "NOT_FOUND"
    wrong = record(registry, day(2020), listing_id=listing_id, instrument_id="1" * 32, halt={})
    assert (await registry.refused(wrong)).violations[0].rule == "listing-instrument"


@pytest.mark.parametrize("name", ["fb", "bac", "googl", "qqq", "twx"])
async def test_every_date_of_a_ticker_history_resolves(registry, entries, reference_dir, name):
    """Recorded as a chain of symbol changes, each date answers the listing under the ticker it had, and under no other."""
    path = Path(reference_dir) / "ticker_history" / f"{name}.csv"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    rows = [
        (datetime.strptime(row[0], "%Y%m%d").replace(tzinfo=UTC), row[1])
        for row in csv.reader(path.read_text().splitlines())
    ]
    first, spans = rows[0][0], []
    start = first
    for until, ticker in rows[1:]:
        if spans and spans[-1][2] == ticker:
            spans[-1] = (spans[-1][0], until + timedelta(days=1), ticker)
        else:
            spans.append((start, until + timedelta(days=1), ticker))
        start = until + timedelta(days=1)
    listing = entries.listing("XNYS", spans[0][2], valid_from=stamp(first))
    entry = await listed(registry, entries, 40, listing)
    listing_id = entry.listings[0].listing_id
    for begin, _, ticker in spans[1:]:
        await record(registry, stamp(begin), listing_id=listing_id, symbol_change={"new_symbol": ticker})
    now = datetime.now(UTC)
    for begin, end, ticker in spans:
        for at in (begin, begin + (min(end, now) - begin) / 2, min(end, now) - timedelta(seconds=1)):
            for other in {span[2] for span in spans}:
                found = await registry.symbol(other, "XNYS", as_of=stamp(at), read=LATEST)
                assert (found.outcome == RESOLVED) == (other == ticker), (at, other)
    assert (await get(registry, entry.instrument.instrument_id)).listings[0].symbol == spans[-1][2]
