"""Look-ups of every scheme and by id, alone and in a batch: each outcome with its evidence, each option honoured alike."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from alphapulse.api.common.v1 import common_pb2 as common
from alphapulse.api.instrument.v1 import instrument_pb2 as wire
from alphapulse.api.instrument.v1 import instrument_service_pb2 as service

RESOLVED = common.LOOKUP_OUTCOME_RESOLVED
AMBIGUOUS = common.LOOKUP_OUTCOME_AMBIGUOUS
RETIRED = common.LOOKUP_OUTCOME_RETIRED
REUSED = common.LOOKUP_OUTCOME_REUSED
NOT_FOUND = common.LOOKUP_OUTCOME_NOT_FOUND
INVALID = common.LOOKUP_OUTCOME_INVALID
LEI = "529900T8BM49AURSDO55"
CAIP19 = "eip155:1/erc20:0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"


def stamp(moment: datetime) -> Timestamp:
    message = Timestamp()
    message.FromDatetime(moment.astimezone(UTC).replace(tzinfo=None))
    return message


def item(scheme: str, value: str, venue: str = "") -> service.LookupItem:
    return service.LookupItem(
        scheme=common.IdentifierScheme.Value(f"IDENTIFIER_SCHEME_{scheme}"), value=value, venue=venue
    )


async def batch(registry, *items: service.LookupItem, **options) -> list[service.LookupResult]:
    """The answers of a batch, each of which the same question alone answers likewise."""
    request = service.BatchLookupRequest(items=items)
    if options:
        request.options.CopyFrom(service.LookupOptions(**options))
    found = list((await registry.stub.BatchLookup(request)).results)
    for one, result in zip(items, found, strict=True):
        alone = service.LookupRequest(item=one)
        if options:
            alone.options.CopyFrom(service.LookupOptions(**options))
        answer = (await registry.stub.Lookup(alone)).result
        if answer.HasField("violation"):
            answer.violation.field = result.violation.field  # the one path is item, the other items[n]
        assert answer == result
    return found


async def token(registry, entries) -> str:
    """Registers a token of a chain; its id."""
    details = wire.TokenDetails(chain="eip155:1", address=CAIP19.rpartition(":")[2], decimals=6)
    instrument = wire.Instrument(
        asset_class=common.ASSET_CLASS_TOKEN,
        name="USD Coin",
        source="test",
        token=details,
        identifiers=[entries.identifier("CAIP19", CAIP19)],
    )
    return (await registry.register(instrument)).entry.instrument.instrument_id


async def test_every_scheme_alone_and_in_one_batch_with_all_identifiers(registry, entries):
    names = {
        "ISIN": "US0378331005",
        "CUSIP": "037833100",
        "FIGI": "BBG000B9XRY4",
        "LEI": LEI,
        "RIC": "AAPL.OQ",
        "OWN": "house-1",
        "TICKER": "AAPL",
        "CAIP19": CAIP19,
    }
    own = [
        entries.identifier(scheme, value, venue="XNAS" if scheme == "TICKER" else "")
        for scheme, value in names.items()
        if scheme not in ("ISIN", "CAIP19")
    ]
    share = entries.equity(names["ISIN"], identifiers=own)
    held = (await registry.register(share, entries.listing("XNAS", "AAPL", currency="USD"))).entry
    coin = await token(registry, entries)
    questions = [item(scheme, value) for scheme, value in names.items()]
    questions += [item("TICKER", "AAPL", "XNAS"), item("EXCHANGE_SYMBOL", "AAPL", "XNAS")]
    questions += [
        service.LookupItem(instrument_id=held.instrument.instrument_id),
        service.LookupItem(listing_id=held.listings[0].listing_id),
        item("ISIN", "US0378331006"),
        item("FIGI", "BBG000BLNNH6"),
    ]
    found = await batch(registry, *questions)
    assert [one.outcome for one in found] == [RESOLVED] * 12 + [INVALID, NOT_FOUND]
    for one, question in zip(found[:12], questions, strict=False):
        wanted = coin if question.value == CAIP19 else held.instrument.instrument_id
        assert [each.instrument.instrument_id for each in one.entries] == [wanted]
        if wanted != coin:
            shown = {(each.scheme, each.value) for each in one.entries[0].instrument.identifiers}
            assert {(each.scheme, each.value) for each in held.instrument.identifiers} == shown
            assert one.entries[0] == held
    assert [one.value for one in held.instrument.identifiers] == [names["ISIN"], *(one.value for one in own)]
    assert list(found[9].listing_ids) == list(found[11].listing_ids) == [held.listings[0].listing_id]
    # The same again, now from the cache, and the fast form of one scheme.
    assert await batch(registry, *questions) == found
    for scheme in ("ISIN", "CUSIP", "FIGI", "LEI", "RIC", "OWN"):
        number = common.IdentifierScheme.Value(f"IDENTIFIER_SCHEME_{scheme}")
        fast = service.BatchLookupRequest(scheme=number, values=[names[scheme]] * 3)
        at = list(names).index(scheme)
        assert list((await registry.stub.BatchLookup(fast)).results) == [found[at]] * 3


async def test_what_names_no_instrument_says_where_to_ask(registry):
    found = await batch(registry, item("MIC", "XNAS"), item("CFI", "ESVUFR"), item("CAIP2", "eip155:1"))
    assert {one.outcome for one in found} == {INVALID}
    assert {one.violation.rule for one in found} == {"scheme-names-no-instrument"}
    assert "venue registry" in found[0].violation.description


async def test_each_item_is_for_itself_and_names_its_own_fields(registry, entries):
    await registry.register(entries.equity(entries.isin(1)), entries.listing("XETR", "ONE"))
    found = await batch(
        registry,
        item("ISIN", entries.isin(1)),
        item("LEI", "nonsense"),
        service.LookupItem(),
        service.LookupItem(scheme=77, value="x"),
        item("EXCHANGE_SYMBOL", "ONE", "A/B"),
        service.LookupItem(instrument_id="xyz"),
        service.LookupItem(listing_id="0" * 32),
        service.LookupItem(instrument_id="1" * 32, value="both"),
        service.LookupItem(instrument_id="1" * 32, listing_id="1" * 32),
        service.LookupItem(instrument_id="1" * 32),
        service.LookupItem(listing_id="1" * 32),
        item("EXCHANGE_SYMBOL", "ONE", "XETR"),
    )
    assert [one.outcome for one in found] == [RESOLVED] + [INVALID] * 8 + [NOT_FOUND] * 2 + [RESOLVED]
    assert [(one.violation.field, one.violation.rule) for one in found[1:9]] == [
        ("items[1].value", "lei-length"),
        ("items[2].scheme", "scheme-unknown"),
        ("items[3].scheme", "scheme-unknown"),
        ("items[4].venue", "venue-format"),
        ("items[5].instrument_id", "id-format"),
        ("items[6].listing_id", "id-key-zero"),
        ("items[7].instrument_id", "one-of"),
        ("items[8].instrument_id", "one-of"),
    ]


async def test_an_lei_names_the_issuer_of_several_instruments(registry, entries):
    for number in (1, 2):
        lei = entries.identifier("LEI", LEI)
        await registry.register(entries.equity(entries.isin(number), f"Share {number}", identifiers=[lei]))
    (found,) = await batch(registry, item("LEI", LEI))
    assert found.outcome == AMBIGUOUS
    assert {one.instrument.name for one in found.entries} == {"Share 1", "Share 2"}
    assert {one.instrument_id for one in found.spans} == {one.instrument.instrument_id for one in found.entries}
    assert "2 instruments" in found.explanation


async def test_a_ticker_by_date_and_venue(registry, entries):
    zero = datetime(2020, 1, 1, tzinfo=UTC)
    turn = zero + timedelta(days=100)
    first = entries.identifier("TICKER", "META", venue="XNAS", valid_to=stamp(turn))
    second = entries.identifier("TICKER", "META", venue="XNAS", valid_from=stamp(turn))
    await registry.register(entries.equity(entries.isin(1), "Old", identifiers=[first]))
    await registry.register(entries.equity(entries.isin(2), "New", identifiers=[second]))
    for question in (item("TICKER", "META", "XNAS"), item("TICKER", "META")):
        (reused,) = await batch(registry, question)
        assert reused.outcome == REUSED
        assert [one.HasField("valid_to") for one in reused.spans] == [True, False]
        for at, name in ((zero, "Old"), (turn - timedelta(microseconds=1), "Old"), (turn, "New")):
            (found,) = await batch(registry, question, as_of=stamp(at))
            assert (found.outcome, found.entries[0].instrument.name) == (RESOLVED, name)


async def test_both_times_hold_for_every_way_to_ask(registry, entries):
    isin = entries.isin(1)
    start = stamp(datetime(2021, 1, 1, tzinfo=UTC))
    held = (await registry.register(entries.equity(isin), entries.listing("XETR", "OLD", valid_from=start))).entry
    known = held.listings[0].update_time
    later = wire.Instrument(instrument_id=held.instrument.instrument_id, name="Renamed since")
    await registry.stub.UpdateInstrument(
        service.UpdateInstrumentRequest(instrument=later, update_mask={"paths": ["name"]})
    )
    questions = [
        item("ISIN", isin),
        item("EXCHANGE_SYMBOL", "OLD", "XETR"),
        service.LookupItem(instrument_id=held.instrument.instrument_id),
        service.LookupItem(listing_id=held.listings[0].listing_id),
    ]
    assert {one.entries[0].instrument.name for one in await batch(registry, *questions)} == {"Renamed since"}
    then = await batch(registry, *questions, known_at=known)
    assert {one.entries[0].instrument.name for one in then} == {"Some company"}
    nobody = await batch(registry, *questions, known_at=stamp(datetime(2000, 1, 1, tzinfo=UTC)))
    assert {one.outcome for one in nobody} == {NOT_FOUND}
    early = await batch(registry, *questions, as_of=stamp(datetime(2020, 1, 1, tzinfo=UTC)))
    assert [one.outcome for one in early] == [RESOLVED, NOT_FOUND, RESOLVED, NOT_FOUND]
    assert not early[0].entries[0].listings
    for at, shown in ((2020, 0), (2022, 1)):
        as_of = stamp(datetime(at, 1, 1, tzinfo=UTC))
        request = service.GetInstrumentRequest(instrument_id=held.instrument.instrument_id, as_of=as_of, known_at=known)
        entry = (await registry.stub.GetInstrument(request)).entry
        assert (entry.instrument.name, len(entry.listings)) == ("Some company", shown)


async def test_ids_of_what_is_gone_are_retired_with_the_reason(registry, entries):
    held = (await registry.register(entries.equity(entries.isin(1)), entries.listing("XETR", "GONE"))).entry
    other = (await registry.register(entries.equity(entries.isin(2)))).entry.instrument.instrument_id
    by_listing = service.LookupItem(listing_id=held.listings[0].listing_id)
    by_id = service.LookupItem(instrument_id=held.instrument.instrument_id)
    before = stamp(datetime.now(UTC))
    delisted = wire.Listing(listing_id=held.listings[0].listing_id, status=wire.LISTING_STATUS_DELISTED)
    await registry.stub.UpdateListing(service.UpdateListingRequest(listing=delisted, update_mask={"paths": ["status"]}))
    found = await batch(registry, by_id, by_listing)
    assert [one.outcome for one in found] == [RESOLVED, RETIRED]
    assert found[1].spans[0].HasField("valid_to")
    retired = wire.Instrument(
        instrument_id=held.instrument.instrument_id, status=wire.INSTRUMENT_STATUS_RETIRED, successor_ids=[other]
    )
    paths = {"paths": ["status", "successor_ids"]}
    await registry.stub.UpdateInstrument(service.UpdateInstrumentRequest(instrument=retired, update_mask=paths))
    found = await batch(registry, by_id, item("ISIN", entries.isin(1)))
    assert [(one.outcome, list(one.successor_ids)) for one in found] == [(RETIRED, [other])] * 2
    assert all("is gone since" in one.explanation for one in found)
    assert [one.outcome for one in await batch(registry, by_id, by_listing, as_of=before)] == [RESOLVED] * 2


@pytest.mark.parametrize("primary_only", [False, True])
@pytest.mark.parametrize("venues", [(), ("XPAR",), ("XMIL", "XLON"), ("XMIL",)])
async def test_the_answer_says_by_which_rule_listings_were_chosen(registry, entries, primary_only, venues):
    isin = entries.isin(1)
    held = await registry.register(
        entries.equity(isin),
        entries.listing("XETR", "A", primary=True),
        entries.listing("XPAR", "B"),
        entries.listing("XLON", "C"),
    )
    questions = [item("ISIN", isin), service.LookupItem(instrument_id=held.entry.instrument.instrument_id)]
    for found in await batch(registry, *questions, primary_only=primary_only, preferred_venues=venues):
        assert found.outcome == RESOLVED
        shown = {one.venue for one in found.entries[0].listings}
        expected = {"XETR"} if primary_only else {"XETR", "XPAR", "XLON"}
        first = next((one for one in venues if one in expected), "")
        rules = []
        if primary_only:
            rules.append((wire_rule("PRIMARY_ONLY"), "", 3, 1))
        if venues and first:
            rules.append((wire_rule("PREFERRED_VENUE"), first, len(expected), 1))
        elif venues:
            rules.append((wire_rule("NO_PREFERRED_VENUE"), "", len(expected), len(expected)))
        assert shown == ({first} if first else expected)
        assert [(one.rule, one.venue, one.considered, one.kept) for one in found.choices] == rules
        assert {one.instrument_id for one in found.choices} <= {held.entry.instrument.instrument_id}
        assert len(found.explanation.split("; ")) == max(1, len(rules))


def wire_rule(name: str) -> int:
    return service.ListingRule.Value(f"LISTING_RULE_{name}")


async def test_a_preference_never_silences_a_holder_that_no_rule_left_out(registry, entries):
    """A ticker of one instrument everywhere, and of another on one venue: preferring the venue does not settle who bears it."""
    everywhere = entries.identifier("TICKER", "ABC")
    there = entries.identifier("TICKER", "ABC", venue="XPAR")
    await registry.register(entries.equity(entries.isin(1), identifiers=[everywhere]))
    await registry.register(entries.equity(entries.isin(2), identifiers=[there]), entries.listing("XPAR", "ABC"))
    (found,) = await batch(registry, item("TICKER", "ABC"))
    assert found.outcome == AMBIGUOUS
    (preferred,) = await batch(registry, item("TICKER", "ABC"), preferred_venues=["XPAR"])
    assert preferred.outcome == AMBIGUOUS
    assert len(preferred.entries) == 2


async def test_known_at_without_a_question_that_is_well_formed_still_honours_the_read(registry):
    read = common.ReadOptions(at_least_as_fresh="damaged")
    request = service.BatchLookupRequest(items=[item("ISIN", "x")], options=service.LookupOptions(read=read))
    error = await registry.refused(registry.stub.BatchLookup(request))
    assert error.violations[0].field == "read.at_least_as_fresh"
