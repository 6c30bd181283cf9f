"""The time zone of a place, where it is certain: from the tables that come with the IANA time zone database."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Final
from zoneinfo import ZoneInfo

_SAMPLES: Final = tuple(datetime(2025, month, 15, tzinfo=UTC) for month in range(1, 13))


def zone_of(country: str, city: str) -> str:
    """The zone of a city in a country (ISO 3166), empty where it is not certain.

    A country whose zones all keep the same time today has one answer; elsewhere the city has to name its own zone, as
    "New York" does.
    """
    zones = _zones().get(country, ())
    wanted = city.strip().lower().replace(" ", "_")
    for zone in zones:
        if wanted and zone.rpartition("/")[2].lower() == wanted:
            return zone
    if zones and len({_offsets(zone) for zone in zones}) == 1:
        return zones[0]
    return ""


@cache
def _zones() -> dict[str, tuple[str, ...]]:
    """Zones by country, in the order of zone.tab."""
    found: dict[str, list[str]] = {}
    text = (files("tzdata") / "zoneinfo" / "zone.tab").read_text(encoding="utf-8")
    for line in text.splitlines():
        if line and not line.startswith("#"):
            country, _, zone = line.split("\t")[:3]
            found.setdefault(country, []).append(zone)
    return {country: tuple(zones) for country, zones in found.items()}


@cache
def _offsets(zone: str) -> tuple[float, ...]:
    offsets = (sample.astimezone(ZoneInfo(zone)).utcoffset() for sample in _SAMPLES)
    return tuple(offset.total_seconds() for offset in offsets if offset is not None)
