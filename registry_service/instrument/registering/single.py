"""Names of which an instrument has one at a time: its ISIN, its CUSIP, its SEDOL; and codes of its kind, which must not contradict each other.

| where a second one comes from | what becomes of it |
|---|---|
| one entry, or one update, that claims both | refused: only who sent it can say which is right, or since when |
| an entry that claims another than the one held | a case, SECOND_IDENTIFIER; the other one stays kept back until a person decides |
| an event that ends the one and begins the other | taken: at each time there is one |
| MERGE, KEEP_BOTH | taken, and marked `beside`, so that an export tells of the decision and an import of it holds |

A SEDOL counts at level INSTRUMENT: those of several countries' markets stand at COMPOSITE or LISTING.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

from alphapulse.domain.errors import FieldViolation
from alphapulse.domain.identifiers import Cfi, Level, Scheme
from alphapulse.domain.instruments import IdentifierAssertion
from registry_service.instrument.registering.rules import comparable, derived_mismatch, overlap

_SINGLE: Final = frozenset({Scheme.ISIN, Scheme.CUSIP, Scheme.SEDOL, Scheme.CFI})
_EVER, _NEVER = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


def rival(held: Iterable[IdentifierAssertion], claim: IdentifierAssertion) -> IdentifierAssertion | None:
    """Which of the names held an instrument cannot bear together with another; None where it can bear it."""
    if claim.scheme not in _SINGLE or claim.level is not Level.INSTRUMENT:
        return None
    return next((one for one in held if _contradict(one, claim)), None)


def second(claim: IdentifierAssertion, held: IdentifierAssertion) -> str:
    """What is said of a claim beside what is held."""
    what = "another kind of thing than" if claim.scheme is Scheme.CFI else "borne at the same time as"
    return f"{claim.scheme.name} {claim.value} is {what} {held.scheme.name} {held.value}"


def several_at_once(identifiers: Sequence[IdentifierAssertion], *, sound: bool) -> list[FieldViolation]:
    """The identifiers of one entry that it cannot bear together with one before them. `sound`: each is known to be sound by itself."""
    schemes = [one.scheme for one in identifiers if one.scheme in _SINGLE]
    if len(set(schemes)) == len(schemes):
        return []
    found: list[FieldViolation] = []
    before: dict[Scheme, list[tuple[datetime, datetime, IdentifierAssertion]]] = {}
    for at, one in enumerate(identifiers):
        if (
            one.scheme not in _SINGLE
            or one.level is not Level.INSTRUMENT
            or one.beside
            or not (sound or comparable(one))
        ):
            continue
        start, end = one.valid_from or _EVER, one.valid_to or _NEVER
        others = before.setdefault(one.scheme, [])
        for begun, ended, other in others:  # of an entry of 256 in turn 32,640 pairs: the spans come first
            if start < ended and begun < end and _contradict(other, one):
                why = f"{second(one, other)}: an instrument has one at a time; give each its valid_from and valid_to"
                path = f"instrument.identifiers[{at}].value"
                found.append(FieldViolation(path, one.value, "one-at-a-time", why))
                break
        else:
            others.append((start, end, one))
    return found


def contradicted(held: Sequence[IdentifierAssertion], claim: IdentifierAssertion) -> bool:
    """Whether an instrument that bears a name beside these bears it as a person decided, and not as the rules have it."""
    return rival(held, claim) is not None or bool(derived_mismatch(held, claim))


def _contradict(one: IdentifierAssertion, other: IdentifierAssertion) -> bool:
    if one.scheme is not other.scheme or one.value == other.value or one.level is not Level.INSTRUMENT:
        return False
    if one.scheme is Scheme.CFI and Cfi.agree(one.value, other.value):
        return False
    return overlap(one.valid_from, one.valid_to, other.valid_from, other.valid_to)
