"""Filters against a plain reading of their rules, on registries that change."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphapulse.api.common.v1.common_pb2 import AssetClass, IdentifierScheme
from alphapulse.api.instrument.v1.instrument_pb2 import Instrument, Listing
from alphapulse.api.synthetic.v1.synthetic_pb2 import Synthetic
from alphapulse.records import OPPORTUNITY, QUOTE
from relay_service.core import RelayCore
from relay_service.kernel.engine import KernelSettings
from relay_service.results import RowGroup
from relay_service.subscriptions.compiled import CompiledFilter
from relay_service.subscriptions.definitions import DefinitionReader
from relay_service.subscriptions.facets import FacetTable
from relay_service.subscriptions.gathered import Gatherer
from relay_service.subscriptions.index import FilterIndex
from relay_service.subscriptions.matches import MatchTable
from relay_service.subscriptions.wanted import Filter

KEYS = range(1, 13)
VENUES = ("XA", "XB", "XC")
CURRENCIES = ("USD", "EUR")
SOURCES = ("S1", "S2")
ISINS = ("US0378331005", "US5949181045", "DE0007164600", "")


def hex_id(key: int) -> str:
    return f"{key:016x}{'0' * 16}"


listings = st.builds(
    lambda key, instrument, venue, currency, symbol: Listing(
        listing_id=hex_id(key),
        listing_key=key,
        instrument_id=hex_id(100 + instrument),
        venue=venue,
        currency=currency,
        symbol=symbol,
        definition_version=1,
    ),
    st.sampled_from(KEYS),
    st.integers(0, 3),
    st.sampled_from(VENUES),
    st.sampled_from(CURRENCIES),
    st.sampled_from(("A", "B")),
)


def make_instrument(number: int, kind: int, isin: str, text: str) -> Instrument:
    made = Instrument(instrument_id=hex_id(100 + number), asset_class=AssetClass.Name(kind))
    if isin:
        made.identifiers.add(scheme=IdentifierScheme.IDENTIFIER_SCHEME_ISIN, value=isin)
    if kind == AssetClass.ASSET_CLASS_EQUITY:
        made.equity.sector = text
    elif kind == AssetClass.ASSET_CLASS_PERPETUAL:
        made.perpetual.underlying_id = hex_id(ord(text[0]))
    elif kind == AssetClass.ASSET_CLASS_TOKEN:
        made.token.chain = f"eip155:{len(text)}"
    return made


instruments = st.builds(
    make_instrument,
    st.integers(0, 3),
    st.sampled_from((1, 9, 13)),
    st.sampled_from(ISINS),
    st.sampled_from(("Tech", "Oil")),
)


def some(values: Any) -> Any:
    return st.frozensets(st.sampled_from(tuple(values)), max_size=2)


filters = st.builds(
    Filter,
    event_types=some((1, 2, 17)),
    listing_keys=st.one_of(st.just(frozenset()), st.frozensets(st.sampled_from(KEYS), max_size=6)),
    venues=some(VENUES),
    asset_classes=some((1, 9, 13)),
    instrument_ids=some(map(hex_id, range(100, 104))),
    isin_prefixes=some(("US", "US03", "DE")),
    underlying_ids=some((hex_id(ord("T")), hex_id(ord("O")))),
    chains=some(("eip155:3", "eip155:4")),
    sectors=some(("Tech", "Oil")),
    currencies=some(CURRENCIES),
    symbols=some(("A", "B")),
    sources=some(SOURCES),
    include_unknown=st.booleans(),
)
# Most filters name one or two fields; all of them at once match nothing.
sparse = st.builds(
    lambda whole, kept: replace(
        Filter(include_unknown=whole.include_unknown), **{name: getattr(whole, name) for name in kept}
    ),
    filters,
    st.frozensets(
        st.sampled_from([name for name in Filter.__dataclass_fields__ if name != "include_unknown"]), max_size=2
    ),
)


def plainly(chosen: Filter, key: int, core: RelayCore, event_type: int, source: str) -> bool:
    """The rules as written."""
    if chosen.event_types and event_type not in chosen.event_types:
        return False
    if source and chosen.sources and source not in chosen.sources:
        return False
    if chosen.listing_keys and key not in chosen.listing_keys:
        return False
    slot = core.slots.slot_of(key)
    listing = core.replica.listing(slot) if slot >= 0 else None
    if listing is None:
        return chosen.include_unknown
    instrument = core.replica.instrument(slot) or Instrument()
    isins = [one.value for one in instrument.identifiers]
    which = instrument.WhichOneof("details")
    details = getattr(instrument, which) if which else None
    return all(
        (
            not chosen.venues or listing.venue in chosen.venues,
            not chosen.currencies or listing.currency in chosen.currencies,
            not chosen.symbols or listing.symbol in chosen.symbols,
            not chosen.instrument_ids or listing.instrument_id in chosen.instrument_ids,
            not chosen.asset_classes or instrument.asset_class in chosen.asset_classes,
            not chosen.isin_prefixes or any(isin.startswith(tuple(chosen.isin_prefixes)) for isin in isins),
            not chosen.underlying_ids or getattr(details, "underlying_id", "") in chosen.underlying_ids,
            not chosen.chains or getattr(details, "chain", "") in chosen.chains,
            not chosen.sectors or getattr(details, "sector", "") in chosen.sectors,
        )
    )


class Bench:
    """A core with its filter index."""

    def __init__(self) -> None:
        self.core = RelayCore(KernelSettings(capacity=4))
        core = self.core
        self.facets = FacetTable(core.slots, core.replica, DefinitionReader())
        self.gatherer = Gatherer(core.slots, self.facets)
        self.index = FilterIndex(self.compile, lambda: core.slots.count)
        core.on_definition_changed(self.changed)

    def compile(self, wanted: Filter) -> CompiledFilter:
        core = self.core
        return CompiledFilter(wanted, core.slots, core.replica, self.facets, self.gatherer, registry_enabled=True)

    def changed(self, slots: Any) -> None:
        self.facets.refresh(slots)
        self.index.definitions_changed(slots)

    def select(
        self, event_type: int, keys: list[int], source: str, sells: list[int] | None = None
    ) -> dict[Filter, list[int]]:
        self.core.settle()
        layout = OPPORTUNITY if sells else QUOTE
        rows = layout.new(len(keys))
        slots = np.array([self.core.slots.slot_of(key) for key in keys], np.int32)
        others = None if sells is None else np.array([self.core.slots.slot_of(key) for key in sells], np.int32)
        group = RowGroup(event_type, rows.view(np.uint8), slots, 1, others)
        hits = self.index.select(group, source)
        return {held.wanted: list(range(len(keys))) if places is None else places.tolist() for held, places in hits}


steps = st.lists(st.one_of(listings, instruments, sparse, st.sampled_from(KEYS)), min_size=3, max_size=40)


@settings(max_examples=150, deadline=None)
@given(steps, st.lists(st.sampled_from(KEYS), min_size=1, max_size=30), st.sampled_from(SOURCES))
def test_filters_match_as_their_rules_say(script: list[Any], keys: list[int], source: str) -> None:
    bench = Bench()
    held: set[Filter] = set()
    for step in script:
        if isinstance(step, Listing):
            bench.core.replica.apply_listing(step)
        elif isinstance(step, Instrument):
            bench.core.replica.apply_instrument(step)
        elif isinstance(step, Filter):
            if step in held:
                held.discard(step)
                bench.index.release(bench.index.acquire(step))
            else:
                held.add(step)
                bench.index.acquire(step)
        else:
            bench.core.replica.remove_listing(step)
        for chosen_keys in (keys, keys[:1]):
            found = bench.select(2, chosen_keys, source)
            expected = {
                chosen: [k for k, key in enumerate(chosen_keys) if plainly(chosen, key, bench.core, 2, source)]
                for chosen in held
            }
            assert found == {
                chosen: kept
                for chosen, places in expected.items()
                if (kept := [k for k in places if _counts(chosen, chosen_keys[k], bench.core)])
            }


def _counts(chosen: Filter, key: int, core: RelayCore) -> bool:
    """Of a listing without any slot nothing is known, not even that its key is a listed one."""
    return core.slots.slot_of(key) >= 0 or not chosen.listing_keys


def test_more_filters_than_one_word_holds() -> None:
    bench = Bench()
    for key in range(1, 201):
        bench.core.replica.apply_listing(
            Listing(
                listing_id=hex_id(key), listing_key=key, instrument_id=hex_id(300 + key), venue="XA", currency="USD"
            )
        )
    for key in range(1, 201):
        bench.index.acquire(Filter(listing_keys=frozenset({key, key + 1})))
    found = bench.select(2, [3, 150, 3], "S1")
    assert {tuple(sorted(chosen.listing_keys)): places for chosen, places in found.items()} == {
        (2, 3): [0, 2],
        (3, 4): [0, 2],
        (149, 150): [1],
        (150, 151): [1],
    }


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 130), st.frozensets(st.integers(0, 6), max_size=7), st.booleans()),
        max_size=40,
    )
)
def test_what_stands_beside_the_bits_says_what_they_say(
    steps: list[tuple[int, frozenset[int], bool]],
) -> None:
    table = MatchTable()
    expected: dict[int, set[int]] = {row: set() for row in range(7)}
    for step, (number, rows, matches) in enumerate(steps):
        table.widen(number // 64 + 1)
        table.reserve(1024 + 100 * step)
        if matches or rows:
            table.set(number, np.array(sorted(rows), np.int32), matches)
        else:
            table.clear(number)
            rows = frozenset(expected)
        for row in rows:
            (expected[row].add if matches else expected[row].discard)(number)
        words = table.bits.shape[1]
        for row, numbers in expected.items():
            assert table.numbers(row, [2**64 - 1] * words) == sorted(numbers)
            assert table.numbers(row, [1 << 3] * words) == [one for one in sorted(numbers) if one % 64 == 3]
            assert [one for one in range(64 * words) if table.matches(row, one)] == sorted(numbers)


def test_an_opportunity_matches_by_either_leg() -> None:
    bench = Bench()
    for key in (1, 2, 3):
        bench.core.replica.apply_listing(
            Listing(
                listing_id=hex_id(key),
                listing_key=key,
                instrument_id=hex_id(300 + key),
                venue=f"X{key}",
                currency="USD",
            )
        )
    sold_at_two = Filter(venues=frozenset({"X2"}))
    bench.index.acquire(sold_at_two)
    assert bench.select(17, [1, 2, 3], "", [2, 3, 1]) == {sold_at_two: [0, 1]}


def test_a_synthetic_brings_its_components_as_they_change() -> None:
    bench = Bench()
    replica = bench.core.replica
    for key in (1, 2, 3, 4):
        replica.apply_listing(
            Listing(
                listing_id=hex_id(key), listing_key=key, instrument_id=hex_id(100 + key), venue="XA", currency="USD"
            )
        )
    inner = Synthetic(synthetic_id=hex_id(51), listing_key=51, name="inner", formula="b", status=1, formula_version=1)
    inner.components.add(variable="b", instrument_id=hex_id(102))
    outer = Synthetic(
        synthetic_id=hex_id(50), listing_key=50, name="outer", formula="a + c", status=1, formula_version=1
    )
    outer.components.add(variable="a", listing_id=hex_id(1))
    outer.components.add(variable="c", synthetic="inner")
    wanted = Filter(synthetic_ids=frozenset({hex_id(50)}))
    bench.index.acquire(wanted)
    keys = [1, 2, 3, 4]
    assert bench.select(2, keys, "S1") == {}
    replica.apply_synthetic(inner)
    replica.apply_synthetic(outer)
    assert bench.select(2, keys, "S1") == {wanted: [0, 1]}
    assert bench.select(18, [50, 51], "") == {wanted: [0, 1]}
    del outer.components[1]
    outer.components.add(variable="c", listing_id=hex_id(4))
    replica.apply_synthetic(outer)
    assert bench.select(2, keys, "S1") == {wanted: [0, 3]}


@pytest.mark.parametrize(
    ("start", "end", "recorded_to", "counts"),
    [
        (None, None, None, True),
        (None, 101, None, True),
        (None, 100, None, False),
        (100, None, None, True),
        (101, None, None, False),
        (50, 150, None, True),
        (50, 150, 120, False),
    ],
)
def test_an_isin_counts_while_it_is_in_force(
    start: int | None, end: int | None, recorded_to: int | None, counts: bool
) -> None:
    made = make_instrument(1, AssetClass.ASSET_CLASS_EQUITY, ISINS[0], "Tech")
    [isin] = made.identifiers
    for field, seconds in ((isin.valid_from, start), (isin.valid_to, end), (isin.recorded_to, recorded_to)):
        if seconds is not None:
            field.seconds = seconds
    read, _ = DefinitionReader(100 * 10**9).listing(None, made)
    assert read.isins == ((ISINS[0],) if counts else ())
