"""The rules of a venue: every broken one at once, each with its path in the request."""

from __future__ import annotations

import math
import re
from functools import cache
from typing import Final
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from alphapulse.domain.errors import FieldViolation, InvalidArgument
from alphapulse.domain.identifiers import ISO_3166_ALPHA_2, Caip2, Lei, Mic
from registry_service.venue.calendar_names import calendar_violation
from registry_service.venue.convert import wire
from registry_service.venue.exception_rules import exception_findings
from registry_service.venue.fee_rules import CURRENCY, PRODUCTS, fee_findings
from registry_service.venue.findings import Findings

CODE: Final = re.compile(r"[A-Z0-9_]{2,32}")
NAME_LENGTH: Final = 512
TEXT_LENGTH: Final = 256
URL_LENGTH: Final = 2048
_CALENDAR: Final = re.compile(r"(?=.{1,64}\Z)[A-Za-z0-9_/.+-]+(?: [A-Za-z0-9_/.+-]+)*")
_ORDER_TYPE: Final = re.compile(r"[A-Z][A-Z0-9_]{0,31}")
_SITE: Final = re.compile(r"(?:https?://)?[^\s/?#@]+\.[^\s/?#@]+(?:[/?#]\S*)?", re.IGNORECASE)
_SCHEMES: Final[dict[int, tuple[str, ...]]] = {
    wire.ENDPOINT_PROTOCOL_REST: ("https", "http"),
    wire.ENDPOINT_PROTOCOL_WEBSOCKET: ("wss", "ws"),
    wire.ENDPOINT_PROTOCOL_FIX: ("tcp", "ssl", "tls", "fix"),
}
_MEASURES: Final = ("volume_24h_usd", "depth_usd", "fill_time_ms", "latency_ms")


@cache
def time_zones() -> frozenset[str]:
    """The IANA names this machine knows."""
    return frozenset(available_timezones())


def venue_violations(venue: wire.Venue, prefix: str = "venue") -> tuple[FieldViolation, ...]:
    """Every rule a venue breaks; empty for a valid one."""
    findings = Findings(prefix)
    if CODE.fullmatch(venue.code) is None:
        findings.add("code", venue.code, "venue-code", "a MIC, or 2 to 32 characters of A-Z, 0-9 and _")
    if not venue.name.strip():
        findings.add("name", "", "required", "a venue needs a name")
    findings.text("name", venue.name, NAME_LENGTH)
    findings.known_enum("type", venue.type, wire.VenueType, required=True)
    findings.known_enum("status", venue.status, wire.VenueStatus, required=False)
    _mic(findings, venue)
    _place(findings, venue)
    findings.text("source", venue.source, TEXT_LENGTH)
    for at, endpoint in findings.count("endpoints", venue.endpoints):
        _endpoint(findings, f"endpoints[{at}]", endpoint)
    fee_findings(findings, venue.fee_schedules)
    if venue.HasField("capabilities"):
        _capabilities(findings, venue.capabilities)
    if venue.HasField("performance"):
        _performance(findings, venue.performance)
    _evidence(findings, venue)
    if venue.HasField("mic_record"):
        _record(findings, venue)
    exception_findings(findings, venue)
    return tuple(findings.found)


def registered_violations(venue: wire.Venue, prefix: str = "venue", known_calendar: str = "") -> list[FieldViolation]:
    """Every rule a venue that is sent breaks, with that of its calendar's name. Reads the names of calendars: call `known_names` in a thread
    before."""
    broken = list(venue_violations(venue, prefix))
    field = f"{prefix}.calendar" if prefix else "calendar"
    if venue.calendar != known_calendar and not any(one.field == field for one in broken):
        unknown = calendar_violation(venue.calendar, field)
        broken += [unknown] if unknown is not None else []
    return broken


def code_violation(code: str, field: str = "code") -> FieldViolation | None:
    """What is wrong with a code that somebody asks for."""
    if CODE.fullmatch(code) is not None:
        return None
    return FieldViolation(field, code, "venue-code", "a MIC, or 2 to 32 characters of A-Z, 0-9 and _")


def _mic(findings: Findings, venue: wire.Venue) -> None:
    findings.known_enum("mic_level", venue.mic_level, wire.MicLevel, required=False)
    formed = findings.identifier("mic", venue.mic, Mic)
    findings.identifier("operating_mic", venue.operating_mic, Mic)
    if venue.mic and formed and venue.code != venue.mic:
        findings.add("code", venue.code, "venue-code-mic", f"a venue with the MIC {venue.mic} has it as its code")
    level = venue.mic_level
    if level and not venue.mic:
        findings.add(
            "mic_level", wire.MicLevel.Name(level) if level in (1, 2) else level, "mic-level", "there is no MIC"
        )
    elif level == wire.MIC_LEVEL_OPERATING and venue.operating_mic not in ("", venue.mic):
        findings.add("operating_mic", venue.operating_mic, "mic-level", "an operating MIC is its own operator")
    elif level == wire.MIC_LEVEL_SEGMENT and venue.operating_mic in ("", venue.mic):
        findings.add("operating_mic", venue.operating_mic, "mic-level", "a segment has the MIC of its operator")


def _place(findings: Findings, venue: wire.Venue) -> None:
    if venue.country and venue.country not in ISO_3166_ALPHA_2:
        findings.add("country", venue.country, "country-unknown", "it is no country of ISO 3166")
    findings.text("city", venue.city, TEXT_LENGTH)
    findings.identifier("lei", venue.lei, Lei)
    if venue.time_zone and venue.time_zone not in time_zones():
        findings.add("time_zone", venue.time_zone, "time-zone-unknown", "it is no name of the IANA time zone database")
    if venue.website and (len(venue.website) > URL_LENGTH or _SITE.fullmatch(venue.website) is None):
        findings.add("website", venue.website, "url", f"a host or an http address of at most {URL_LENGTH} characters")
    if venue.calendar and _CALENDAR.fullmatch(venue.calendar) is None:
        findings.add(
            "calendar", venue.calendar, "calendar-name", "1 to 64 letters, digits, single spaces and _ / . + -"
        )
    if venue.calendar and venue.always_open:
        findings.add("calendar", venue.calendar, "calendar-always-open", "a venue that never closes has no calendar")
    findings.identifier("chain", venue.chain, Caip2)
    if venue.type == wire.VENUE_TYPE_CHAIN and not venue.chain:
        findings.add("chain", "", "required", "a chain needs its CAIP-2 name")


def _endpoint(findings: Findings, path: str, endpoint: wire.Endpoint) -> None:
    findings.known_enum(f"{path}.protocol", endpoint.protocol, wire.EndpointProtocol, required=True)
    findings.text(f"{path}.purpose", endpoint.purpose, TEXT_LENGTH)
    findings.text(f"{path}.rate_unit", endpoint.rate_unit, TEXT_LENGTH)
    schemes = _SCHEMES.get(endpoint.protocol, ())
    if len(endpoint.url) > URL_LENGTH:
        findings.add(f"{path}.url", endpoint.url, "url", f"at most {URL_LENGTH} characters")
    elif schemes and not _address(endpoint.url, schemes):
        findings.add(f"{path}.url", endpoint.url, "url", f"an address that starts with {' or '.join(schemes)}://")
    if bool(endpoint.rate_limit) != bool(endpoint.rate_interval_ms):
        shown = f"{endpoint.rate_limit} in {endpoint.rate_interval_ms} ms"
        findings.add(f"{path}.rate_limit", shown, "rate-limit", "a limit and its interval come together")


def _address(url: str, schemes: tuple[str, ...]) -> bool:
    try:
        parts = urlsplit(url)
        port_fits = parts.port is None or parts.port > 0
    except ValueError:
        return False
    return parts.scheme in schemes and bool(parts.hostname) and port_fits and not re.search(r"\s", url)


def _capabilities(findings: Findings, capabilities: wire.Capabilities) -> None:
    for at, name in findings.count("capabilities.order_types", capabilities.order_types):
        if _ORDER_TYPE.fullmatch(name) is None:
            rule = "capitals, digits and _, such as POST_ONLY"
            findings.add(f"capabilities.order_types[{at}]", name, "order-type", rule)
    for name in ("max_leverage", "min_order_value", "max_order_value"):
        value = findings.decimal(capabilities, name, "capabilities")
        if value is not None and not value.is_positive:
            findings.add(f"capabilities.{name}", value, "positive", "it has to be above zero")
    valued = capabilities.HasField("min_order_value") or capabilities.HasField("max_order_value")
    currency = capabilities.order_value_currency
    if valued and not currency:
        findings.add("capabilities.order_value_currency", "", "required", "a value needs its currency")
    if currency and CURRENCY.fullmatch(currency) is None:
        findings.add("capabilities.order_value_currency", currency, "currency-code", "1 to 20 capitals, digits")
    for at, product in findings.count("capabilities.products", capabilities.products):
        if product not in PRODUCTS:
            findings.add(f"capabilities.products[{at}]", product, "product-unknown", f"one of {', '.join(PRODUCTS)}")


def _performance(findings: Findings, performance: wire.Performance) -> None:
    for name in (*_MEASURES, "slippage_bps", "uptime", "reliability"):
        value = getattr(performance, name)
        if not math.isfinite(value):
            findings.add(f"performance.{name}", value, "finite", "it has to be a finite number")
        elif name in _MEASURES and value < 0:
            findings.add(f"performance.{name}", value, "not-negative", "it must not be below zero")
        elif name in ("uptime", "reliability") and not 0 <= value <= 1:
            findings.add(f"performance.{name}", value, "range", "0 to 1")
    findings.text("performance.source", performance.source, TEXT_LENGTH)
    # A figure without its time would be taken for one of today for ever.
    findings.time(performance, "measure_time", "performance", required=True, kept=True)


def _evidence(findings: Findings, venue: wire.Venue) -> None:
    for at, limit in findings.count("limits", venue.limits):
        findings.text(f"limits[{at}].name", limit.name, TEXT_LENGTH)
        findings.text(f"limits[{at}].scope", limit.scope, TEXT_LENGTH)
        if not limit.name.strip():
            findings.add(f"limits[{at}].name", "", "required", "a limit says what it bounds")
        if limit.value <= 0:
            findings.add(f"limits[{at}].value", limit.value, "positive", "it has to be above zero")
    fields = wire.Venue.DESCRIPTOR.fields_by_name
    for at, citation in findings.count("citations", venue.citations):
        path = f"citations[{at}]"
        if citation.field not in fields:
            findings.add(f"{path}.field", citation.field, "citation-field", "a field of Venue, such as endpoints")
        if not _address(citation.url, ("https", "http")) or len(citation.url) > URL_LENGTH:
            findings.add(f"{path}.url", citation.url, "url", "an address that starts with https:// or http://")
        findings.day(f"{path}.checked_date", citation.checked_date)
        findings.text(f"{path}.note", citation.note, NAME_LENGTH)
    for at, mic in findings.count("related_mics", venue.related_mics):
        findings.identifier(f"related_mics[{at}]", mic, Mic)
        if mic == venue.mic:
            findings.add(f"related_mics[{at}]", mic, "related-itself", "it is the venue's own MIC")


def _record(findings: Findings, venue: wire.Venue) -> None:
    record = venue.mic_record
    findings.known_enum("mic_record.status", record.status, wire.MicStatus, required=False)
    names = ("creation_date", "last_update_date", "last_validation_date", "expiry_date")
    days = {name: findings.day(f"mic_record.{name}", getattr(record, name)) for name in names}
    if not venue.mic:
        findings.add("mic_record", "", "mic-record", "there is no MIC")
    created, expiry = days["creation_date"], days["expiry_date"]
    if created is not None and expiry is not None and expiry < created:
        findings.add("mic_record.expiry_date", expiry, "span-order", "a MIC does not expire before it is created")
    for name in ("category", "acronym", "legal_name", "comments"):
        findings.text(f"mic_record.{name}", getattr(record, name), URL_LENGTH)


def request_findings(code: str, field: str = "code") -> Findings:
    """The findings of a request, begun with its code."""
    findings = Findings("")
    broken = code_violation(code, field)
    if broken is not None:
        findings.found.append(broken)
    return findings


def require_code(code: str, field: str = "code") -> None:
    """InvalidArgument for what cannot be a code."""
    broken = code_violation(code, field)
    if broken is not None:
        raise InvalidArgument.of((broken,))
