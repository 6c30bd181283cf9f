"""Search through the service: names with typos, tickers, starts of identifiers, former names, dates, hostile texts."""

from __future__ import annotations

import asyncio
import importlib.util
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pytickersymbols import PyTickerSymbols

from alphapulse.api.common.v1 import common_pb2 as common
from alphapulse.api.instrument.v1 import instrument_pb2 as wire
from alphapulse.api.instrument.v1 import instrument_service_pb2 as service
from registry_service.instrument.convert import stamp

_spec = importlib.util.spec_from_file_location("misspelled", Path(__file__).with_name("misspelled.py"))
assert _spec is not None
assert _spec.loader is not None
_module = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_module)
misspelled = _module.misspelled

DAY = datetime(2024, 6, 1, tzinfo=UTC)


async def search(registry, text: str, **more) -> list[service.SearchHit]:
    answer = await registry.stub.SearchInstruments(service.SearchInstrumentsRequest(query=text, **more))
    scores = [one.score for one in answer.hits]
    assert scores == sorted(scores, reverse=True)
    assert all(0 < one <= 1 for one in scores)
    return list(answer.hits)


def names(hits: list[service.SearchHit]) -> list[str]:
    return [one.entry.instrument.name for one in hits]


async def register_all(registry, entries, named: list[str]) -> None:
    request = service.RegisterInstrumentsRequest(
        entries=[
            service.InstrumentEntry(instrument=entries.equity(entries.isin(n), name)) for n, name in enumerate(named)
        ]
    )

    async def requests():
        yield request

    async for answer in registry.stub.RegisterInstruments(requests()):
        assert {one.outcome for one in answer.results} == {service.REGISTRATION_OUTCOME_CREATED}


async def test_names_with_two_faults_are_found_first_nine_times_of_ten(registry, entries):
    """1,837 companies; of 150 names with two typos, abbreviations or swaps each the right one has to be first in 90 %."""
    stocks = sorted({one["name"].strip() for one in PyTickerSymbols().get_all_stocks() if one.get("name")})
    await register_all(registry, entries, stocks)
    rng = random.Random(20)
    asked = [(name, misspelled(name, rng)) for name in rng.sample(stocks, 150)]
    found = []
    for at in range(0, len(asked), 10):
        found += await asyncio.gather(*[search(registry, text, limit=3) for _, text in asked[at : at + 10]])
    first = sum(names(hits)[:1] == [name] for (name, _), hits in zip(asked, found, strict=True))
    assert first >= 0.9 * len(asked), f"{first} of {len(asked)}"


@pytest.fixture
async def shares(registry, entries):
    ticker = lambda value, **more: entries.identifier("TICKER", value, venue="XNAS", **more)  # noqa: E731
    for n, (name, symbol) in enumerate([("Apple Inc.", "AAPL"), ("Applied Materials, Inc.", "AMAT")], start=1):
        await registry.register(
            entries.equity(entries.isin(n, "FR"), name, identifiers=[ticker(symbol)], details={"country": "US"}),
            entries.listing("XNAS", symbol, currency="USD", primary=True),
        )
    await registry.register(
        entries.equity(entries.isin(3, "FR"), "Société Générale SA", details={"country": "FR"}),
        entries.listing("XPAR", "GLE"),
    )
    await registry.register(
        entries.equity(entries.isin(4, "FR"), "Apple Hospitality REIT", status=wire.INSTRUMENT_STATUS_RETIRED)
    )
    return registry


async def test_each_hit_says_why(shares, entries):
    async def why(text: str, at: int = 0, **more) -> tuple:
        reason = (await search(shares, text, **more))[at].reason
        return reason.field, reason.rule, reason.value

    name, identifier = service.SEARCH_FIELD_NAME, service.SEARCH_FIELD_IDENTIFIER
    exact, prefix, words, similar = (
        service.SEARCH_RULE_EXACT,
        service.SEARCH_RULE_PREFIX,
        service.SEARCH_RULE_WORDS,
        service.SEARCH_RULE_SIMILAR,
    )
    assert await why("apple inc") == (name, exact, "Apple Inc.")
    assert await why("apple") == (name, words, "Apple Inc.")
    assert await why("societe generale") == (name, words, "Société Générale SA")
    assert await why("Materials Applied") == (name, words, "Applied Materials, Inc.")
    assert await why("Aplied Matterials") == (name, similar, "Applied Materials, Inc.")
    assert await why("AAPL") == (identifier, exact, "AAPL")
    assert await why("aapl") == (identifier, exact, "AAPL")
    assert await why("AMA") == (identifier, prefix, "AMAT")
    assert await why("AAPK") == (identifier, similar, "AAPL")
    isin = entries.isin(3, "FR")
    assert await why(isin) == (identifier, exact, isin)
    assert await why(isin.lower()) == (identifier, exact, isin)
    assert await why(isin[:11]) == (identifier, prefix, isin)
    swapped = isin[:2] + "1" + isin[3:]
    assert await why(swapped) == (identifier, similar, isin)
    hit = (await search(shares, "AAPL"))[0]
    assert (hit.reason.scheme, hit.reason.venue) == (common.IDENTIFIER_SCHEME_TICKER, "XNAS")
    assert hit.why == "TICKER AAPL at XNAS: the same"
    assert [one.symbol for one in hit.entry.listings] == ["AAPL"]


async def test_what_is_no_more_stands_behind_and_filters_combine(shares):
    assert names(await search(shares, "apple"))[:1] == ["Apple Inc."]
    gone = service.InstrumentFilter(statuses=[wire.INSTRUMENT_STATUS_RETIRED])
    assert names(await search(shares, "apple", filter=gone)) == ["Apple Hospitality REIT"]
    paris = service.InstrumentFilter(venues=["XPAR"])
    assert names(await search(shares, "G", filter=paris)) == ["Société Générale SA"]
    assert await search(shares, "AAPL", filter=paris) == []
    assert len(await search(shares, "app", limit=1)) == 1


async def test_an_identifier_that_ended_is_said_to_be_former_and_is_current_at_its_time(registry, entries):
    ended = entries.identifier("TICKER", "FB", venue="XNAS", valid_from=stamp(DAY), valid_to=stamp(DAY.replace(day=9)))
    now = entries.identifier("TICKER", "META", venue="XNAS", valid_from=stamp(DAY.replace(day=9)))
    await registry.register(entries.equity(entries.isin(1), "Meta Platforms", identifiers=[ended, now]))
    (hit,) = await search(registry, "FB")
    assert (hit.reason.former, hit.score) == (True, 0.92)
    assert hit.why == "former TICKER FB at XNAS until 2024-06-09: the same"
    (then,) = await search(registry, "FB", as_of=stamp(DAY.replace(day=8)))
    assert (then.reason.former, then.score) == (False, 1)
    assert [one.value for one in then.entry.instrument.identifiers if one.scheme == now.scheme] == ["FB"]
    assert await search(registry, "FB", as_of=stamp(DAY.replace(day=9))) == []
    assert (await search(registry, "META", as_of=stamp(DAY.replace(day=8)))) == [] or all(
        one.reason.field == service.SEARCH_FIELD_NAME
        for one in await search(registry, "META", as_of=stamp(DAY.replace(day=8)))
    )


async def rename(registry, instrument_id: str, name: str, at: datetime) -> None:
    event = wire.LifecycleEvent(
        instrument_id=instrument_id, effective_time=stamp(at), name_change=wire.NameChange(new_name=name)
    )
    await registry.stub.RecordLifecycleEvent(service.RecordLifecycleEventRequest(event=event))


async def test_a_former_name_finds_the_company_and_says_that_it_is_former(registry, entries):
    registered = await registry.register(entries.equity(entries.isin(1), "Facebook, Inc."))
    before = datetime.now(UTC)
    await rename(registry, registered.entry.instrument.instrument_id, "Meta Platforms, Inc.", DAY)
    (hit,) = await search(registry, "Facebok")
    assert names([hit]) == ["Meta Platforms, Inc."]
    assert (hit.reason.former, hit.reason.value) == (True, "Facebook, Inc.")
    assert hit.reason.valid_to == stamp(DAY)
    assert hit.why.startswith("former name Facebook, Inc. until 2024-06-01")
    (then,) = await search(registry, "facebook inc", as_of=stamp(DAY - timedelta(days=1)))
    assert (then.reason.former, then.score, names([then])) == (False, 1, ["Facebook, Inc."])
    assert await search(registry, "facebook", as_of=stamp(DAY)) == []
    assert await search(registry, "meta platforms", as_of=stamp(DAY - timedelta(days=1))) == []
    assert (await search(registry, "meta platforms"))[0].reason.former is False
    # What was known before the rename was recorded.
    assert await search(registry, "meta platforms", known_at=stamp(before)) == []
    (known,) = await search(registry, "facebook", known_at=stamp(before))
    assert (known.reason.former, names([known])) == (False, ["Facebook, Inc."])


HOSTILE = [
    "%" * 256,
    "_%_%_%",
    "\\" * 100,
    "' OR 1=1 --",
    "a b c d e f g h i j k l m n o p q r s t u v w x y z " * 4,
    "inc corp ltd group holdings " * 9,
    "e" * 256,
    "🚀" * 128,
    "\u202eelppA",
    "A\u0300" * 100,
    "苹果公司",
    "Ａｐｐｌｅ",
    "a\x00pple",
    "\n\t apple \r",
    "(((((((((((((",
    "-" * 255 + "a",
    "𝔄𝔭𝔭𝔩𝔢",
]


async def test_hostile_texts_are_answered(shares):
    for text in HOSTILE:
        hits = await search(shares, text)
        assert len(hits) <= 10
    assert names(await search(shares, "Ａｐｐｌｅ"))[0] == "Apple Inc."
    assert names(await search(shares, "a\x00pple") + await search(shares, "apple\x00"))[0] == "Apple Inc."
    for text, rule in (("x" * 257, "text-length"), ("\x00\x01", "text-characters"), ("  ", "text-length")):
        call = shares.stub.SearchInstruments(service.SearchInstrumentsRequest(query=text))
        broken = (await shares.refused(call)).violations[0]
        assert (broken.field, broken.rule) == ("query", rule)


async def test_pages_of_venues_and_symbols_beyond_ascii_are_found(registry, entries):
    await registry.register(entries.equity(entries.isin(1), "贵州茅台"), entries.listing("XSHG", "600519"))
    assert names(await search(registry, "贵州茅台")) == ["贵州茅台"]
    assert names(await search(registry, "6005")) == ["贵州茅台"]
