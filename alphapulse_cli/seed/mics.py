"""Every market identifier code of ISO 10383 as a venue, from the `iso10383` package."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from importlib.metadata import version
from typing import Any, Final

import iso10383

from alphapulse.api.venue.v1 import venue_pb2 as wire
from alphapulse.domain.identifiers import ISO_3166_ALPHA_2, Lei
from alphapulse_cli.seed.time_zones import zone_of

SOURCE: Final = f"ISO 10383, iso10383 {version('iso10383')}"
CALENDARS: Final = {
    **{
        mic: mic
        for mic in (  # noqa: SIM905 - a list of codes reads better as a text
            "AIXK ASEX BVMF IEPA XAMS XASX XBDA XBEL XBKK XBOG XBOM XBRA XBRU XBSE XBUD XBUE XCBF XCSE XCYS XDUB XDUS "
            "XEEE XETR XEUR XFRA XHAM XHEL XHKG XICE XIDX XIST XJSE XKAR XKLS XKRX XLIM XLIS XLIT XLJU XLON XLUX XMAD "
            "XMEX XMIL XMOS XNYS XNZE XOSL XPAR XPHS XPRA XRIS XSAU XSES XSGO XSHG XSTO XSTU XSWX XTAE XTAI XTAL XTKS "
            "XTSE XWAR XWBO XZAG"
        ).split()
    },
    **dict.fromkeys(("ARCX", "BATS", "OOTC", "XASE", "XNAS"), "XNYS"),
    **dict.fromkeys(("XCME", "XCBT", "XNYM", "XCEC"), "CMES"),
    "XTSX": "XTSE",
}
"""The calendar of `exchange_calendars` for a MIC: its own, or the one the package names as its alias."""
_TYPES: Final[dict[str, wire.VenueType.ValueType]] = {
    "dcms": wire.VENUE_TYPE_DERIVATIVES_EXCHANGE,
    "sefs": wire.VENUE_TYPE_DERIVATIVES_EXCHANGE,
    "casp": wire.VENUE_TYPE_CRYPTO_EXCHANGE,
    "sint": wire.VENUE_TYPE_BROKER,
    "idqs": wire.VENUE_TYPE_OTC,
    "appa": wire.VENUE_TYPE_DATA_SOURCE,
    "trfs": wire.VENUE_TYPE_DATA_SOURCE,
}
"""By market category; every other category is a trading facility."""
_RECORD_STATUS: Final = {
    "active": wire.MIC_STATUS_ACTIVE,
    "updated": wire.MIC_STATUS_UPDATED,
    "expired": wire.MIC_STATUS_EXPIRED,
}
_OFF_MARKET: Final = frozenset({"XOFF", "XXXX", "SINT"})
_SITE: Final = re.compile(r"(?:https?://)?[^\s/?#@,]+\.[^\s/?#@,]+(?:[/?#][^\s,]*)?", re.IGNORECASE)


def venues() -> Iterator[wire.Venue]:
    """2,733 venues: active and expired, operators before their segments."""
    entries = [member.value for member in iso10383.MIC]
    for entry in sorted(entries, key=lambda one: (one.operating_mic is not None, one.mic)):
        yield _venue(entry)


def _venue(entry: Any) -> wire.Venue:
    operator = entry.operating_mic
    country = entry.iso_country_code.name.rstrip("_").upper()
    country = country if country in ISO_3166_ALPHA_2 else ""
    city = entry.city.name.replace("_", " ").strip().title() if entry.city is not None else ""
    city = "" if city == "Zz" else city
    lei = entry.legal_entity_identifier or ""
    expired = entry.status.name == "expired"
    return wire.Venue(
        code=entry.mic,
        name=entry.market_name,
        type=wire.VENUE_TYPE_OTC
        if entry.mic in _OFF_MARKET
        else _TYPES.get(_category(entry), wire.VENUE_TYPE_EXCHANGE),
        status=wire.VENUE_STATUS_EXPIRED if expired else wire.VENUE_STATUS_ACTIVE,
        mic=entry.mic,
        operating_mic=operator.mic if operator is not None else entry.mic,
        mic_level=wire.MIC_LEVEL_SEGMENT if operator is not None else wire.MIC_LEVEL_OPERATING,
        country=country,
        city=city,
        lei=lei if Lei.is_valid(lei) else "",
        time_zone=zone_of(country, city),
        website=_website(entry.website or ""),
        calendar="" if expired else CALENDARS.get(entry.mic, ""),
        source=SOURCE,
        mic_record=_record(entry),
    )


def _record(entry: Any) -> wire.MicRecord:
    """The life cycle as the list has it."""
    return wire.MicRecord(
        status=_RECORD_STATUS[entry.status.name],
        creation_date=_day(entry.creation_date),
        last_update_date=_day(entry.last_update_date),
        last_validation_date=_day(entry.last_validation_date),
        expiry_date=_day(entry.expiry_date),
        category=_category(entry).upper(),
        acronym=_text(entry.acronym),
        # The package spells the name of its field so.
        legal_name=_text(entry.legel_entity_name),
        comments=_text(entry.comments),
    )


def _day(value: date | None) -> str:
    return value.isoformat() if value is not None else ""


def _text(value: str | None) -> str:
    """Without line breaks, which the list has within some remarks."""
    return " ".join((value or "").split())


def _category(entry: Any) -> str:
    return entry.market_category_code.name if entry.market_category_code is not None else ""


def _website(text: str) -> str:
    """The first address in the text; the list has several in one field, and words such as "n/a"."""
    found = _SITE.match(text.strip())
    return found[0].lower() if found is not None else ""
