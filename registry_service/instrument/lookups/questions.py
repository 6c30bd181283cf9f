"""What a look-up asks, checked: a name of a scheme, or one of the registry's own ids."""

from __future__ import annotations

from typing import Final, NamedTuple

from alphapulse.domain.errors import InvalidArgument
from alphapulse.domain.identifiers import Scheme, identifier_type
from alphapulse.domain.ids import InstrumentId, ListingId
from alphapulse.domain.validation import VENUE_CODE, VENUE_LENGTH, VENUE_RULE
from registry_service.instrument.convert import common, service, violation_message
from registry_service.instrument.framing import chunk
from registry_service.instrument.keys import (
    BY_INSTRUMENT,
    BY_LISTING,
    NOT_NAMES,
    PREFIXES,
    VENUE_SCOPED,
    answer_key,
    truth_key,
)
from registry_service.storage.model import IdentifierKey

_INVALID: Final = common.LOOKUP_OUTCOME_INVALID


class Question(NamedTuple):
    """A look-up as it was asked."""

    scheme: int
    """Or BY_INSTRUMENT, BY_LISTING."""
    value: str
    venue: str
    field: str
    """The path of the value in the request."""
    venue_field: str = "venue"
    """The path of the venue."""
    broken: tuple[str, str] | None = None
    """(rule, why) of a question that asks for nothing or for two things."""

    @property
    def cache_key(self) -> str:
        """The key of its cached answer if it is spelled as names are kept; one that no answer has if it cannot be."""
        # A venue with a slash would share its key with another question.
        if self.scheme not in PREFIXES or "/" in self.venue:
            return ""
        return answer_key(self.scheme, self.value, self.venue)


def question(item: service.LookupItem, path: str) -> Question:
    """The question of an item."""
    ids = [name for name in ("instrument_id", "listing_id") if getattr(item, name)]
    venue_field = f"{path}.venue"
    if not ids:
        return Question(item.scheme, item.value, item.venue, f"{path}.value", venue_field)
    name = ids[0]
    broken = None
    if len(ids) > 1 or item.scheme or item.value or item.venue:
        broken = ("one-of", "give scheme and value, or an instrument_id, or a listing_id")
    scheme = BY_INSTRUMENT if name == "instrument_id" else BY_LISTING
    return Question(scheme, getattr(item, name), "", f"{path}.{name}", venue_field, broken)


def canonical(asked: Question) -> IdentifierKey | bytes:
    """The key of a well-formed question, or the finished chunk of an INVALID one."""
    try:
        return _canonical(asked)
    except InvalidArgument as error:
        result = service.LookupResult(outcome=_INVALID, violation=violation_message(error.violations[0]))
        return chunk(1, result.SerializeToString())


def _canonical(asked: Question) -> IdentifierKey:
    scheme, value, venue, field = asked[:4]
    if asked.broken is not None:
        raise InvalidArgument.field(field, value, *asked.broken)
    if scheme == BY_INSTRUMENT:
        return IdentifierKey(scheme, InstrumentId.parse(value, field).hex)
    if scheme == BY_LISTING:
        return IdentifierKey(scheme, ListingId.parse(value, field).hex)
    if scheme not in PREFIXES:
        path = f"{field.rpartition('.')[0]}.scheme".lstrip(".")
        raise InvalidArgument.field(path, str(scheme), "scheme-unknown", "the naming system is unknown")
    text = identifier_type(Scheme(scheme)).canonical(value, field)
    if scheme in NOT_NAMES:
        raise InvalidArgument.field(field, value, "scheme-names-no-instrument", NOT_NAMES[scheme])
    if len(venue) > VENUE_LENGTH or "/" in venue:
        rule = f"a venue's code has at most {VENUE_LENGTH} characters and no slash"
        raise InvalidArgument.field(asked.venue_field, venue, "venue-format", rule)
    if scheme in VENUE_SCOPED and venue and VENUE_CODE.fullmatch(venue) is None:
        raise InvalidArgument.field(asked.venue_field, venue, "venue-format", VENUE_RULE)
    return truth_key(scheme, text, venue)
