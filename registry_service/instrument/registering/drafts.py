"""Entries of a request made ready to be planned: read, checked and named, without asking the registry anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

from alphapulse.domain import instruments as domain
from alphapulse.domain.errors import FieldViolation, InvalidArgument
from alphapulse.domain.identifiers import Level, Scheme
from alphapulse.domain.identity import instrument_text, listing_text
from alphapulse.domain.ids import ID_BYTES, Digest, InstrumentId, ListingId, mint, sha256
from registry_service.instrument.convert import Findings, instrument_of, listing_of, wire
from registry_service.instrument.keys import IMPLYING, SHARED, VENUE_SCOPED, implied, inside, truth_key
from registry_service.instrument.registering.rules import MAX_LISTINGS, Reference, references_of, violations_of
from registry_service.instrument.registering.single import several_at_once
from registry_service.storage.model import IdentifierKey

_SYMBOL: Final = int(Scheme.EXCHANGE_SYMBOL)
_WITHOUT_VENUE: Final = {one: (int(one), int(one) not in SHARED | VENUE_SCOPED) for one in Scheme}
"""By scheme: its number, and whether two instruments cannot bear a name of it that is spelled at no venue."""
_NO_KEY: Final = "0" * (ID_BYTES)
"""What an id does not begin with: the first half of its bytes as text."""
_made: Final = tuple.__new__
"""Makes a named tuple in half the time."""


class Claim(NamedTuple):
    """An identifier that an entry says it bears."""

    assertion: domain.IdentifierAssertion
    key: IdentifierKey
    exclusive: bool
    """Whether two instruments cannot bear it at one time."""
    listing: int | None
    """Which listing of the entry it names; None: the instrument."""


@dataclass(slots=True)
class Draft:
    """One entry, checked by itself. With violations nothing else of it counts."""

    message: wire.Instrument
    listing_messages: Sequence[wire.Listing]
    violations: list[FieldViolation]
    instrument: domain.Instrument
    listings: list[domain.Listing]
    text: str = ""
    """The identity text."""
    id: InstrumentId | None = None
    hex: str = ""
    """The minted id's text."""
    listing_ids: tuple[ListingId, ...] = ()
    """The listings' ids, as long as nothing collides."""
    claims: tuple[Claim, ...] = ()
    references: Sequence[Reference] = ()
    symbols: tuple[IdentifierKey, ...] = ()
    """Under which the listings' own symbols are asserted."""
    plain: bool = False
    """Whether every identifier of the message was sent as it is to be kept (`convert`)."""

    _implied: dict[int, tuple[IdentifierKey, ...]] | None = None

    @property
    def sharing(self) -> bool:
        """Whether it bears a name of a scheme whose names very many bear."""
        return any(claim.key.scheme in SHARED for claim in self.claims)

    def implied(self) -> dict[int, tuple[IdentifierKey, ...]]:
        """The names that claims, by their number, make a claim to without naming them: of an ISIN the CUSIP or SEDOL inside it, of those
        at the instrument's level the ISINs around them, but where the entry has both."""
        if self._implied is None:
            self._implied = _implied_by(self.claims)
        return self._implied


def _implied_by(claims: Sequence[Claim]) -> dict[int, tuple[IdentifierKey, ...]]:
    found: dict[int, tuple[IdentifierKey, ...]] = {}
    named = {claim.key for claim in claims}
    held = set()
    implying = [
        (at, claim.key)
        for at, claim in enumerate(claims)
        if claim.key.scheme in IMPLYING and claim.assertion.level is Level.INSTRUMENT
    ]
    for at, key in implying:
        if (number := inside(key)) is not None:
            held.add(number)
            if number not in named:
                found[at] = (number,)
    for at, key in implying:
        # The ISINs around a number take nine check digits to name: not where the entry's own is among them.
        if key.scheme != Scheme.ISIN and key not in held:
            around = implied(*key[:2])
            if around and named.isdisjoint(around):
                found[at] = around
    return found


class Minter:
    """Mints ids from identity texts. `digest` is SHA-256 but in tests that force collisions."""

    def __init__(self, digest: Digest = sha256) -> None:
        self._digest = digest

    def instrument(self, text: str, salt: int = 0) -> InstrumentId:
        """The id for an instrument's identity text."""
        return InstrumentId.of(text, salt, digest=self._digest)

    def hex(self, text: str) -> str:
        """The text of that id, where nothing else is wanted of it."""
        return mint(text, digest=self._digest).hex()

    def hexes(self, texts: Sequence[str]) -> list[str]:
        """The texts of several ids."""
        digest = self._digest
        found = [digest(one.encode())[:ID_BYTES].hex() for one in texts]
        for at, one in enumerate(found):
            if one.startswith(_NO_KEY):
                found[at] = self.hex(texts[at])
        return found

    def listing(self, venue: str, symbol: str, instrument_id: InstrumentId, salt: int = 0) -> ListingId:
        """The id of a listing."""
        return ListingId.of(listing_text(venue, symbol, instrument_id), salt, digest=self._digest)


def prepare(message: wire.Instrument, listings: Sequence[wire.Listing], minter: Minter) -> Draft:
    """The draft of an entry; the message's identifiers are put into their canonical form."""
    findings = Findings()
    instrument = instrument_of(message, "instrument", findings)
    read = [listing_of(one, f"listings[{at}]", findings) for at, one in enumerate(listings[: MAX_LISTINGS + 1])]
    violations = violations_of(instrument, read, findings)
    violations += several_at_once(instrument.identifiers, sound=not violations)
    draft = Draft(message, listings, violations, instrument, read, plain=not findings.unusual)
    draft.references = references_of(instrument)
    if draft.violations and draft.references:
        told = {one.field for one in draft.violations}
        draft.references = [one for one in draft.references if one.field not in told]
    try:
        draft.text = instrument_text(instrument, canonical=not violations)
    except InvalidArgument as error:
        # What the identity lacks is mostly told already, by the rules of the fields.
        draft.violations = draft.violations or [one.under("instrument") for one in error.violations]
        return draft
    draft.id = minter.instrument(draft.text)
    draft.hex = draft.id.hex
    if read:
        draft.violations += _wrong_owner(draft)
    if draft.violations and any(one.rule != "listing-instrument" for one in draft.violations):
        return draft
    if read:
        draft.symbols = tuple([listing_key_of(one.venue, one.symbol) for one in read])
        draft.listing_ids = tuple([minter.listing(one.venue, one.symbol, draft.id) for one in read])
    draft.claims = tuple([_claim(one, read) for one in instrument.identifiers])
    _canonical(draft)
    return draft


def listing_key_of(venue: str, symbol: str) -> IdentifierKey:
    """Under which the listing's own symbol is asserted."""
    return IdentifierKey(_SYMBOL, symbol, venue)


def signed(key: int) -> int:
    """A listing_key as the signed 64-bit number it is stored as."""
    return key - (1 << 64) if key >= 1 << 63 else key


def _claim(one: domain.IdentifierAssertion, listings: Sequence[domain.Listing]) -> Claim:
    if not one.venue:
        scheme, exclusive = _WITHOUT_VENUE[one.scheme]
        return _made(Claim, (one, _made(IdentifierKey, (scheme, one.value, "")), exclusive, None))
    scheme = int(one.scheme)
    target = None
    if one.level is Level.LISTING:
        there = [at for at, listing in enumerate(listings) if listing.venue == one.venue]
        if len(there) > 1:  # the listing spelled so; where none is, nobody says which of them is meant
            there = [at for at in there if listings[at].symbol == one.value]
        target = there[0] if len(there) == 1 else None
    exclusive = scheme not in SHARED
    return Claim(one, truth_key(scheme, one.value, one.venue), exclusive, target)


def _wrong_owner(draft: Draft) -> list[FieldViolation]:
    """A listing sent with an instrument lists that instrument; its instrument_id may be left out."""
    return [
        FieldViolation(
            f"listings[{at}].instrument_id",
            one.instrument_id.hex,
            "listing-instrument",
            f"it stands beside the instrument {draft.hex}",
        )
        for at, one in enumerate(draft.listings)
        if one.instrument_id is not None and one.instrument_id != draft.id
    ]


def _canonical(draft: Draft) -> None:
    """What the registry fills or spells itself, in the message that will be kept."""
    message, instrument = draft.message, draft.instrument
    if message.status != int(instrument.status):
        message.status = int(instrument.status)  # type: ignore[assignment]
    if draft.plain:
        return
    source = message.source
    for one, claim in zip(message.identifiers, draft.claims, strict=True):
        one.value = claim.key.value
        one.level = int(claim.assertion.level)  # type: ignore[assignment]
        if not one.source:
            one.source = source
        if one.HasField("recorded_to"):
            one.ClearField("recorded_to")


def span_start(claimed: datetime | None, ended: Sequence[datetime]) -> datetime | None:
    """A venue's name that others bore before begins, without a date of its own, where the last of them ended."""
    return claimed if claimed is not None or not ended else max(ended)
