"""Predicates against a plain reading of the definitions (`support.plain_definitions`), on registries that change."""

from __future__ import annotations

import operator
from collections.abc import Callable
from datetime import date, datetime, timedelta
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from support import plain_definitions as plain

from alphapulse.api.instrument.v1.instrument_pb2 import Instrument, Listing
from alphapulse.api.relay.v1 import relay_service_pb2 as pb
from alphapulse.api.venue.v1.venue_pb2 import Venue
from alphapulse.domain.decimal import ExactDecimal
from alphapulse.domain.predicate import CATALOGUE, Field, Kind, parse
from relay_service.core import RelayCore
from relay_service.kernel.engine import KernelSettings
from relay_service.subscriptions.compiled import CompiledFilter
from relay_service.subscriptions.definitions import DefinitionReader
from relay_service.subscriptions.facets import FacetTable
from relay_service.subscriptions.gathered import Gatherer, Numbers
from relay_service.subscriptions.index import FilterIndex
from relay_service.subscriptions.predicates import bounds_of, compare
from relay_service.subscriptions.wanted import Filter

BOTH = pytest.mark.parametrize("transport", ["grpc", "unix"])
SECOND, KEYS, VENUES, TEXTS, IDS, TIMES = plain.SECOND, plain.KEYS, plain.VENUES, plain.TEXTS, plain.IDS, plain.TIMES
EXTREMES, EXPONENTS, PLAIN, Definition = plain.EXTREMES, plain.EXPONENTS, plain.PLAIN, plain.Definition
listings, instruments, venues = plain.listings, plain.instruments, plain.venues
pick = st.sampled_from
MANTISSAS = st.one_of(pick(EXTREMES), st.integers(-99, 99), st.integers(-(2**63), 2**63 - 1))
DECIMAL_EXPONENTS = st.one_of(pick(EXPONENTS), st.integers(-128, 127))


def test_the_catalogue_is_read_whole() -> None:
    assert PLAIN.keys() == CATALOGUE.keys()


# Predicates at random: the text, and what it means.


class Meaning(NamedTuple):
    """A predicate's text, and whether a definition satisfies it."""

    text: str
    holds: Callable[[Definition], bool]


RELATIONS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}


def quoted(text: str) -> str:
    return f'"{text}"'


@st.composite
def values(draw: Any, field: Field) -> tuple[str, Any]:
    """(a value as it is written, the value)."""
    if field.kind is Kind.NUMBER:
        mantissa, exponent = draw(st.one_of(pick(EXTREMES), st.integers(-99, 99))), draw(pick(EXPONENTS))
        text = f"{mantissa}e{exponent}" if exponent else str(mantissa)
        return text, Fraction(mantissa) * Fraction(10) ** exponent
    if field.kind is Kind.TIME:
        text = draw(pick(TIMES))
        days, _, clock = text.removesuffix("Z").partition("T")
        hours, minutes, seconds = (
            (*map(Fraction, clock.split(":")), Fraction(0), Fraction(0), Fraction(0))[:3] if clock else (0, 0, 0)
        )
        day = (date.fromisoformat(days) - date(1970, 1, 1)).days
        return quoted(text), Fraction(day * 86400) + hours * 3600 + minutes * 60 + seconds
    if field.kind is Kind.FLAG:
        flag = draw(st.booleans())
        return str(flag).lower(), flag
    if field.kind is Kind.ID:
        return quoted(draw(pick(("A" * 32, "b" * 32, "c" * 32)))), None
    return quoted(draw(pick(tuple(field.words) or (*TEXTS, *VENUES, "?")))), None


@st.composite
def comparisons(draw: Any) -> Meaning:
    field = CATALOGUE[draw(pick(tuple(CATALOGUE)))]
    read, name = PLAIN[field.name], field.name
    form = draw(st.integers(0, 9))
    if form == 0:
        text = draw(pick((f"has({name})", f"{name} is not missing")))
        return Meaning(text, lambda found: read(found) is not None)
    if form == 1:
        return Meaning(f"{name} is missing", lambda found: read(found) is None)
    if form == 2 and field.kind is Kind.FLAG:
        return Meaning(name, lambda found: read(found) is True)

    def value() -> tuple[str, Any]:
        text, meant = draw(values(field))
        return text, text[1:-1].lower() if field.kind is Kind.ID else text[1:-1] if meant is None else meant

    if form in (3, 4) and field.kind is not Kind.FLAG:
        among = [value() for _ in range(draw(st.integers(1, 3)))]
        negated = draw(st.booleans())
        text = f"{name} {'not in' if negated else 'in'} ({', '.join(text for text, _ in among)})"
        meant = [one for _, one in among]
        return Meaning(text, lambda found: read(found) is not None and (read(found) in meant) is not negated)
    ordered = field.kind in (Kind.NUMBER, Kind.TIME)
    relation = draw(pick(tuple(RELATIONS) if ordered else ("==", "!=")))
    text, meant_one = value()
    if form == 5 and ordered:
        second, other = value()
        return Meaning(
            f"{text} {relation} {name} <= {second}",
            lambda found: (
                read(found) is not None and RELATIONS[relation](meant_one, read(found)) and read(found) <= other
            ),
        )
    return Meaning(
        f"{name}{draw(pick(('', ' ', chr(10))))}{relation} {text}",
        lambda found: read(found) is not None and RELATIONS[relation](read(found), meant_one),
    )


def joined(parts: tuple[Meaning, Meaning], word: str) -> Meaning:
    left, right = parts
    both = all if word == "and" else any
    return Meaning(f"({left.text}) {word} ({right.text})", lambda found: both((left.holds(found), right.holds(found))))


predicates = st.recursive(
    comparisons(),
    lambda below: st.one_of(
        st.builds(joined, st.tuples(below, below), pick(("and", "or"))),
        st.builds(lambda one: Meaning(f"not ({one.text})", lambda found: not one.holds(found)), below),
    ),
    max_leaves=5,
)


class Bench:
    """A core with its filter index, as `FanOut` puts them together."""

    def __init__(self) -> None:
        self.core = RelayCore(KernelSettings(capacity=4))
        self.facets = FacetTable(self.core.slots, self.core.replica, DefinitionReader())
        self.index = self.new_index()
        self.core.on_definition_changed(self.definitions_changed)
        self.core.on_venue_changed(self.venues_changed)

    def new_index(self) -> FilterIndex:
        core, gatherer = self.core, Gatherer(self.core.slots, self.facets)
        return FilterIndex(
            lambda chosen: CompiledFilter(
                chosen, core.slots, core.replica, self.facets, gatherer, registry_enabled=True
            ),
            lambda: core.slots.count,
        )

    def definitions_changed(self, slots: Any) -> None:
        self.facets.refresh(slots)
        self.index.definitions_changed(slots)

    def venues_changed(self, codes: Any) -> None:
        self.index.venues_changed(self.facets.refresh_venues(codes))

    def apply(self, step: Any) -> None:
        replica = self.core.replica
        if isinstance(step, Listing):
            replica.apply_listing(step)
        elif isinstance(step, Instrument):
            replica.apply_instrument(step)
        elif isinstance(step, Venue):
            replica.apply_venue(step)
        elif isinstance(step, int):
            replica.remove_listing(step)
        elif step in VENUES:
            replica.remove_venue(step)
        elif step in IDS:
            replica.remove_instrument(step)

    def keys(self, index: FilterIndex, chosen: Filter) -> set[int]:
        """The listings that match."""
        return set(self.core.slots.table["key"][index.matching(index.acquire(chosen))].tolist())

    def definitions(self, now_ns: int) -> dict[int, Definition]:
        """What is known, as messages."""
        core, found = self.core, {}
        for slot in range(core.slots.count):
            listing = core.replica.listing(slot)
            if listing is not None:
                instrument = core.replica.instrument(slot) or Instrument()
                venue = core.replica.venue(listing.venue) or Venue()
                found[listing.listing_key] = Definition(listing, instrument, venue, now_ns)
        return found


changes = st.one_of(listings(), listings(), instruments(), venues(), pick((*KEYS, *VENUES, *IDS)))


@settings(max_examples=50)
@given(st.lists(changes, min_size=4, max_size=14), st.lists(predicates, min_size=1, max_size=4), st.data())
def test_a_predicate_matches_as_a_plain_reading_says_whatever_changes(
    script: list[Any], meanings: list[Meaning], data: Any
) -> None:
    bench = Bench()
    core = bench.core
    begun = data.draw(st.integers(0, len(script)))
    chosen = [Filter(predicate=parse(one.text)) for one in meanings]
    now_ns = 0
    for number, step in enumerate(script):
        if number == begun:
            for one in chosen:
                bench.index.acquire(one)
        bench.apply(step)
        if data.draw(st.integers(0, 3)) == 0:
            now_ns = max(now_ns, data.draw(pick((100, 150, 200, 300))) * SECOND)
            core.tick(now_ns)
    core.settle()
    fresh = bench.new_index()
    for one, meaning in zip(chosen, meanings, strict=True):
        expected = {key for key, found in bench.definitions(now_ns).items() if meaning.holds(found)}
        assert bench.keys(bench.index, one) == expected, meaning.text
        assert bench.keys(fresh, one) == expected, meaning.text


def near(field: Field, found: Any) -> list[tuple[str, Any]]:
    """Values at, just below and just above what a field is, as they are written and as they are."""
    if field.kind is Kind.NUMBER:
        nearby = [int(found * 10**9) + step for step in (0, -1, 1)]
        return [(f"{one}e-9", Fraction(one, 10**9)) for one in nearby]
    if field.kind is Kind.TIME:
        moments = [found + Fraction(step, 1_000_000) for step in (0, -1, 1)]
        return [(quoted(written(one)), one) for one in moments]
    if field.kind is Kind.FLAG:
        return [("true", True), ("false", False)]
    others = ("f" * 32,) if field.kind is Kind.ID else tuple(field.words) or ("?",)
    return [(quoted(one), one) for one in (found, *others)]


def written(moment: Fraction) -> str:
    """A time as predicates have it."""
    return (datetime(1970, 1, 1) + timedelta(microseconds=int(moment * 1_000_000))).isoformat() + "Z"


@pytest.mark.parametrize("which", plain.CLASSES)
def test_every_field_in_every_relation_at_below_and_above_its_value(which: str) -> None:
    bench = Bench()
    found = plain.of_class(which)
    said = {name: read(found) for name, read in PLAIN.items()}
    bare = Listing(instrument_id="c" * 32, venue="XC")
    for key, listing in ((1, found.listing), (2, bare)):
        listing.listing_key, listing.listing_id = key, f"{key:016x}{'0' * 16}"
    for step in (found.venue, found.instrument, found.listing, bare):
        bench.apply(step)
    bench.core.settle()
    both = {1: found, 2: Definition(bare, Instrument(), Venue(), 0)}
    for field in CATALOGUE.values():
        read = PLAIN[field.name]
        here = {key for key, one in both.items() if read(one) is not None}
        assert bench.keys(bench.index, Filter(predicate=parse(f"has({field.name})"))) == here, field.name
        for text, meant in near(field, said[field.name]) if 1 in here else ():
            ordered = field.kind in (Kind.NUMBER, Kind.TIME)
            for relation in RELATIONS if ordered else ("==", "!="):
                holds = RELATIONS[relation]
                expected = {key for key in here if holds(read(both[key]), meant)}
                chosen = f"{field.name} {relation} {text}"
                assert bench.keys(bench.index, Filter(predicate=parse(chosen))) == expected, chosen
                # The other way round it is the same; parse it once more rather than trust the tree.
                turned = f"{text} {relation.translate(str.maketrans('<>', '><'))} {field.name}"
                assert parse(turned) == parse(chosen)


@given(
    st.lists(st.tuples(MANTISSAS, DECIMAL_EXPONENTS), min_size=1, max_size=8), MANTISSAS, DECIMAL_EXPONENTS, st.data()
)
def test_decimals_compare_as_fractions_do(held: list[tuple[int, int]], mantissa: int, exponent: int, data: Any) -> None:
    if data.draw(st.booleans()):  # the same number at another exponent, or the next one
        first, scale = held[0]
        shift = data.draw(st.integers(0, 3))
        mantissa, exponent = first * 10**shift + data.draw(st.integers(-1, 1)), scale - shift
        assume(abs(mantissa) < 2**63 and exponent >= -128)
    value = Fraction(mantissa) * Fraction(10) ** exponent
    mantissas, exponents = (np.array(one, np.int64) for one in zip(*held, strict=True))
    numbers = Numbers(mantissas, exponents + 128, np.ones(len(held), np.bool_))
    for relation, holds in RELATIONS.items():
        found = compare(numbers, relation, bounds_of(ExactDecimal(mantissa, exponent))).tolist()
        assert found == [holds(Fraction(m) * Fraction(10) ** e, value) for m, e in held], relation


def test_venues_pass_their_fees_on_as_time_passes() -> None:
    bench = Bench()
    venue = Venue(code="XA", status=1)
    for fee_bps, start, end in ((10, None, 100), (5, 100, 200)):
        schedule = venue.fee_schedules.add()
        tier = schedule.tiers.add()
        tier.taker_bps.mantissa, tier.maker_bps.mantissa = fee_bps, -fee_bps
        schedule.valid_to.seconds = end
        if start:
            schedule.valid_from.seconds = start
    venue.fee_schedules.add().tiers.add().maker_bps.mantissa = -1  # holds as well, and stands behind the others
    bench.apply(venue)
    for key in (1, 2):
        bench.apply(Listing(listing_id=f"{key:016x}{'0' * 16}", listing_key=key, instrument_id=IDS[0], venue="XA"))
    own = Listing.FromString(bench.core.replica.listing(bench.core.slots.slot_of(2)).SerializeToString())
    own.fees.taker_bps.mantissa = 7
    bench.apply(own)
    cheap, known = Filter(predicate=parse("taker_bps < 10")), Filter(predicate=parse("has(taker_bps)"))
    paid = Filter(predicate=parse("maker_bps < -1"))
    found = []
    for seconds in (50, 100, 200):
        bench.core.tick(seconds * SECOND)
        found.append([bench.keys(bench.index, one) for one in (cheap, known, paid)])
    assert found == [[{2}, {1, 2}, {1, 2}], [{1, 2}, {1, 2}, {1, 2}], [{2}, {2}, set()]]


def test_filters_with_one_meaning_are_one() -> None:
    bench = Bench()
    spellings = (
        'tick_size<=0.01 and venue == "XA"',
        "(0.010 >= tick_size)\n and venue == 'XA'",
        "tick_size <= 1e-2 and venue in ('XA')",
    )
    held = {bench.index.acquire(Filter(predicate=parse(text))).number for text in spellings}
    assert len(held) == 1
    assert bench.index.acquire(Filter(predicate=parse('tick_size < 0.01 and venue == "XA"'))).number not in held


@BOTH
async def test_a_listing_joins_and_leaves_with_its_definition_and_its_venues_fees(
    relay: Any, build: Any, transport: str
) -> None:
    text = "taker_bps < 10 and tick_size <= 0.01"

    def listing(key: int, tick: int) -> Listing:
        made: Listing = build.listing(key)
        made.rules.tick_size.mantissa, made.rules.tick_size.exponent = tick, -2
        return made

    def venue(fee_bps: int) -> Venue:
        made = Venue(code="XV", status=1)
        made.fee_schedules.add().tiers.add().taker_bps.mantissa = fee_bps
        return made

    replica = relay.app.core.replica
    relay.define(listing(1, 1), listing(2, 5))
    replica.apply_venue(venue(9))
    client = await relay.subscriber(transport)
    assert (await client.put(filter={"predicate": text})).matching_listings == 1
    await client.put(2)
    collector = await relay.collector()

    async def send(first_bid: int) -> None:
        await collector.send(build.quotes([1, 2], first_bid=first_bid))
        await client.rows(2 * first_bid // 10, 2)

    await send(10)
    relay.define(listing(2, 1))
    await send(20)
    replica.apply_venue(venue(10))
    await send(30)
    replica.apply_venue(venue(0))
    relay.define(listing(1, 2))
    await send(40)
    await client.rows(4)
    assert client.of(1).bids == [10, 20, 21, 41]
    shown = await relay.stub.ListSubscribers(pb.ListSubscribersRequest())
    assert shown.subscribers[0].subscriptions[0].subscription.filter.predicate == text


@BOTH
async def test_what_is_wrong_with_a_predicate_is_told_with_its_place(relay: Any, transport: str) -> None:
    client = await relay.subscriber(transport)
    refused = await client.put(filter={"predicate": 'tick_size < "x" or colour == 1', "listing_keys": [0]})
    found = [(one.field, one.value, one.rule) for one in refused.error.violations]
    assert found == [
        ("filter.listing_keys[0]", "0", "listing-keys"),
        ("filter.predicate", '"x"', "predicate-type"),
        ("filter.predicate", "colour", "predicate-field"),
    ]
    assert "at character 13 " in refused.error.violations[1].description
    assert (await client.put(filter={"predicate": "tick_size < 1"})).matching_listings == 0
