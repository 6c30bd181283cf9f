"""The crypto exchanges the platform collects from, from `data/trading_venues.toml`."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from importlib.resources import files
from typing import Any, Final

from alphapulse.api.common.v1 import common_pb2 as common
from alphapulse.api.venue.v1 import venue_pb2 as wire
from alphapulse.domain.decimal import ExactDecimal

SOURCE: Final = "published documentation of the venue"


def venues() -> Iterator[wire.Venue]:
    """The venues, always open, with endpoints, limits and fee schedules."""
    text = (files("alphapulse_cli.seed") / "data" / "trading_venues.toml").read_text(encoding="utf-8")
    for entry in tomllib.loads(text)["venue"]:
        yield wire.Venue(
            code=entry["code"],
            name=entry["name"],
            type=wire.VENUE_TYPE_CRYPTO_EXCHANGE,
            status=wire.VENUE_STATUS_ACTIVE,
            country=entry.get("country", ""),
            website=entry["website"],
            always_open=True,
            endpoints=[_endpoint(one) for one in entry["endpoint"]],
            fee_schedules=[_schedule(one) for one in entry["fees"]],
            capabilities=wire.Capabilities(order_types=entry["order_types"], margin=entry.get("margin", False)),
            source=SOURCE,
        )


def _endpoint(entry: dict[str, Any]) -> wire.Endpoint:
    return wire.Endpoint(
        protocol=wire.EndpointProtocol.Value(f"ENDPOINT_PROTOCOL_{entry['protocol']}"),
        url=entry["url"],
        rate_limit=entry.get("rate_limit", 0),
        rate_interval_ms=entry.get("rate_interval_ms", 0),
        sandbox=entry.get("sandbox", False),
    )


def _schedule(entry: dict[str, Any]) -> wire.FeeSchedule:
    return wire.FeeSchedule(
        tiers=[
            wire.FeeTier(min_volume=_decimal(volume), maker_bps=_decimal(maker), taker_bps=_decimal(taker))
            for volume, maker, taker in entry["tiers"]
        ],
        volume_currency=entry["volume_currency"],
        source=entry["source"],
    )


def _decimal(text: str) -> common.Decimal:
    exact = ExactDecimal.parse(text)
    return common.Decimal(mantissa=exact.mantissa, exponent=exact.exponent)
