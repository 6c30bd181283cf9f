"""Preferences between listings: which rule chose, from how many, and what it left. Nothing is left out without a rule that is told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import IntEnum
from typing import Final, TypeVar

from alphapulse.domain.outcomes import LookupOutcome
from registry_service.instrument.lookups.outcomes import Decision
from registry_service.storage.model import EntityKind, IdentifierRow

T = TypeVar("T")


class Rule(IntEnum):
    """Which rule it was. Numbers equal the API's enum ListingRule."""

    PRIMARY_ONLY = 1
    NO_PRIMARY = 2
    PREFERRED_VENUE = 3
    NO_PREFERRED_VENUE = 4


_NOTHING_CHOSEN: Final = (Rule.NO_PRIMARY, Rule.NO_PREFERRED_VENUE)


@dataclass(frozen=True, slots=True)
class Preferences:
    """What a caller asks beyond the name."""

    as_of: datetime | None = None
    primary_only: bool = False
    venues: tuple[str, ...] = ()

    @property
    def choose(self) -> bool:
        """Whether listings are to be chosen between."""
        return self.primary_only or bool(self.venues)


@dataclass(frozen=True, slots=True)
class Choice:
    """A rule that was applied, and what it left."""

    rule: Rule
    considered: int
    kept: int
    venue: str = ""
    place: int = 0
    """Of the venue among those preferred."""
    instrument_id: str = ""
    """Empty: between the listings of several instruments."""

    def __str__(self) -> str:
        """As an explanation tells it."""
        match self.rule:
            case Rule.PRIMARY_ONLY:
                return f"primary_only: {self.kept} of {self.considered} listings"
            case Rule.NO_PRIMARY:
                return "primary_only: no listing in force is marked primary, all are given"
            case Rule.PREFERRED_VENUE:
                return f"preferred_venues[{self.place}] {self.venue}: {self.kept} of {self.considered} listings"
            case Rule.NO_PREFERRED_VENUE:
                return f"preferred_venues: none of them has a listing in force, {self.kept} are given"


def choose(
    listings: Sequence[T],
    wanted: Preferences,
    *,
    venue_of: Callable[[T], str],
    primary: Callable[[T], bool],
    instrument_id: str = "",
) -> tuple[list[T], list[Choice]]:
    """Those a caller wants of several, and by which rules. `venue_of` is empty, and `primary` false, for one that is not in force: it is never
    preferred. What nothing prefers is given whole rather than not at all."""
    kept: list[T] = list(listings)
    choices: list[Choice] = []
    if not kept:
        return kept, choices
    if wanted.primary_only:
        found = [one for one in kept if primary(one)]
        rule = Rule.PRIMARY_ONLY if found else Rule.NO_PRIMARY
        choices.append(Choice(rule, len(kept), len(found or kept), instrument_id=instrument_id))
        kept = found or kept
    if wanted.venues:
        by_venue = [
            (at, venue, [one for one in kept if venue_of(one) == venue]) for at, venue in enumerate(wanted.venues)
        ]
        at, venue, there = next((one for one in by_venue if one[2]), (0, "", []))
        rule = Rule.PREFERRED_VENUE if there else Rule.NO_PREFERRED_VENUE
        choices.append(Choice(rule, len(kept), len(there or kept), venue, at, instrument_id))
        kept = there or kept
    return kept, choices


def prefer(
    decision: Decision,
    wanted: Preferences,
    venue_of: Callable[[IdentifierRow], str],
    primary: Callable[[IdentifierRow], bool],
) -> tuple[Decision, list[Choice]]:
    """The decision after preferences between listings. Only assertions that say where they hold are chosen between; who bears the name everywhere
    stays, and so does the doubt."""
    placed = [row for row in decision.rows if row.target_kind is EntityKind.LISTING or row.venue]
    if not placed or decision.outcome not in (LookupOutcome.RESOLVED, LookupOutcome.AMBIGUOUS):
        return decision, []
    holders = {row.instrument_id for row in placed}
    owner = next(iter(holders)) if len(holders) == 1 else ""
    kept, choices = choose(placed, wanted, venue_of=venue_of, primary=primary, instrument_id=owner)
    if all(one.rule in _NOTHING_CHOSEN for one in choices):
        return decision, choices
    left = [row for row in decision.rows if row in kept or row not in placed]
    alone = len({row.instrument_id for row in left}) == 1
    return (
        replace(
            decision,
            outcome=LookupOutcome.RESOLVED if alone else LookupOutcome.AMBIGUOUS,
            rows=tuple(left),
            spans=() if alone else tuple(left),
            explanation="" if alone else decision.explanation,
        ),
        choices,
    )
