"""What a price or a time says of an event is marked on it, keeps it out of opportunities, and never alters or drops it."""

from __future__ import annotations

from typing import Any

import pytest

from alphapulse.domain.domains import Domain
from alphapulse.domain.provenance import RecordFlag
from alphapulse.records import BOOK_LEVEL, TRADE, RecordLayout
from relay_service.accepted import ACCEPTED
from relay_service.core import RelayCore
from relay_service.kernel.engine import KernelSettings

SECOND = 1_000_000_000
NOW = 1_700_000_000 * SECOND
REPLAY = 2


@pytest.fixture
def core(build: Any) -> RelayCore:
    """Two venues of one instrument, gates of one second and a tenth of the price for ten seconds."""
    made = RelayCore(KernelSettings(stale_ns=SECOND, price_band=0.1, price_band_age_ns=10 * SECOND))
    made.replica.apply_instrument(build.instrument(9))
    for key, venue in ((1, "ONE"), (2, "TWO")):
        made.replica.apply_listing(build.listing(key, 9, venue))
    made.settle()
    return made


def flags_of(result: Any) -> int:
    return int(result.groups[0].rows["flags"][0])


def is_banded(result: Any) -> bool:
    return bool(flags_of(result) & RecordFlag.PRICE_BAND)


def trade(feeder: Any, build: Any, now_ns: int, price: int, **fields: Any) -> Any:
    row = {"listing_key": 1, "price": price, "price_exponent": -2, "size": 1} | fields
    return feeder.send(TRADE, build.rows(TRADE, [row]), now_ns)


def test_an_event_is_stale_when_it_took_longer_than_allowed_and_a_replay_never_is(feeder: Any, build: Any) -> None:
    for delay, marked in ((SECOND, False), (SECOND + 1, True), (-SECOND, False)):
        found = feeder.quotes(NOW, build.quote(1, 9990, 10000, venue_time_ns=NOW - delay))
        assert bool(flags_of(found) & RecordFlag.STALE) is marked, delay
    assert not flags_of(feeder.quotes(NOW, build.quote(1, 9990, 10000))) & RecordFlag.STALE, "its venue gave no time"


def test_a_replay_bears_the_time_of_its_recording(core: RelayCore, build: Any) -> None:
    source = core.sources.claim("TAPE", 1, REPLAY)[0]
    rows = build.quotes(build.quote(1, 9990, 10000, venue_time_ns=1, flags=REPLAY))
    assert not flags_of(core.accept(source, 2, rows, 1, NOW)) & RecordFlag.STALE


def test_a_stale_quote_makes_no_opportunity(core: RelayCore, feeder: Any, build: Any) -> None:
    feeder.quotes(NOW, build.quote(1, 9990, 10000, venue_time_ns=NOW))
    late = feeder.quotes(NOW, build.quote(2, 10100, 10110, venue_time_ns=NOW - 2 * SECOND))
    assert len(late.groups) == 1
    assert core.counters().rejected_candidates == {"STALE": 1}
    assert len(feeder.quotes(NOW, build.quote(2, 10100, 10110, venue_time_ns=NOW)).groups) == 2


def test_a_price_outside_the_band_is_marked_and_moves_nothing(feeder: Any, build: Any) -> None:
    assert not is_banded(trade(feeder, build, NOW, 10000)), "nothing to compare the first one with"
    assert not is_banded(trade(feeder, build, NOW, 11000)), "the edge belongs to the band"
    assert is_banded(trade(feeder, build, NOW, 12101))
    assert not is_banded(trade(feeder, build, NOW, 12100)), "the one marked is not what the next is compared with"
    assert is_banded(trade(feeder, build, NOW, 1)), "downwards, too"
    level = {"listing_key": 1, "price": 1, "price_exponent": -2, "size": 1}
    assert not is_banded(feeder.send(BOOK_LEVEL, build.rows(BOOK_LEVEL, [level]), NOW)), "books reach far"


def test_after_a_while_the_market_is_where_it_says_it_is(feeder: Any, build: Any) -> None:
    trade(feeder, build, NOW, 10000)
    assert is_banded(trade(feeder, build, NOW + 10 * SECOND, 20000))
    assert not is_banded(trade(feeder, build, NOW + 10 * SECOND + 1, 20000))


def test_a_few_ticks_are_never_outside(feeder: Any, build: Any) -> None:
    trade(feeder, build, NOW, 5)  # hundredths, and the tick is one
    assert not is_banded(trade(feeder, build, NOW, 15))
    assert is_banded(trade(feeder, build, NOW, 26))


def test_a_quote_is_judged_by_both_sides_and_a_wide_one_judges_nobody(feeder: Any, build: Any) -> None:
    feeder.quotes(NOW, build.quote(1, 100, 20000))
    assert not is_banded(feeder.quotes(NOW, build.quote(1, 9990, 10010)))
    assert is_banded(feeder.quotes(NOW, build.quote(1, 8000, 10010)))
    assert is_banded(feeder.quotes(NOW, build.quote(1, 9990, 12000)))
    assert is_banded(trade(feeder, build, NOW, 12000)), "the middle of the narrow quote holds"
    absent = int(RecordFlag.ASK_ABSENT) | 1
    assert not is_banded(feeder.quotes(NOW, build.quote(1, 9990, 0, flags=absent))), (
        "a side that is not there is not judged"
    )


def test_prices_of_another_provenance_say_nothing_of_this_one(core: RelayCore, feeder: Any, build: Any) -> None:
    trade(feeder, build, NOW, 10000)
    source = core.sources.claim("SIMULATOR", 1, 3)[0]
    row = {"listing_key": 1, "price": 50000, "price_exponent": -2, "size": 1, "flags": 3}
    assert not is_banded(core.accept(source, TRADE.event_type, build.rows(TRADE, [row]), 1, NOW))


def test_a_quote_outside_the_band_makes_no_opportunity(core: RelayCore, feeder: Any, build: Any) -> None:
    feeder.quotes(NOW, build.quote(1, 9990, 10000))
    feeder.quotes(NOW, build.quote(2, 9990, 10000))
    fat = feeder.quotes(NOW, build.quote(2, 19990, 20000))
    assert len(fat.groups) == 1
    assert core.counters().rejected_candidates == {"PRICE_BAND": 1}
    assert len(feeder.quotes(NOW, build.quote(2, 10100, 10110)).groups) == 2


def test_gates_of_zero_mark_nothing(build: Any) -> None:
    core = RelayCore(KernelSettings(stale_ns=0, price_band=0.0))
    source = core.sources.claim("TEST", 1, 1)[0]
    for number, price in enumerate((10000, 1, 10**9), 1):
        row = {"listing_key": 1, "price": price, "price_exponent": -2, "venue_time_ns": 1}
        found = core.accept(source, TRADE.event_type, build.rows(TRADE, [row]), number, NOW)
        assert not flags_of(found) & (RecordFlag.STALE | RecordFlag.PRICE_BAND)


@pytest.mark.parametrize(
    ("layout", "name"),
    [
        (layout, name)
        for layout in ACCEPTED[Domain.MARKET].values()
        for name in layout.fields
        if name.endswith("exponent")
    ],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_an_exponent_that_no_decimal_has_refuses_its_row_alone(
    core: RelayCore, feeder: Any, build: Any, layout: RecordLayout, name: str
) -> None:
    exponents = [-2, 127, 128, 255, 256, -128, -129, -256, 2**31 - 1, -(2**31), 0]
    result = feeder.send(layout, build.rows(layout, [{"listing_key": 1, name: one} for one in exponents]), NOW)
    assert [one for group in result.groups for one in group.rows[name].tolist()] == [-2, 127, -128, 0]
    assert result.rejected == 7
    assert core.counters().rejects == {"EXPONENT_RANGE": 7}
