"""What a source may send: the event types of its domain, without those that the relay makes itself."""

from __future__ import annotations

from typing import Final

from alphapulse.domain.domains import Domain
from alphapulse.domain.errors import WrongDomain
from alphapulse.records import LAYOUTS, OPPORTUNITY, SYNTHETIC_UPDATE

DERIVED_TYPES: Final = frozenset({OPPORTUNITY.event_type, SYNTHETIC_UPDATE.event_type})
"""What the relay makes itself: refused from a source."""
ACCEPTED: Final = {
    domain: {kind: one for kind, one in LAYOUTS.items() if one.domain is domain and kind not in DERIVED_TYPES}
    for domain in Domain
}
"""Layouts by event type, for each domain."""


def refusal_of(event_type: int) -> str:
    """Why a type that is not in `ACCEPTED` of the source's domain is refused."""
    known = event_type in LAYOUTS and event_type not in DERIVED_TYPES
    return WrongDomain.reason if known else "TYPE_NOT_ACCEPTED"
