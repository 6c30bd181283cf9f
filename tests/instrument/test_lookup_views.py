"""The view of ids: for every scheme, outcome and option it is the full answer with the other fields left out, however it is asked for and
wherever it is answered from, and it never outlives the full one."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from alphapulse.api.common.v1 import common_pb2 as common
from alphapulse.api.instrument.v1 import instrument_pb2 as wire
from alphapulse.api.instrument.v1 import instrument_service_pb2 as service
from alphapulse.client.channel import open_channel
from alphapulse.domain import errors

IDS = service.LOOKUP_VIEW_IDS
ISIN = common.IDENTIFIER_SCHEME_ISIN
RESOLVED = common.LOOKUP_OUTCOME_RESOLVED
AMBIGUOUS = common.LOOKUP_OUTCOME_AMBIGUOUS
RETIRED = common.LOOKUP_OUTCOME_RETIRED
REUSED = common.LOOKUP_OUTCOME_REUSED
NOT_FOUND = common.LOOKUP_OUTCOME_NOT_FOUND
INVALID = common.LOOKUP_OUTCOME_INVALID
LEI, SHARED_LEI = "529900T8BM49AURSDO55", "HWUPKR0MPOU8FGXBT394"
TURN = datetime(2020, 1, 1, tzinfo=UTC)
KEPT = {"instrument_id", "asset_class", "status"}
KEPT_OF_LISTINGS = {"listing_id", "listing_key", "venue", "symbol"}
METHODS = {"ISIN": "isin", "CUSIP": "cusip", "SEDOL": "sedol", "FIGI": "figi"}


def stamp(moment: datetime) -> Timestamp:
    message = Timestamp()
    message.FromDatetime(moment.astimezone(UTC).replace(tzinfo=None))
    return message


def item(scheme: str, value: str, venue: str = "") -> service.LookupItem:
    number = common.IdentifierScheme.Value(f"IDENTIFIER_SCHEME_{scheme}")
    return service.LookupItem(scheme=number, value=value, venue=venue)


def with_ids_alone(full: service.LookupResult) -> service.LookupResult:
    """What the view of ids has to be, of a full answer."""
    expected = service.LookupResult()
    expected.CopyFrom(full)
    for entry in expected.entries:
        for message, kept in ((entry.instrument, KEPT), *((one, KEPT_OF_LISTINGS) for one in entry.listings)):
            for field, _ in message.ListFields():
                if field.name not in kept:
                    message.ClearField(field.name)
    return expected


@dataclass
class World:
    """A registry in which names end in every way, and the questions with how they end."""

    questions: list[service.LookupItem]
    outcomes: list[int]


NAMES = {
    "ISIN": "US0378331005",
    "CUSIP": "037833100",
    "FIGI": "BBG000B9XRY4",
    "LEI": LEI,
    "RIC": "AAPL.OQ",
    "OWN": "house-1",
    "TICKER": "AAPL",
}


@pytest.fixture
async def world(registry, entries) -> World:
    own = [
        entries.identifier(scheme, value, venue="XNAS" if scheme == "TICKER" else "")
        for scheme, value in NAMES.items()
        if scheme != "ISIN"
    ]
    share = entries.equity(NAMES["ISIN"], identifiers=own)
    places = entries.listing("XNAS", "AAPL", currency="USD", primary=True), entries.listing("XETR", "APC")
    held = (await registry.register(share, *places)).entry
    british = entries.equity("GB0002634946", identifiers=[entries.identifier("SEDOL", "0263494")])
    await registry.register(british, entries.listing("XLON", "BA."))
    for number in (1, 2):
        lei = entries.identifier("LEI", SHARED_LEI)
        await registry.register(entries.equity(entries.isin(number), f"Share {number}", identifiers=[lei]))
    before = entries.identifier("TICKER", "META", venue="XNAS", valid_to=stamp(TURN))
    after = entries.identifier("TICKER", "META", venue="XNAS", valid_from=stamp(TURN))
    await registry.register(entries.equity(entries.isin(3), "Old", identifiers=[before]))
    await registry.register(entries.equity(entries.isin(4), "New", identifiers=[after]))
    successor = (await registry.register(entries.equity(entries.isin(5)))).entry.instrument.instrument_id
    gone = (await registry.register(entries.equity(entries.isin(6)), entries.listing("XPAR", "GONE"))).entry
    await retire(registry, gone.instrument.instrument_id, successor)
    by_outcome = {
        RESOLVED: [
            *(item(scheme, value) for scheme, value in NAMES.items()),
            *(item("SEDOL", "0263494"), item("TICKER", "AAPL", "XNAS")),
            *(item("EXCHANGE_SYMBOL", "AAPL", "XNAS"), item("EXCHANGE_SYMBOL", "BA.")),
            service.LookupItem(instrument_id=held.instrument.instrument_id),
            service.LookupItem(listing_id=held.listings[0].listing_id),
        ],
        AMBIGUOUS: [item("LEI", SHARED_LEI)],
        REUSED: [item("TICKER", "META", "XNAS")],
        RETIRED: [
            item("ISIN", entries.isin(6)),
            service.LookupItem(instrument_id=gone.instrument.instrument_id),
            service.LookupItem(listing_id=gone.listings[0].listing_id),
        ],
        NOT_FOUND: [item("ISIN", entries.isin(7)), item("RIC", "X"), service.LookupItem(instrument_id="1" * 32)],
        INVALID: [item("ISIN", "US0378331006"), item("MIC", "XNAS"), service.LookupItem()],
    }
    asked = [(one, outcome) for outcome, questions in by_outcome.items() for one in questions]
    return World([one for one, _ in asked], [outcome for _, outcome in asked])


async def retire(registry, instrument_id: str, *successors: str) -> service.UpdateInstrumentResponse:
    gone = wire.Instrument(instrument_id=instrument_id, status=wire.INSTRUMENT_STATUS_RETIRED, successor_ids=successors)
    request = service.UpdateInstrumentRequest(instrument=gone, update_mask={"paths": ["status", "successor_ids"]})
    return await registry.stub.UpdateInstrument(request)


async def every_way(registry, questions: list[service.LookupItem], **options: Any) -> list[list[service.LookupResult]]:
    """The answers of a batch; of each question alone; of those of a scheme with a method of their own, or with a fast form, by these."""
    asked = service.LookupOptions(**options)
    together = service.BatchLookupRequest(items=questions, options=asked)
    ways = [list((await registry.stub.BatchLookup(together)).results)]
    alone = [service.LookupRequest(item=one, options=asked) for one in questions]
    ways.append([(await registry.stub.Lookup(one)).result for one in alone])
    own = []
    for one in questions:
        name = common.IdentifierScheme.Name(one.scheme).removeprefix("IDENTIFIER_SCHEME_")
        if name in METHODS:
            request = getattr(service, f"Lookup{name}Request")(**{METHODS[name]: one.value}, options=asked)
            own.append((await getattr(registry.stub, f"Lookup{name}")(request)).result)
        elif name == "EXCHANGE_SYMBOL":
            request = service.LookupSymbolRequest(symbol=one.value, venue=one.venue, options=asked)
            own.append((await registry.stub.LookupSymbol(request)).result)
        elif one.scheme and not one.venue:
            fast = service.BatchLookupRequest(scheme=one.scheme, values=[one.value] * 3, options=asked)
            found = list((await registry.stub.BatchLookup(fast)).results)
            assert found[1:] == [found[0]] * 2 or found[0].HasField("violation")
            own.append(found[0])
        else:
            own.append(ways[0][len(own)])
    return [*ways, own]


OPTIONS: list[dict[str, Any]] = [
    {},
    {"as_of": stamp(TURN - timedelta(days=1))},
    {"known_at": stamp(datetime.now(UTC) + timedelta(days=1))},
    {"known_at": stamp(TURN)},
    {"primary_only": True},
    {"preferred_venues": ["XPAR", "XETR"], "primary_only": False},
    {"read": common.ReadOptions(latest=True)},
]


async def test_ids_are_the_full_answer_without_the_other_fields(registry, start_registry, world):
    cold = await every_way(registry, world.questions, view=IDS)
    full = await every_way(registry, world.questions)
    assert [one.outcome for one in full[0]] == world.outcomes
    expected = [[with_ids_alone(one) for one in way] for way in full]
    assert cold == expected
    assert expected != full
    for replica in (registry, await start_registry()):  # what is held here, and what another finds in Redis
        for _ in range(2):
            assert await every_way(replica, world.questions, view=IDS) == expected
            assert await every_way(replica, world.questions) == full
            assert await every_way(replica, world.questions, view=service.LOOKUP_VIEW_FULL) == full


@pytest.mark.parametrize("options", OPTIONS, ids=lambda one: " ".join(one) or "none")
async def test_every_option_is_heeded_with_the_view(registry, world, options):
    for _ in range(2):
        full = await every_way(registry, world.questions, **options)
        expected = [[with_ids_alone(one) for one in way] for way in full]
        assert await every_way(registry, world.questions, **options, view=IDS) == expected


@pytest.mark.parametrize("number", [3, 77, -1, 2**31 - 1])
async def test_a_view_that_is_not_known_is_refused(registry, entries, number):
    await registry.register(entries.equity(isin := entries.isin(1)), entries.listing("XETR", "ONE"))
    options = service.LookupOptions(view=number)
    for _ in range(2):  # the second time with a warm cache
        calls = [
            registry.stub.LookupISIN(service.LookupISINRequest(isin=isin, options=options)),
            registry.stub.LookupSymbol(service.LookupSymbolRequest(symbol="ONE", options=options)),
            registry.stub.Lookup(service.LookupRequest(item=item("ISIN", isin), options=options)),
            registry.stub.BatchLookup(service.BatchLookupRequest(scheme=ISIN, values=[isin], options=options)),
            registry.stub.BatchLookup(service.BatchLookupRequest(options=options)),
        ]
        for call in calls:
            error = await registry.refused(call)
            assert isinstance(error, errors.InvalidArgument)
            told = [(one.field, one.value, one.rule) for one in error.violations]
            assert told == [("options.view", str(number), "enum-unknown")]
        assert (await registry.isin(isin)).outcome == RESOLVED


async def test_an_answer_of_ids_is_small(registry, entries):
    isin = entries.isin(1)
    await registry.register(entries.equity(isin, "A name of some length, as companies have them"))
    full, brief = (await registry.isin(isin), await registry.isin(isin, view=IDS))
    assert brief.ByteSize() <= 48 < full.ByteSize() / 4


async def test_ids_do_not_outlive_the_answer_they_were_made_of(registry, start_registry, entries):
    """Every kind of change, between look-ups from what the processes hold; on the replica that wrote and on another."""
    other = await start_registry()
    isins = [entries.isin(number) for number in range(1, 4)]
    batch = service.BatchLookupRequest(scheme=ISIN, values=isins, options=service.LookupOptions(view=IDS))

    async def same_everywhere(token: str) -> list[service.LookupResult]:
        """The view of ids, after a read that is as fresh as the change."""
        answers = []
        for one in (registry, other):
            read = common.ReadOptions(at_least_as_fresh=token) if token else common.ReadOptions(latest=True)
            fresh = [await one.isin(isin, read=read) for isin in isins]
            for _ in range(2):
                answers.append(list((await one.stub.BatchLookup(batch)).results))
                answers.append([await one.isin(isin, view=IDS) for isin in isins])
            assert answers[-1] == [with_ids_alone(each) for each in fresh]
        assert all(each == answers[0] for each in answers)
        return answers[0]

    assert [one.outcome for one in await same_everywhere("")] == [NOT_FOUND] * 3
    made = await registry.register(entries.equity(isins[0], "One"), entries.listing("XETR", "A"))
    held = made.entry
    found = await same_everywhere(made.revision_token)
    assert [one.outcome for one in found] == [RESOLVED, NOT_FOUND, NOT_FOUND]
    more = await registry.register(entries.equity(isins[0], "One"), entries.listing("XPAR", "B"))
    found = await same_everywhere(more.revision_token)
    assert {one.symbol for one in found[0].entries[0].listings} == {"A", "B"}
    event = wire.LifecycleEvent(
        effective_time=stamp(datetime.now(UTC)),
        listing_id=held.listings[0].listing_id,
        symbol_change=wire.SymbolChange(new_symbol="C"),
    )
    moved = await registry.stub.RecordLifecycleEvent(service.RecordLifecycleEventRequest(event=event))
    found = await same_everywhere(moved.revision_token)
    assert {one.symbol for one in found[0].entries[0].listings} == {"C", "B"}
    ended = await retire(registry, held.instrument.instrument_id)
    found = await same_everywhere(ended.revision_token)
    assert (found[0].outcome, found[0].entries[0].instrument.status) == (RETIRED, wire.INSTRUMENT_STATUS_RETIRED)


async def test_requests_of_ids_as_bytes_answer_as_parsed_ones_do(registry, entries):
    """Whatever the values are, also such as look like the end of the request, and however the options are encoded."""
    held = [entries.isin(number) for number in range(4)]
    for one in held[:3]:
        await registry.register(entries.equity(one))
    end, tag = '"\x020\x02', "\x1a\x0c"
    odd = ["", tag, end, held[0][:8] + end, held[0] + end, end + held[1], held[0] + tag + held[1], held[0][:11]]
    alone = {one: await registry.isin(one, view=IDS) for one in [*held, *odd]}
    await registry.stub.BatchLookup(service.BatchLookupRequest(scheme=ISIN, values=held))
    dice = random.Random(11)
    async with open_channel(registry.address) as channel:
        ask = channel.unary_unary("/alphapulse.api.instrument.v1.InstrumentService/BatchLookup")
        one = channel.unary_unary("/alphapulse.api.instrument.v1.InstrumentService/LookupISIN")
        for _ in range(60):
            values = dice.choices([*held, *odd], weights=[6] * 4 + [1] * len(odd), k=dice.randrange(1, 8))
            plain = service.BatchLookupRequest(scheme=ISIN, values=values).SerializeToString()
            for options in (b'"\x020\x02', b'"\x00"\x020\x02', b'"\x040\x010\x02', b'"\x020\x02\xa2\x06\x00'):
                found = service.BatchLookupResponse.FromString(await ask(plain + options)).results
                for value, result in zip(values, found, strict=True):
                    result.violation.field = alone[value].violation.field = "isin"
                    assert result == alone[value]
        raw = service.LookupISINRequest(isin=held[0]).SerializeToString()
        for options in (b"\x12\x020\x02", b"\x12\x00\x12\x020\x02", b"\x12\x020\x02" + raw):
            (result,) = service.BatchLookupResponse.FromString(await one(raw + options)).results
            result.violation.field = alone[held[0]].violation.field
            assert result == alone[held[0]]
        for cut in (b"\x10" + b'"\x020\x02', b'\x10\x01"\x020\x02', b'"\x020\x02'):
            refused = cut[:1] == b"\x10" and len(cut) == 5
            if refused:
                assert isinstance(await registry.refused(ask(cut)), errors.InvalidArgument)
            else:
                assert await ask(cut) == b""
