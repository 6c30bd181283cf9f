"""Registration: what is created, extended, left alone, refused, and kept in a case."""

from __future__ import annotations

import pytest

from alphapulse.api.common.v1 import common_pb2 as common
from alphapulse.api.instrument.v1 import instrument_pb2 as wire
from alphapulse.api.instrument.v1 import instrument_service_pb2 as service
from alphapulse.domain import errors
from alphapulse.domain.ids import sha256

CREATED = service.REGISTRATION_OUTCOME_CREATED
EXTENDED = service.REGISTRATION_OUTCOME_EXTENDED
UNCHANGED = service.REGISTRATION_OUTCOME_UNCHANGED
COLLISION = service.REGISTRATION_OUTCOME_COLLISION
REFUSED = service.REGISTRATION_OUTCOME_REFUSED


def entry(instrument, *listings):
    return service.InstrumentEntry(instrument=instrument, listings=listings)


async def stream(registry, *batches, **write):
    """The answers to batches sent on one stream."""
    requests = [
        service.RegisterInstrumentsRequest(batch_id=at, entries=batch, write=common.WriteOptions(**write))
        for at, batch in enumerate(batches, start=1)
    ]
    return [answer async for answer in registry.stub.RegisterInstruments(iter(requests))]


async def cases(registry, **wanted):
    return (await registry.stub.ListCollisionCases(service.ListCollisionCasesRequest(**wanted))).cases


async def test_create_then_unchanged_then_extended(registry, entries):
    isin = entries.isin(1)
    listing = entries.listing("XETR", "ABC")
    first = await registry.register(entries.equity(isin), listing)
    assert first.outcome == CREATED
    assert first.entry.listings[0].listing_key == int(first.entry.listings[0].listing_id[:16], 16)
    assert first.entry.listings[0].definition_version == 1
    again = await registry.register(entries.equity(isin), listing)
    assert again.outcome == UNCHANGED
    assert again.entry == first.entry
    more = await registry.register(entries.equity(isin, source="another"), entries.listing("XPAR", "ABC"))
    assert more.outcome == EXTENDED
    assert len(more.entry.listings) == 2
    assert more.entry.instrument.source == "test"
    found = await registry.isin(isin)
    assert found.outcome == common.LOOKUP_OUTCOME_RESOLVED
    assert found.entries[0] == more.entry


async def test_what_is_empty_is_filled_and_nothing_is_overwritten(registry, entries):
    isin = entries.isin(2)
    await registry.register(entries.equity(isin, name="First Light AG"))
    filled = await registry.register(
        entries.equity(isin, name="First Light Aktiengesellschaft", details={"country": "DE", "currency": "USD"})
    )
    assert filled.outcome == EXTENDED
    held = filled.entry.instrument
    assert (held.name, held.equity.country, held.equity.currency) == ("First Light AG", "DE", "EUR")


async def test_coins_before_their_pair_in_one_batch(registry, entries):
    batch = [
        entry(entries.coin("BTC")),
        entry(entries.coin("USDT")),
        entry(entries.pair("BTC", "USDT"), entries.listing("BINANCE", "BTCUSDT", currency="USDT")),
        entry(entries.pair("ETH", "USDT")),
    ]
    (answer,) = await stream(registry, batch)
    assert [one.outcome for one in answer.results] == [CREATED, CREATED, CREATED, REFUSED]
    assert answer.results[2].instrument_id == entries.pair_id("BTC", "USDT")
    broken = answer.results[3].error.violations
    assert [(one.field, one.rule) for one in broken] == [
        ("entries[3].instrument.spot_pair.base_id", "reference-unknown")
    ]
    found = await registry.symbol("BTCUSDT", "BINANCE")
    assert found.outcome == common.LOOKUP_OUTCOME_RESOLVED
    assert found.listing_ids == list(answer.results[2].listing_ids)


async def test_a_reference_of_the_wrong_class(registry, entries):
    share = await registry.register(entries.equity(entries.isin(3)))
    await registry.register(entries.coin("USDT"))
    pair = entries.pair("BTC", "USDT")
    pair.spot_pair.base_id = share.entry.instrument.instrument_id
    error = await registry.refused(registry.register(pair))
    assert isinstance(error, errors.ReferenceWrongClass)
    assert error.violations[0].field == "instrument.spot_pair.base_id"


async def test_every_violation_at_once_with_its_path(registry, entries):
    bad = entries.equity("US0378331006", name="x" * 600, details={"currency": "XYZ", "country": "ZZ"})
    error = await registry.refused(
        registry.register(bad, entries.listing("XETR", "A"), entries.listing("no venue", "", currency="eur"))
    )
    assert isinstance(error, errors.InvalidArgument)
    assert {(one.field, one.rule) for one in error.violations} >= {
        ("instrument.name", "text-length"),
        ("instrument.identifiers[0].value", "isin-check-digit"),
        ("instrument.equity.currency", "currency-unknown"),
        ("instrument.equity.country", "country-unknown"),
        ("listings[1].venue", "venue-format"),
        ("listings[1].symbol", "exchange-symbol-length"),
        ("listings[1].currency", "currency-code"),
    }


@pytest.mark.parametrize(
    ("change", "field", "rule"),
    [
        (lambda m: setattr(m, "asset_class", 99), "instrument.asset_class", "enum-unknown"),
        (lambda m: setattr(m, "asset_class", 0), "instrument.asset_class", "required"),
        (lambda m: m.ClearField("equity"), "instrument.equity", "details-class"),
        (lambda m: m.bond.SetInParent(), "instrument.equity", "details-class"),
        (lambda m: m.ClearField("identifiers"), "instrument.identifiers", "required"),
        (lambda m: m.identifiers.add(scheme=77, value="x"), "instrument.identifiers[1].scheme", "scheme-unknown"),
        (lambda m: m.identifiers.add(scheme=1, value="x", level=9), "instrument.identifiers[1].level", "enum-unknown"),
        (
            lambda m: m.identifiers.extend([wire.IdentifierAssertion(scheme=15, value="a")] * 300),
            "instrument.identifiers",
            "too-many",
        ),
        (lambda m: setattr(m.equity, "issuer_lei", "5493"), "instrument.equity.issuer_lei", "lei-length"),
    ],
)
async def test_refusals_name_field_and_rule(registry, entries, change, field, rule):
    bad = entries.equity(entries.isin(4))
    change(bad)
    error = await registry.refused(registry.register(bad))
    assert (field, rule) in {(one.field, one.rule) for one in error.violations}


async def test_the_cusip_of_another_isin_is_refused(registry, entries):
    bad = entries.equity("US0378331005", identifiers=[entries.identifier("CUSIP", "594918104")])
    error = await registry.refused(registry.register(bad))
    assert [(one.field, one.rule) for one in error.violations] == [
        ("instrument.identifiers[1].value", "derived-id-mismatch")
    ]


async def test_a_cusip_that_contradicts_the_isin_held_opens_a_case(registry, entries):
    figi = entries.identifier("FIGI", "BBG000B9XRY4")
    share = entries.equity("US0378331005")
    share.identifiers.insert(0, figi)
    del share.identifiers[1]
    first = await registry.register(share)  # known by its FIGI alone
    mask = {"paths": ["identifiers"]}
    changed = wire.Instrument(instrument_id=first.entry.instrument.instrument_id, identifiers=[figi])
    changed.identifiers.add(scheme=common.IDENTIFIER_SCHEME_ISIN, value="US0378331005")
    await registry.stub.UpdateInstrument(service.UpdateInstrumentRequest(instrument=changed, update_mask=mask))
    share.identifiers.add(scheme=common.IDENTIFIER_SCHEME_CUSIP, value="594918104")
    answer = await registry.register(share)
    assert answer.outcome == COLLISION
    (case,) = await cases(registry)
    assert case.kind == wire.COLLISION_KIND_DERIVED_ID_MISMATCH
    assert case.identifier.value == "594918104"
    assert [one.value for one in answer.entry.instrument.identifiers] == ["BBG000B9XRY4", "US0378331005"]


async def test_a_name_of_ten_megabytes_is_refused_by_its_length(registry, entries):
    error = await registry.refused(registry.register(entries.equity(entries.isin(5), name="x" * 10_000_000)))
    assert isinstance(error, errors.InvalidArgument)
    (violation,) = error.violations
    assert (violation.field, violation.rule) == ("instrument.name", "text-length")
    assert len(violation.value) <= 200


async def test_one_bad_item_among_a_thousand(registry, entries):
    batch = [entry(entries.equity(entries.isin(n))) for n in range(1000)]
    batch[500].instrument.identifiers[0].value = "DE0000000000"
    (answer,) = await stream(registry, batch)
    assert answer.batch_id == 1
    assert [at for at, one in enumerate(answer.results) if one.outcome != CREATED] == [500]
    error = answer.results[500].error
    assert error.reason == "INVALID_ARGUMENT"
    assert error.violations[0].field == "entries[500].instrument.identifiers[0].value"
    values = [entries.isin(n) for n in range(1000) if n != 500]
    found = await registry.stub.BatchLookup(service.BatchLookupRequest(scheme=1, values=values))
    assert {one.outcome for one in found.results} == {common.LOOKUP_OUTCOME_RESOLVED}


async def test_batches_are_answered_in_order_and_see_those_before(registry, entries):
    batches = [
        [entry(entries.coin("USDT"))],
        *[[entry(entries.coin(f"C{n}")), entry(entries.pair(f"C{n}", "USDT"))] for n in range(20)],
        [entry(entries.pair("C19", "C0"))],
    ]
    answers = await stream(registry, *batches)
    assert [one.batch_id for one in answers] == list(range(1, 23))
    assert {result.outcome for one in answers for result in one.results} == {CREATED}


async def test_the_same_request_id_gives_the_same_answer_and_refuses_another_body(registry, entries):
    share = entries.equity(entries.isin(6))
    first = await registry.register(share, request_id="one")
    assert await registry.register(share, request_id="one") == first
    error = await registry.refused(registry.register(entries.equity(entries.isin(7)), request_id="one"))
    assert isinstance(error, errors.RequestIdReused)
    assert (await registry.isin(entries.isin(7))).outcome == common.LOOKUP_OUTCOME_NOT_FOUND


async def test_a_replayed_batch_gives_its_first_answer(registry, entries):
    batch = [entry(entries.equity(entries.isin(8)), entries.listing("XETR", "H"))]
    (first,) = await stream(registry, batch, request_id="batch")
    (again,) = await stream(registry, batch, request_id="batch")
    assert again == first
    assert again.results[0].outcome == CREATED


async def test_validate_only_writes_nothing(registry, entries):
    answer = await registry.register(entries.equity(entries.isin(9)), validate_only=True)
    assert answer.outcome == CREATED
    assert (await registry.isin(entries.isin(9))).outcome == common.LOOKUP_OUTCOME_NOT_FOUND


async def test_an_identifier_held_by_another_opens_a_case_and_overwrites_nothing(registry, entries):
    isin = entries.isin(10)
    first = await registry.register(entries.equity(isin))
    rival = entries.equity(isin, name="A fund with the same ISIN")
    rival.asset_class = common.ASSET_CLASS_ETF
    rival.etf.currency = "EUR"
    answer = await registry.register(rival, entries.listing("XETR", "RIV"))
    assert answer.outcome == COLLISION
    assert not answer.HasField("entry")
    found = await registry.isin(isin)
    assert found.outcome == common.LOOKUP_OUTCOME_RESOLVED
    assert found.entries[0].instrument == first.entry.instrument
    assert answer.collision_case_id in found.explanation
    (case,) = await cases(registry, instrument_id=first.entry.instrument.instrument_id)
    assert case.case_id == answer.collision_case_id
    assert case.challenger.name == "A fund with the same ISIN"
    assert case.challenger_listings[0].symbol == "RIV"
    assert case.identifier.value == isin
    again = await registry.register(rival, entries.listing("XETR", "RIV"))
    assert again.collision_case_id == case.case_id
    assert len(await cases(registry)) == 1
    read = await registry.stub.GetCollisionCase(service.GetCollisionCaseRequest(case_id=case.case_id))
    assert (read.collision_case.sightings, read.collision_case.etag) == (2, case.etag)


async def test_a_symbol_that_lists_another_is_kept_in_a_case_and_the_rest_is_registered(registry, entries):
    await registry.register(entries.equity(entries.isin(11)), entries.listing("XETR", "SYM"))
    answer = await registry.register(
        entries.equity(entries.isin(12)), entries.listing("XETR", "SYM"), entries.listing("XPAR", "SYM")
    )
    assert answer.outcome == COLLISION
    assert [one.venue for one in answer.entry.listings] == ["XPAR"]
    (case,) = await cases(registry)
    assert case.kind == wire.COLLISION_KIND_TICKER_REUSE
    assert [one.venue for one in case.challenger_listings] == ["XETR"]
    found = await registry.symbol("SYM", "XETR")
    assert found.outcome == common.LOOKUP_OUTCOME_RESOLVED
    assert found.entries[0].instrument.identifiers[0].value == entries.isin(11)
    anywhere = await registry.symbol("SYM")
    assert anywhere.outcome == common.LOOKUP_OUTCOME_AMBIGUOUS
    assert len(anywhere.entries) == 2


async def test_colliding_ids_get_a_salt_each_and_stay_apart(start_registry, entries):
    # One byte of the hash: among a few dozen entries many meet, instruments and listings alike.
    registry = await start_registry(digest=lambda data: b"\x01" + bytes(6) + sha256(data)[:1] + bytes(8))
    count = 40
    batch = [entry(entries.equity(entries.isin(n)), entries.listing("XETR", f"S{n}")) for n in range(count)]
    (answer,) = await stream(registry, batch)
    assert {one.outcome for one in answer.results} == {CREATED, COLLISION}
    assert len({one.instrument_id for one in answer.results}) == count
    assert len({one.listing_ids[0] for one in answer.results}) == count
    for n, result in enumerate(answer.results):
        found = await registry.isin(entries.isin(n))
        assert found.outcome == common.LOOKUP_OUTCOME_RESOLVED
        assert found.entries[0].instrument.instrument_id == result.instrument_id
        assert found.entries[0].listings[0].listing_id == result.listing_ids[0]
    (again,) = await stream(registry, batch)
    assert {one.outcome for one in again.results} == {UNCHANGED}
    assert [one.instrument_id for one in again.results] == [one.instrument_id for one in answer.results]
    opened = await cases(registry, page_size=1000)
    assert {one.kind for one in opened} == {wire.COLLISION_KIND_SAME_ID_TWO_ENTITIES}


async def test_the_same_source_corrects_its_rules_and_another_one_does_not(registry, entries):
    isin = entries.isin(13)
    tick = lambda n: {"rules": wire.TradingRules(tick_size=common.Decimal(mantissa=n, exponent=-2))}  # noqa: E731
    await registry.register(entries.equity(isin), entries.listing("XETR", "T", **tick(1)))
    other = await registry.register(entries.equity(isin, source="other"), entries.listing("XETR", "T", **tick(5)))
    assert other.outcome == UNCHANGED
    same = await registry.register(entries.equity(isin), entries.listing("XETR", "T", **tick(2)))
    assert same.outcome == EXTENDED
    (listing,) = same.entry.listings
    assert (listing.rules.tick_size.mantissa, listing.definition_version) == (2, 2)
    filled = wire.TradingRules(lot_size=common.Decimal(mantissa=1))
    added = await registry.register(entries.equity(isin, source="other"), entries.listing("XETR", "T", rules=filled))
    assert added.entry.listings[0].definition_version == 3
    assert added.entry.listings[0].rules.tick_size.mantissa == 2
    found = await registry.isin(isin)
    assert found.entries[0].listings[0] == added.entry.listings[0]


async def test_two_replicas_one_truth(start_registry, entries):
    one, two = await start_registry(), await start_registry()
    isin = entries.isin(14)
    assert (await two.isin(isin)).outcome == common.LOOKUP_OUTCOME_NOT_FOUND
    answer = await one.register(entries.equity(isin))
    read = common.ReadOptions(at_least_as_fresh=answer.revision_token)
    assert (await two.isin(isin, read=read)).outcome == common.LOOKUP_OUTCOME_RESOLVED
    assert (await two.isin(isin)).outcome == common.LOOKUP_OUTCOME_RESOLVED


async def test_identifiers_added_bit_by_bit_are_bounded_too(registry, entries):
    isin = entries.isin(15)
    for part in range(2):
        more = [entries.identifier("OWN", f"own-{n}") for n in range(part * 150, part * 150 + 150)]
        call = registry.register(entries.equity(isin, identifiers=more))
        if part == 0:
            assert (await call).outcome == CREATED
    error = await registry.refused(call)
    assert [(one.field, one.rule) for one in error.violations] == [("instrument.identifiers", "too-many")]
