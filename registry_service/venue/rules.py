"""The rules of a venue: every broken one at once, each with its path in the request."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable
from functools import cache
from typing import Any, Final
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from alphapulse.domain.decimal import ExactDecimal, violation_of
from alphapulse.domain.errors import FieldViolation, InvalidArgument
from alphapulse.domain.identifiers import ISO_3166_ALPHA_2, Caip2, Identifier, Lei, Mic
from registry_service.venue.convert import moment, wire

CODE: Final = re.compile(r"[A-Z0-9_]{2,32}")
NAME_LENGTH: Final = 512
TEXT_LENGTH: Final = 256
URL_LENGTH: Final = 2048
MAX_REPEATED: Final = 64
_CALENDAR: Final = re.compile(r"[A-Za-z0-9_/.+-]{1,64}")
_CURRENCY: Final = re.compile(r"[A-Z0-9]{1,20}")
_ORDER_TYPE: Final = re.compile(r"[A-Z][A-Z0-9_]{0,31}")
_SITE: Final = re.compile(r"(?:https?://)?[^\s/?#@]+\.[^\s/?#@]+(?:[/?#]\S*)?", re.IGNORECASE)
_SCHEMES: Final[dict[int, tuple[str, ...]]] = {
    wire.ENDPOINT_PROTOCOL_REST: ("https", "http"),
    wire.ENDPOINT_PROTOCOL_WEBSOCKET: ("wss", "ws"),
    wire.ENDPOINT_PROTOCOL_FIX: ("tcp", "ssl", "tls", "fix"),
}
_MEASURES: Final = ("volume_24h_usd", "depth_usd", "fill_time_ms", "latency_ms")
_LARGEST_BPS: Final = ExactDecimal(10_000)


@cache
def time_zones() -> frozenset[str]:
    """The IANA names this machine knows."""
    return frozenset(available_timezones())


class _Findings:
    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self.found: list[FieldViolation] = []

    def add(self, field: str, value: object, rule: str, description: str) -> None:
        self.found.append(FieldViolation(f"{self._prefix}.{field}", str(value), rule, description))

    def text(self, field: str, value: str, limit: int) -> None:
        """Bounded and without control characters, which Postgres or a terminal would choke on."""
        if len(value) > limit:
            self.add(field, value, "text-length", f"at most {limit} characters, got {len(value)}")
        elif any(unicodedata.category(char) == "Cc" for char in value):
            self.add(field, value, "text-characters", "control characters are not text")

    def identifier(self, field: str, value: str, kind: type[Identifier]) -> bool:
        broken = kind.broken_rule(value) if value else None
        if broken is not None:
            self.add(field, value, broken.rule, broken.description)
        return broken is None

    def known_enum(self, field: str, number: int, kind: Any, *, required: bool) -> None:
        if number not in kind.values():
            self.add(field, number, "enum-unknown", f"{number} is no value this registry knows")
        elif required and number == 0:
            self.add(field, "", "required", "it is needed")

    def decimal(self, message: Any, name: str, path: str) -> ExactDecimal | None:
        """An optional decimal; None where it is absent or does not fit."""
        if not message.HasField(name):
            return None
        value = getattr(message, name)
        broken = violation_of(value.mantissa, value.exponent)
        if broken is not None:
            self.add(f"{path}.{name}", broken.value, broken.rule, broken.description)
            return None
        return ExactDecimal(value.mantissa, value.exponent)

    def count(self, field: str, items: Any) -> Iterable[tuple[int, Any]]:
        """The items, up to the most there may be; more are one violation."""
        if len(items) > MAX_REPEATED:
            self.add(field, len(items), "too-many", f"at most {MAX_REPEATED}, got {len(items)}")
        return enumerate(items[:MAX_REPEATED])


def venue_violations(venue: wire.Venue, prefix: str = "venue") -> tuple[FieldViolation, ...]:
    """Every rule a venue breaks; empty for a valid one."""
    findings = _Findings(prefix)
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
    _schedules(findings, venue)
    if venue.HasField("capabilities"):
        _capabilities(findings, venue.capabilities)
    if venue.HasField("performance"):
        _performance(findings, venue.performance)
    return tuple(findings.found)


def code_violation(code: str, field: str = "code") -> FieldViolation | None:
    """What is wrong with a code that somebody asks for."""
    if CODE.fullmatch(code) is not None:
        return None
    return FieldViolation(field, code, "venue-code", "a MIC, or 2 to 32 characters of A-Z, 0-9 and _")


def _mic(findings: _Findings, venue: wire.Venue) -> None:
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


def _place(findings: _Findings, venue: wire.Venue) -> None:
    if venue.country and venue.country not in ISO_3166_ALPHA_2:
        findings.add("country", venue.country, "country-unknown", "it is no country of ISO 3166")
    findings.text("city", venue.city, TEXT_LENGTH)
    findings.identifier("lei", venue.lei, Lei)
    if venue.time_zone and venue.time_zone not in time_zones():
        findings.add("time_zone", venue.time_zone, "time-zone-unknown", "it is no name of the IANA time zone database")
    if venue.website and (len(venue.website) > URL_LENGTH or _SITE.fullmatch(venue.website) is None):
        findings.add("website", venue.website, "url", f"a host or an http address of at most {URL_LENGTH} characters")
    if venue.calendar and _CALENDAR.fullmatch(venue.calendar) is None:
        findings.add("calendar", venue.calendar, "calendar-name", "1 to 64 letters, digits and _ / . + -")
    if venue.calendar and venue.always_open:
        findings.add("calendar", venue.calendar, "calendar-always-open", "a venue that never closes has no calendar")
    findings.identifier("chain", venue.chain, Caip2)
    if venue.type == wire.VENUE_TYPE_CHAIN and not venue.chain:
        findings.add("chain", "", "required", "a chain needs its CAIP-2 name")


def _endpoint(findings: _Findings, path: str, endpoint: wire.Endpoint) -> None:
    findings.known_enum(f"{path}.protocol", endpoint.protocol, wire.EndpointProtocol, required=True)
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


def _schedules(findings: _Findings, venue: wire.Venue) -> None:
    spans: list[tuple[float, float]] = []
    for at, schedule in findings.count("fee_schedules", venue.fee_schedules):
        path = f"fee_schedules[{at}]"
        if _CURRENCY.fullmatch(schedule.volume_currency) is None:
            findings.add(
                f"{path}.volume_currency", schedule.volume_currency, "currency-code", "1 to 20 capitals, digits"
            )
        findings.text(f"{path}.source", schedule.source, URL_LENGTH)
        _tiers(findings, path, schedule)
        span = _span(findings, path, schedule)
        if span is None:
            continue
        if any(span[0] < end and start < span[1] for start, end in spans):
            findings.add(path, "", "span-overlap", "two schedules hold at the same time")
        spans.append(span)


def _tiers(findings: _Findings, path: str, schedule: wire.FeeSchedule) -> None:
    if not schedule.tiers:
        findings.add(f"{path}.tiers", "", "required", "a schedule has at least one tier")
    before: ExactDecimal | None = None
    for at, tier in findings.count(f"{path}.tiers", schedule.tiers):
        where = f"{path}.tiers[{at}]"
        for name in ("maker_bps", "taker_bps"):
            fee = findings.decimal(tier, name, where)
            if not tier.HasField(name):
                findings.add(f"{where}.{name}", "", "required", "a tier states both fees")
            elif fee is not None and (fee > _LARGEST_BPS or fee < ExactDecimal(-10_000)):
                findings.add(f"{where}.{name}", fee, "range", "-10000 to 10000 basis points")
        volume = findings.decimal(tier, "min_volume", where) or ExactDecimal(0)
        if at == 0 and volume != ExactDecimal(0):
            findings.add(f"{where}.min_volume", volume, "tier-first", "the first tier holds from 0")
        elif before is not None and volume <= before:
            findings.add(
                f"{where}.min_volume", volume, "tier-order", f"tiers rise, and the one before holds from {before}"
            )
        before = volume


def _span(findings: _Findings, path: str, schedule: wire.FeeSchedule) -> tuple[float, float] | None:
    try:
        start = moment(schedule.valid_from).timestamp() if schedule.HasField("valid_from") else -math.inf
        end = moment(schedule.valid_to).timestamp() if schedule.HasField("valid_to") else math.inf
    except (ValueError, OverflowError):
        findings.add(f"{path}.valid_from", "", "timestamp", "times between the years 1 and 9999")
        return None
    if start >= end:
        findings.add(f"{path}.valid_to", "", "span-order", "valid_to has to be later than valid_from")
        return None
    return start, end


def _capabilities(findings: _Findings, capabilities: wire.Capabilities) -> None:
    for at, name in findings.count("capabilities.order_types", capabilities.order_types):
        if _ORDER_TYPE.fullmatch(name) is None:
            rule = "capitals, digits and _, such as POST_ONLY"
            findings.add(f"capabilities.order_types[{at}]", name, "order-type", rule)
    leverage = findings.decimal(capabilities, "max_leverage", "capabilities")
    if leverage is not None and not leverage.is_positive:
        findings.add("capabilities.max_leverage", leverage, "positive", "it has to be above zero")


def _performance(findings: _Findings, performance: wire.Performance) -> None:
    for name in (*_MEASURES, "slippage_bps", "uptime"):
        value = getattr(performance, name)
        if not math.isfinite(value):
            findings.add(f"performance.{name}", value, "finite", "it has to be a finite number")
        elif name in _MEASURES and value < 0:
            findings.add(f"performance.{name}", value, "not-negative", "it must not be below zero")
        elif name == "uptime" and not 0 <= value <= 1:
            findings.add("performance.uptime", value, "range", "0 to 1")
    try:
        moment(performance.measure_time)
    except (ValueError, OverflowError):
        findings.add("performance.measure_time", "", "timestamp", "a time between the years 1 and 9999")


def require_code(code: str, field: str = "code") -> None:
    """InvalidArgument for what cannot be a code."""
    broken = code_violation(code, field)
    if broken is not None:
        raise InvalidArgument.of((broken,))
