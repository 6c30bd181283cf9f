"""What a venue may say, without a registry."""

from __future__ import annotations

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from alphapulse.api.common.v1.common_pb2 import Decimal
from alphapulse.api.venue.v1 import venue_pb2 as wire
from registry_service.venue.rules import venue_violations

FINER = Timestamp(seconds=1_700_000_000, nanos=1_001)


def venue(**changes: object) -> wire.Venue:
    fields: dict[str, object] = {"code": "XNAS", "mic": "XNAS", "name": "Nasdaq", "type": wire.VENUE_TYPE_EXCHANGE}
    return wire.Venue(**{**fields, **changes})  # type: ignore[arg-type]


def tier(volume: int, maker: int = 1, taker: int = 2) -> wire.FeeTier:
    return wire.FeeTier(
        min_volume=Decimal(mantissa=volume), maker_bps=Decimal(mantissa=maker), taker_bps=Decimal(mantissa=taker)
    )


def fees(*tiers: wire.FeeTier, currency: str = "USD", finer: str = "") -> wire.FeeSchedule:
    schedule = wire.FeeSchedule(tiers=tiers, volume_currency=currency)
    if finer:
        getattr(schedule, finer).CopyFrom(FINER)
    return schedule


def endpoint(url: str, protocol: int = wire.ENDPOINT_PROTOCOL_REST) -> wire.Endpoint:
    return wire.Endpoint(url=url, protocol=wire.EndpointProtocol.ValueType(protocol))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"country": "US", "time_zone": "America/New_York", "calendar": "XNYS", "website": "www.nasdaq.com/markets"},
        {"lei": "549300L8X1Q78ERXFD06", "operating_mic": "XNAS", "mic_level": wire.MIC_LEVEL_OPERATING},
        {"operating_mic": "XNYS", "mic_level": wire.MIC_LEVEL_SEGMENT},
        {"code": "BINANCE", "mic": "", "always_open": True},
        {"fee_schedules": [fees(tier(0, -1), tier(1000))]},
        {"endpoints": [endpoint("wss://a.example/ws", wire.ENDPOINT_PROTOCOL_WEBSOCKET)]},
        {"code": "ETHEREUM", "mic": "", "type": wire.VENUE_TYPE_CHAIN, "chain": "eip155:1"},
    ],
)
def test_a_right_venue_breaks_no_rule(changes: dict[str, object]) -> None:
    assert venue_violations(venue(**changes)) == ()


@pytest.mark.parametrize(
    ("changes", "field", "rule"),
    [
        ({"code": "nasdaq", "mic": ""}, "code", "venue-code"),
        ({"code": "X" * 33, "mic": ""}, "code", "venue-code"),
        ({"code": "NASDAQ"}, "code", "venue-code-mic"),
        ({"mic": "XNASD"}, "mic", "mic-length"),
        ({"mic": "xnas"}, "mic", "mic-format"),
        ({"name": " "}, "name", "required"),
        ({"name": "n" * 10_000_000}, "name", "text-length"),
        ({"name": "a\x00b"}, "name", "text-characters"),
        ({"type": wire.VENUE_TYPE_UNSPECIFIED}, "type", "required"),
        ({"type": 99}, "type", "enum-unknown"),
        ({"status": 99}, "status", "enum-unknown"),
        ({"country": "XX"}, "country", "country-unknown"),
        ({"country": "us"}, "country", "country-unknown"),
        ({"time_zone": "Mars/Olympus"}, "time_zone", "time-zone-unknown"),
        ({"lei": "549300L8X1Q78ERXFD07"}, "lei", "lei-check-digits"),
        ({"website": "n/a"}, "website", "url"),
        ({"calendar": "XNYS", "always_open": True}, "calendar", "calendar-always-open"),
        ({"mic_level": wire.MIC_LEVEL_SEGMENT}, "operating_mic", "mic-level"),
        ({"mic_level": wire.MIC_LEVEL_OPERATING, "operating_mic": "XNYS"}, "operating_mic", "mic-level"),
        ({"type": wire.VENUE_TYPE_CHAIN}, "chain", "required"),
        ({"chain": "ethereum"}, "chain", "caip2-format"),
        ({"endpoints": [endpoint("ftp://a.example")]}, "endpoints[0].url", "url"),
        ({"endpoints": [endpoint("https://a.example:99999")]}, "endpoints[0].url", "url"),
        ({"endpoints": [wire.Endpoint(url="https://a.example")]}, "endpoints[0].protocol", "required"),
        ({"endpoints": [endpoint("https://a.example")] * 65}, "endpoints", "too-many"),
        ({"fee_schedules": [fees()]}, "fee_schedules[0].tiers", "required"),
        ({"fee_schedules": [fees(tier(5))]}, "fee_schedules[0].tiers[0].min_volume", "tier-first"),
        ({"fee_schedules": [fees(tier(0), tier(9), tier(9))]}, "fee_schedules[0].tiers[2].min_volume", "tier-order"),
        ({"fee_schedules": [fees(wire.FeeTier())]}, "fee_schedules[0].tiers[0].maker_bps", "required"),
        ({"fee_schedules": [fees(tier(0, taker=10_001))]}, "fee_schedules[0].tiers[0].taker_bps", "range"),
        ({"fee_schedules": [fees(tier(0), currency="")]}, "fee_schedules[0].volume_currency", "currency-code"),
        ({"fee_schedules": [fees(tier(0)), fees(tier(0))]}, "fee_schedules[1]", "span-overlap"),
        ({"fee_schedules": [fees(tier(0), finer="valid_to")]}, "fee_schedules[0].valid_to", "time-precision"),
        ({"fee_schedules": [fees(tier(0), finer="valid_from")]}, "fee_schedules[0].valid_from", "time-precision"),
        ({"performance": wire.Performance(measure_time=FINER)}, "performance.measure_time", "time-precision"),
        ({"performance": wire.Performance(uptime=1.5)}, "performance.uptime", "range"),
        ({"performance": wire.Performance(latency_ms=float("nan"))}, "performance.latency_ms", "finite"),
        ({"capabilities": wire.Capabilities(order_types=["limit"])}, "capabilities.order_types[0]", "order-type"),
    ],
)
def test_a_wrong_field_is_named_with_its_rule(changes: dict[str, object], field: str, rule: str) -> None:
    found = {(violation.field, violation.rule) for violation in venue_violations(venue(**changes), "v")}
    assert (f"v.{field}", rule) in found


def test_every_violation_comes_at_once() -> None:
    found = venue_violations(wire.Venue(code="x", country="XX", lei="1", time_zone="?"))
    assert {violation.field for violation in found} == {
        *("venue.code", "venue.name", "venue.type", "venue.country", "venue.lei", "venue.time_zone")
    }
