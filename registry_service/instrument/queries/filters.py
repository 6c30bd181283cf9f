"""What filters of lists, searches and watches may ask for: a value that names nothing is refused, not silently matched by nothing.

Whether a venue exists is asked of the venue registry where there is one (`require_venues`); everything else is a rule of form, or of a closed list:
classes, statuses, schemes, ISO 3166 countries, ISO 4217 currencies. Sectors and sources are free texts: any of their length may exist.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

from alphapulse.domain.currencies import ISO_4217, WITHDRAWN
from alphapulse.domain.errors import FieldViolation, InvalidArgument, Unavailable
from alphapulse.domain.identifiers import ISO_3166_ALPHA_2, Caip2
from alphapulse.domain.ids import InstrumentId
from alphapulse.domain.validation import TEXT_LENGTH, VENUE_CODE, VENUE_RULE
from registry_service.instrument.convert import Findings, common, wire
from registry_service.instrument.registering.venues import VenueDirectory

MOST_VALUES: Final = 1000
"""Alternatives of one field."""
_CODE: Final = re.compile(r"[A-Z0-9]{1,20}")
ASSET_CLASSES: Final = common.AssetClass
SCHEMES: Final = common.IdentifierScheme
INSTRUMENT_STATUSES: Final = wire.InstrumentStatus
LISTING_STATUSES: Final = wire.ListingStatus


class Checks:
    """The checks of one request: each takes a repeated field and gives the values to ask for, once each, in order."""

    def __init__(self, findings: Findings, path: str = "") -> None:
        self.findings = findings
        self._path = f"{path}." if path else ""

    def enum(self, kind: Any, values: Sequence[int], field: str) -> tuple[int, ...]:
        """Members of a proto enum; its zero is none."""
        for at, one in self._each(values, field):
            if one == 0 or one not in kind.values():
                name = kind.DESCRIPTOR.name
                self._add(field, at, one, "enum-unknown", f"{one} is no {name} that can be asked for")
        return tuple(dict.fromkeys(values))

    def venues(self, values: Sequence[str], field: str) -> tuple[str, ...]:
        """Codes of venues, by their form."""
        return self._matching(
            values, field, lambda one: VENUE_CODE.fullmatch(one) is not None, "venue-format", VENUE_RULE
        )

    def countries(self, values: Sequence[str], field: str) -> tuple[str, ...]:
        """ISO 3166 alpha-2."""
        known = ISO_3166_ALPHA_2.__contains__
        return self._matching(values, field, known, "country-unknown", "it is no country of ISO 3166, such as DE")

    def currencies(self, values: Sequence[str], field: str) -> tuple[str, ...]:
        """ISO 4217, also those withdrawn: what an instrument can be denominated in."""
        rule = "it is no currency of ISO 4217, such as EUR; what listings are priced in is asked by listing_currencies"
        return self._matching(values, field, lambda one: one in ISO_4217 or one in WITHDRAWN, "currency-unknown", rule)

    def codes(self, values: Sequence[str], field: str) -> tuple[str, ...]:
        """What a listing can be priced in: a currency, or the code of any coin."""
        right = lambda one: _CODE.fullmatch(one) is not None  # noqa: E731
        return self._matching(values, field, right, "currency-code", "1 to 20 capitals and digits, such as USD or USDT")

    def texts(self, values: Sequence[str], field: str) -> tuple[str, ...]:
        """Free texts as registrations may hold them."""
        right = lambda one: 0 < len(one) <= TEXT_LENGTH  # noqa: E731
        return self._matching(values, field, right, "text-length", f"1 to {TEXT_LENGTH} characters")

    def chains(self, values: Sequence[str], field: str) -> tuple[str, ...]:
        """CAIP-2."""
        for at, one in self._each(values, field):
            broken = Caip2.broken_rule(one)
            if broken is not None:
                self._add(field, at, one, broken.rule, broken.description)
        return tuple(dict.fromkeys(values))

    def ids(self, values: Sequence[str], field: str) -> tuple[str, ...]:
        """Instrument ids, as they are stored."""
        found = []
        for at, one in self._each(values, field):
            try:
                found.append(InstrumentId.parse(one, f"{self._path}{field}[{at}]").hex)
            except InvalidArgument as error:
                self.findings.found.extend(error.violations)
        return tuple(dict.fromkeys(found))

    def span(self, message: Any, first: str, last: str) -> tuple[datetime | None, datetime | None]:
        """Two optional times, the first before the last."""
        path = self._path.rstrip(".")
        start, end = self.findings.time(message, first, path), self.findings.time(message, last, path)
        if start is not None and end is not None and start >= end:
            rule = f"{last} must be later than {first}: nothing lies between them"
            self.findings.add(f"{self._path}{last}", end.isoformat(), "span-order", rule)
        return start, end

    def _each(self, values: Sequence[Any], field: str) -> Iterable[tuple[int, Any]]:
        if len(values) > MOST_VALUES:
            rule = f"at most {MOST_VALUES} values, got {len(values)}"
            self.findings.add(f"{self._path}{field}", len(values), "too-many", rule)
            return ()
        return enumerate(values)

    def _matching(self, values: Sequence[str], field: str, right: Any, rule: str, text: str) -> tuple[str, ...]:
        for at, one in self._each(values, field):
            if not right(one):
                self._add(field, at, one, rule, text)
        return tuple(dict.fromkeys(values))

    def _add(self, field: str, at: int, value: object, rule: str, text: str) -> None:
        self.findings.add(f"{self._path}{field}[{at}]", value, rule, text)


async def require_venues(directory: VenueDirectory, values: Sequence[str], field: str) -> None:
    """InvalidArgument for codes that the venue registry does not know. Where it does not answer they pass: reads do not depend on it."""
    if not values:
        return
    try:
        unknown = await directory.unknown(values)
    except Unavailable:
        return
    found = [
        FieldViolation(f"{field}[{at}]", one, "venue-exists", "no venue has this code")
        for at, one in enumerate(values)
        if one in unknown
    ]
    if found:
        raise InvalidArgument.of(found)
