"""Venue files: what ships is sound, and a fault of a file is told with file, field, value and rule."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphapulse.api.venue.v1 import venue_pb2 as wire
from alphapulse.domain.decimal import ExactDecimal
from alphapulse.domain.errors import InvalidArgument
from alphapulse_cli.seed import mics, source_venues, trading_venues
from alphapulse_cli.seed.venue_files import read_file, read_folder
from collector_service.ccxt_adapter.catalogue import adapter_of
from collector_service.sources import SOURCES
from collector_service.spec import Verification
from registry_service.venue.calendar_packages import names
from registry_service.venue.rules import venue_violations

SOUND = """
code = "MYVENUE"
name = "My venue"
type = "CRYPTO_EXCHANGE"
always_open = true

[[fee_schedules]]
product = "SPOT"
volume_currency = "USD"
valid_from = 2025-01-01
tiers = [{ min_volume = "0", maker_bps = "-0.5", taker_bps = "2.50" }]
"""


def write(folder: Path, text: str, name: str = "myvenue.toml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def faults(path: Path) -> list[tuple[str, str, str]]:
    with pytest.raises(InvalidArgument) as caught:
        read_file(path)
    return [(one.field, one.value, one.rule) for one in caught.value.violations]


def test_what_ships_is_many_kinds_of_venue_each_with_its_evidence() -> None:
    shipped = [one.venue for one in trading_venues.shipped()]
    kinds = Counter(wire.VenueType.Name(venue.type).removeprefix("VENUE_TYPE_") for venue in shipped)
    assert len(shipped) >= 100
    assert set(kinds) == {
        *("EXCHANGE", "CRYPTO_EXCHANGE", "DEX", "CHAIN", "BROKER", "DERIVATIVES_EXCHANGE", "OTC", "DATA_SOURCE")
    }
    for venue in shipped:
        assert venue.citations, venue.code
        assert not venue.HasField("performance"), f"{venue.code}: what is measured is not shipped"
        for schedule in venue.fee_schedules:
            assert schedule.source.startswith("https://"), venue.code
        if venue.endpoints:
            assert any(one.field == "endpoints" for one in venue.citations), venue.code
        if venue.HasField("capabilities"):
            assert any(one.field == "capabilities" for one in venue.citations) or venue.fee_schedules, venue.code


def missing(venue: wire.Venue) -> list[str]:
    """What a venue's file does not say, of type, connectivity, fees, limits and capabilities, or says without a source that was read on a day."""
    read = {one.field for one in venue.citations if one.url.startswith("https://") and one.checked_date}
    paced = any(one.rate_limit and one.rate_interval_ms for one in venue.endpoints)
    sound = {
        "type": venue.type != wire.VENUE_TYPE_UNSPECIFIED,
        "endpoints": bool(venue.endpoints) and "endpoints" in read,
        "fee_schedules": any(schedule.source.startswith("https://") for schedule in venue.fee_schedules)
        and all(schedule.checked_date for schedule in venue.fee_schedules),
        "limits": ("limits" in read and bool(venue.limits)) or ("endpoints" in read and paced),
        "capabilities": bool(venue.capabilities.order_types and venue.capabilities.products) and "capabilities" in read,
    }
    return [name for name, whole in sound.items() if not whole]


def test_sixty_trading_venues_and_more_have_all_five_each_with_a_source_and_its_day() -> None:
    shipped = [one.venue for one in trading_venues.shipped()]
    whole = {venue.code: venue for venue in shipped if not missing(venue)}
    assert len(whole) >= 65
    assert not {wire.VENUE_TYPE_DATA_SOURCE, wire.VENUE_TYPE_CHAIN} & {venue.type for venue in whole.values()}
    kinds = Counter(venue.type for venue in whole.values())
    assert kinds[wire.VENUE_TYPE_BROKER] >= 3
    assert kinds[wire.VENUE_TYPE_DEX] >= 5
    for code, venue in whole.items():
        for schedule in venue.fee_schedules:
            # What is told of nothing that trades there would never be asked for.
            assert schedule.product in ("", *venue.capabilities.products), (code, schedule.product)
    # The largest are among them, and a venue whose fees no page gave is not.
    assert {"BINANCE", "COINBASE", "OKX", "BYBIT", "BITGET", "DERIBIT", "HYPERLIQUID", "OANDA", "ALPACA"} <= set(whole)
    assert missing(next(venue for venue in shipped if venue.code == "BITMEX")) == ["fee_schedules"]


def test_everything_is_every_mic_and_every_file_and_sound() -> None:
    everything = trading_venues.everything()
    codes = [venue.code for venue in everything]
    assert len(codes) == len(set(codes))
    assert [one for venue in everything for one in venue_violations(venue)] == []
    by_code = {venue.code: venue for venue in everything}
    base = {venue.code: venue for venue in mics.venues()}
    assert set(base) <= set(by_code)
    new_york = by_code["XNYS"]
    assert new_york.mic_record == base["XNYS"].mic_record
    assert new_york.operating_mic == "XNYS"
    assert new_york.session_exceptions[0].first_date == "2025-01-09"
    assert {mic for venue in everything for mic in venue.related_mics} <= set(base)
    assert {venue.calendar for venue in everything} - {""} <= set(names())


def test_every_source_is_of_a_venue_that_is_seeded_and_one_without_a_file_is_told_by_its_source_alone() -> None:
    by_code = {venue.code: venue for venue in trading_venues.everything()}
    assert {source.venue for source in SOURCES.values()} <= set(by_code)
    written = {one.venue.code for one in trading_venues.shipped()} | {venue.code for venue in mics.venues()}
    told = [venue for venue in by_code.values() if venue.source == source_venues.SOURCE]
    assert not written & {venue.code for venue in told}
    for venue in told:
        spec = next(source.spec for source in SOURCES.values() if source.venue == venue.code)
        assert spec is not None
        assert (venue.name, venue.citations[0].url) == (spec.title, spec.documentation)
        # Of what ccxt reads we know no addresses, and nothing was read there.
        read_by_ccxt = adapter_of(next(source for source in SOURCES.values() if source.venue == venue.code)) is not None
        assert bool(venue.citations[0].checked_date) != read_by_ccxt
        assert bool(venue.endpoints) == (Verification.ADAPTER not in spec.verified)
        assert not venue.fee_schedules
        assert not venue.HasField("capabilities")
    assert by_code["NYFED"].type == wire.VENUE_TYPE_DATA_SOURCE
    assert by_code["LIGHTER"].type == wire.VENUE_TYPE_DEX
    assert (by_code["BITCOM"].status, "BITCOM" in written) == (wire.VENUE_STATUS_EXPIRED, True)
    spec = SOURCES["BINANCE_FUTURES"].spec
    assert spec is not None
    sandbox = {one.url for one in by_code["BINANCE_FUTURES"].endpoints if one.sandbox}
    assert sandbox == {spec.endpoints.sandbox_rest, spec.endpoints.sandbox_websocket}


def test_a_file_of_a_source_s_venue_takes_its_place(tmp_path: Path) -> None:
    write(tmp_path, SOUND.replace("MYVENUE", "NYFED"), "nyfed.toml")
    venue = {one.code: one for one in trading_venues.everything([tmp_path])}["NYFED"]
    assert (venue.name, venue.type) == ("My venue", wire.VENUE_TYPE_CRYPTO_EXCHANGE)


def test_the_life_cycle_of_a_mic_is_that_of_the_list() -> None:
    venues = {venue.code: venue for venue in mics.venues()}
    states = Counter(venue.mic_record.status for venue in venues.values())
    assert set(states) == {wire.MIC_STATUS_ACTIVE, wire.MIC_STATUS_UPDATED, wire.MIC_STATUS_EXPIRED}
    expired = [venue for venue in venues.values() if venue.mic_record.status == wire.MIC_STATUS_EXPIRED]
    assert len(expired) >= 503
    assert all(venue.status == wire.VENUE_STATUS_EXPIRED for venue in expired)
    assert sum(bool(venue.mic_record.expiry_date) for venue in expired) > 400


def test_a_file_is_read_exactly(tmp_path: Path) -> None:
    venue = read_file(write(tmp_path, SOUND)).venue
    tier = venue.fee_schedules[0].tiers[0]
    assert (tier.maker_bps.mantissa, tier.maker_bps.exponent) == (-5, -1)
    assert (tier.taker_bps.mantissa, tier.taker_bps.exponent) == (250, -2)
    assert venue.fee_schedules[0].valid_from.seconds == 1735689600


def test_json_is_read_too(tmp_path: Path) -> None:
    entry = {
        "code": "MYVENUE",
        "name": "n",
        "type": "DEX",
        "performance": {"uptime": 0.5, "measure_time": "2025-01-01"},
    }
    venue = read_file(write(tmp_path, json.dumps(entry), "myvenue.json")).venue
    assert venue.performance.uptime == 0.5


@pytest.mark.parametrize(
    ("change", "field", "value", "rule"),
    [
        (("type =", "kind ="), "kind", "CRYPTO_EXCHANGE", "field-unknown"),
        (('"CRYPTO_EXCHANGE"', '"BAZAAR"'), "type", "BAZAAR", "enum-unknown"),
        (('"2.50"', "2.5"), "fee_schedules[0].tiers[0].taker_bps", "2.5", "decimal-text"),
        (('"2.50"', '"2,50"'), "fee_schedules[0].tiers[0].taker_bps", "2,50", "decimal-format"),
        (("2025-01-01", '"soon"'), "fee_schedules[0].valid_from", "soon", "time-format"),
        (("2025-01-01", "2025-01-01T00:00:00"), "fee_schedules[0].valid_from", "2025-01-01 00:00:00", "time-format"),
        (("always_open = true", 'always_open = "yes"'), "always_open", "yes", "type"),
        (('"SPOT"', '"BARTER"'), "fee_schedules[0].product", "BARTER", "product-unknown"),
        (('min_volume = "0"', 'min_volume = "5"'), "fee_schedules[0].tiers[0].min_volume", "5", "tier-first"),
        (("always_open = true", 'etag = "1"'), "etag", "1", "field-unknown"),
        (("always_open = true", 'calendar = "XNYSE"'), "calendar", "XNYSE", "calendar-unknown"),
        (("always_open = true", "endpoints = 5"), "endpoints", "5", "list"),
        (("always_open = true", "capabilities = 5"), "capabilities", "5", "table"),
        (('"MYVENUE"', '"OTHER"'), "code", "OTHER", "file-name"),
    ],
)
def test_a_fault_is_told_with_file_field_value_and_rule(
    tmp_path: Path, change: tuple[str, str], field: str, value: str, rule: str
) -> None:
    assert change[0] in SOUND
    assert faults(write(tmp_path, SOUND.replace(*change))) == [(f"myvenue.toml: {field}", value, rule)]


@pytest.mark.parametrize("text", ["code = ", "\\x00", '{"code": 1}', "[" * 5000])
def test_what_is_no_toml_says_so(tmp_path: Path, text: str) -> None:
    assert [fault[2] for fault in faults(write(tmp_path, text))] == ["file-format"]


def test_all_faults_of_all_files_come_at_once(tmp_path: Path) -> None:
    write(tmp_path, SOUND.replace('"SPOT"', '"BARTER"'))
    write(tmp_path, SOUND.replace("MYVENUE", "OTHER").replace('"CRYPTO', '"CRYPT'), "other.toml")
    write(tmp_path, "not a venue", "notes.txt")
    with pytest.raises(InvalidArgument) as caught:
        read_folder(tmp_path)
    assert [one.field for one in caught.value.violations] == [
        "myvenue.toml: fee_schedules[0].product",
        "other.toml: type",
    ]


def test_one_venue_in_two_files_is_refused(tmp_path: Path) -> None:
    write(tmp_path, SOUND)
    write(tmp_path, json.dumps({"code": "MYVENUE", "name": "n", "type": "DEX"}), "myvenue.json")
    with pytest.raises(InvalidArgument) as caught:
        read_folder(tmp_path)
    assert [one.rule for one in caught.value.violations] == ["code-taken"]


def test_a_users_file_holds_over_what_ships(tmp_path: Path) -> None:
    text = SOUND.replace("MYVENUE", "BINANCE").replace("My venue", "Binance, as we trade it")
    write(tmp_path, text, "binance.toml")
    write(tmp_path, SOUND)
    venues = {venue.code: venue for venue in trading_venues.everything([tmp_path])}
    assert venues["BINANCE"].name == "Binance, as we trade it"
    assert len(venues["BINANCE"].fee_schedules) == 1
    assert len(venues["BINANCE"].endpoints) > 3
    assert "MYVENUE" in venues


@given(st.decimals(allow_nan=False, allow_infinity=False, places=9, min_value=-1000, max_value=1000))
def test_no_digit_of_a_decimal_is_lost(tmp_path_factory: pytest.TempPathFactory, fee: object) -> None:
    text = SOUND.replace('"2.50"', f'"{fee:f}"')
    venue = read_file(write(tmp_path_factory.mktemp("venues"), text)).venue
    held = venue.fee_schedules[0].tiers[0].taker_bps
    assert ExactDecimal(held.mantissa, held.exponent) == ExactDecimal.parse(f"{fee:f}")
