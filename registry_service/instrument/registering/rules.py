"""What a registration must keep to: every broken rule at once, with the paths of the request."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from alphapulse.domain import instruments as domain
from alphapulse.domain.asset_class import AssetClass
from alphapulse.domain.currencies import ISO_4217, MINOR_UNITS_QUOTED
from alphapulse.domain.errors import AlphaPulseError, FieldViolation, InvalidArgument, ReferenceWrongClass
from alphapulse.domain.identifiers import Isin, Level, Scheme, is_valid
from alphapulse.domain.validation import validate_instrument, validate_listing
from registry_service.instrument.convert import Findings, currency_kind_of
from registry_service.storage.model import Entity

MAX_LISTINGS: Final = 1000
"""Listings of one entry."""

_MONEY: Final = frozenset({AssetClass.CURRENCY, AssetClass.TOKEN, AssetClass.LP_TOKEN})
_ANY: Final = frozenset(AssetClass)
_ALLOWED: Final[dict[str, frozenset[AssetClass]]] = {
    "index_id": frozenset({AssetClass.INDEX}),
    "base_id": _MONEY,
    "quote_id": _MONEY,
    "asset_ids": _MONEY,
    "pool_id": frozenset({AssetClass.POOL}),
    "underlying_id": _ANY,
    "settlement_id": _MONEY,
}
_REFERRING: Final = {
    kind: tuple(name for name in kind.__slots__ if name in _ALLOWED) for kind in domain.DETAILS_OF.values()
}
_DERIVED: Final = frozenset({Scheme.CUSIP, Scheme.SEDOL})
"""The schemes whose names an ISIN can hold."""
_OF_ANOTHER: Final = {
    Scheme.CUSIP: "",
    Scheme.SEDOL: "; that of another country's market names it at level COMPOSITE or LISTING",
}
_FX: Final = frozenset({domain.CurrencyKind.FIAT, domain.CurrencyKind.METAL})
_CURRENCY_ALONE: Final = frozenset({AssetClass.CURRENCY})
_PRICED_IN_MONEY: Final = frozenset({AssetClass.EQUITY, AssetClass.ETF, AssetClass.FUND, AssetClass.BOND})
_QUOTED: Final = ISO_4217 | MINOR_UNITS_QUOTED


@dataclass(frozen=True, slots=True)
class Reference:
    """Another instrument that an entry names by its id, and what can stand there."""

    field: str
    id: str
    allowed: frozenset[AssetClass]
    kinds: frozenset[domain.CurrencyKind] | None = None
    """The kinds of currency; None: any."""


class Known(Protocol):
    """The instruments that are registered, as far as they were read."""

    instruments: dict[str, Entity]

    def class_of(self, instrument_id: str) -> AssetClass | None:
        """The class of an instrument; None for an id that nobody has."""


def violations_of(
    instrument: domain.Instrument, listings: Sequence[domain.Listing], findings: Findings
) -> list[FieldViolation]:
    """Everything that is wrong with an entry by itself; what `findings` met while reading it stands first."""
    found = findings.found
    if broken := validate_instrument(instrument, unusual=findings.unusual, sound_details=findings.sound_details):
        found.extend(_without(found, broken))
    elif not found:
        findings.remember(instrument.details)
    found.extend(_derived(instrument.identifiers, sound=not found))
    if listings:
        _listings(instrument.asset_class, listings, found)
    return found


def _listings(kind: AssetClass | None, listings: Sequence[domain.Listing], found: list[FieldViolation]) -> None:
    """Adds everything that is wrong with the listings of an entry."""
    if len(listings) > MAX_LISTINGS:
        found.append(_violation("listings", len(listings), "too-many", f"at most {MAX_LISTINGS} listings of an entry"))
    seen: dict[tuple[str, str], int] = {}
    for at, listing in enumerate(listings[:MAX_LISTINGS]):
        found.extend(_without(found, validate_listing(listing, f"listings[{at}]")))
        earlier = seen.setdefault((listing.venue, listing.symbol), at)
        if earlier != at:
            rule = f"listings[{earlier}] has the same venue and symbol"
            found.append(_violation(f"listings[{at}].symbol", listing.symbol, "listing-duplicate", rule))
    if kind in _PRICED_IN_MONEY:
        malformed = {one.field for one in found}
        found.extend(one for one in _unknown_currencies(listings[:MAX_LISTINGS]) if one.field not in malformed)


def _unknown_currencies(listings: Sequence[domain.Listing]) -> list[FieldViolation]:
    """A security is priced in money; a pair may be priced in any coin, whose code is nobody's to list."""
    text = "it is no currency of ISO 4217, nor a minor unit that venues quote in"
    return [
        _violation(f"listings[{at}].currency", one.currency, "currency-unknown", text)
        for at, one in enumerate(listings)
        if one.currency not in _QUOTED
    ]


def references_of(instrument: domain.Instrument) -> list[Reference]:
    """The ids an instrument names; empty for most."""
    details, kind = instrument.details, instrument.asset_class
    names = _REFERRING.get(type(details), ()) if details is not None else ()
    if not names and not instrument.successor_ids:
        return []
    path = f"instrument.{kind.name.lower() if kind is not None else ''}"
    found: list[Reference] = []
    for name in names:
        wanted = (_CURRENCY_ALONE, _FX) if kind is AssetClass.FX_PAIR else (_ALLOWED[name], None)
        value = getattr(details, name)
        if isinstance(value, tuple):
            found.extend(Reference(f"{path}.{name}[{at}]", one.hex, *wanted) for at, one in enumerate(value))
        elif value is not None:
            found.append(Reference(f"{path}.{name}", value.hex, *wanted))
    for at, one in enumerate(instrument.successor_ids):
        found.append(Reference(f"instrument.successor_ids[{at}]", one.hex, _ANY))
    return found


def broken_references(references: Sequence[Reference], known: Known) -> list[FieldViolation]:
    """The references that name nobody, or something that cannot stand there. What they name has been read before."""
    found = []
    for one in references:
        actual = known.class_of(one.id)
        if actual is None:
            rule = "no instrument with this id is registered"
            found.append(_violation(one.field, one.id, "reference-unknown", rule))
        elif actual not in one.allowed:
            allowed = ", ".join(member.name for member in sorted(one.allowed))
            found.append(_violation(one.field, one.id, "reference-class", f"it is {actual.name}, expected {allowed}"))
        elif one.kinds is not None and (kind := currency_kind_of(known.instruments[one.id].body)) not in one.kinds:
            allowed = ", ".join(member.name for member in sorted(one.kinds))
            shown = kind.name if kind is not None else "unknown"
            rule = f"it is a CURRENCY of kind {shown}, expected {allowed}"
            found.append(_violation(one.field, one.id, "reference-class", rule))
    return found


def refusal(violations: Sequence[FieldViolation]) -> AlphaPulseError:
    """The error for these violations: ReferenceWrongClass where nothing else is wrong."""
    error = InvalidArgument.of(violations)
    if all(one.rule == "reference-class" for one in violations):
        return ReferenceWrongClass(error.message, violations=violations)
    return error


def derived_mismatch(held: Iterable[domain.IdentifierAssertion], claim: domain.IdentifierAssertion) -> str:
    """The ISIN that contradicts a claim, or is contradicted by it, among what is held; empty where none does."""
    for one in held:
        isin, other = (one, claim) if one.scheme is Scheme.ISIN else (claim, one)
        if isin.scheme is not Scheme.ISIN or other.scheme not in _DERIVED or other.level is not Level.INSTRUMENT:
            continue
        if isin.value[2 if other.scheme is Scheme.CUSIP else 4 : 11] == other.value:
            continue
        if not overlap(one.valid_from, one.valid_to, claim.valid_from, claim.valid_to):
            continue
        parsed = Isin.parse(isin.value)
        inside = parsed.cusip() if other.scheme is Scheme.CUSIP else parsed.sedol()
        if inside is not None and inside.value != other.value:
            return f"the ISIN {isin.value} holds the {other.scheme.name} {inside.value}{_OF_ANOTHER[other.scheme]}"
    return ""


def overlap(
    one_from: datetime | None, one_to: datetime | None, other_from: datetime | None, other_to: datetime | None
) -> bool:
    """Whether two spans, each with its start and without its end, share an instant."""
    return (one_to is None or other_from is None or other_from < one_to) and (
        other_to is None or one_from is None or one_from < other_to
    )


def _derived(identifiers: Sequence[domain.IdentifierAssertion], *, sound: bool) -> list[FieldViolation]:
    """A CUSIP or SEDOL that is not the one inside an ISIN of the same entry: one of the two is wrong, where no person decided that it
    is borne beside the other. `sound`: each identifier is known to be sound by itself."""
    derived = [
        (at, one)
        for at, one in enumerate(identifiers)
        if one.scheme in _DERIVED and not one.beside and (sound or comparable(one))
    ]
    if not derived:
        return []
    isins = [one for one in identifiers if one.scheme is Scheme.ISIN and not one.beside and (sound or comparable(one))]
    found = []
    for at, one in derived:
        if why := derived_mismatch(isins, one):
            path = f"instrument.identifiers[{at}].value"
            found.append(_violation(path, one.value, "derived-id-mismatch", why))
    return found


def comparable(one: domain.IdentifierAssertion) -> bool:
    """Sound enough to be compared: what is wrong with it by itself is told elsewhere."""
    zoned = all(moment is None or moment.tzinfo is not None for moment in (one.valid_from, one.valid_to))
    return zoned and is_valid(one.scheme, one.value)


def _without(known: Sequence[FieldViolation], more: Sequence[FieldViolation]) -> list[FieldViolation]:
    """The violations of fields about which nothing is said yet: a field that cannot be read is not missing, too."""
    if not more or not known:
        return list(more)
    fields = {(one.field, one.rule) for one in known}
    unread = {one.field for one in known}
    unread.update(one.partition("[")[0] for one in tuple(unread) if one.endswith("].scheme"))
    return [
        one
        for one in more
        if (one.field, one.rule) not in fields and not (one.rule == "required" and one.field in unread)
    ]


def _violation(field: str, value: object, rule: str, description: str) -> FieldViolation:
    return FieldViolation(field, str(value), rule, description)
