"""The names under which answers are cached, and the keys identifiers are found by in the truth."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from alphapulse.domain.identifiers import Scheme
from alphapulse.domain.identifiers.check_digits import isins_around
from alphapulse.domain.identifiers.isin import CINS_COUNTRIES, CUSIP_COUNTRIES, SEDOL_COUNTRIES, number_inside
from registry_service.instrument.convert import wire
from registry_service.storage.model import IdentifierKey

VENUE_SCOPED: Final = frozenset({int(Scheme.TICKER), int(Scheme.EXCHANGE_SYMBOL)})
"""The schemes whose names mean something only together with a venue."""

SHARED: Final = frozenset({int(Scheme.LEI), int(Scheme.CFI), int(Scheme.MIC), int(Scheme.CAIP2)})
"""The schemes that name issuers, kinds, venues or chains: many instruments bear one name."""

NOT_NAMES: Final[dict[int, str]] = {
    int(Scheme.CFI): "a CFI describes a kind of instrument: list instruments by their class",
    int(Scheme.MIC): "a MIC names a venue: ask the venue registry, or list listings by venue",
    int(Scheme.CAIP2): "a CAIP-2 names a chain: list instruments by chain",
}
"""The schemes that name no instrument, and where to ask instead."""

FIXED_LENGTHS: Final[dict[int, int]] = {
    int(Scheme.ISIN): 12,
    int(Scheme.CUSIP): 9,
    int(Scheme.SEDOL): 7,
    int(Scheme.FIGI): 12,
    int(Scheme.LEI): 20,
    int(Scheme.DTI): 9,
}
"""Characters, and bytes, of every name of a scheme."""

_INSIDE: Final = frozenset({int(Scheme.CUSIP), int(Scheme.SEDOL)})
"""The schemes whose names an ISIN can hold."""
IMPLYING: Final = _INSIDE | {int(Scheme.ISIN)}
"""The schemes whose names make a claim to names of others (`implied`)."""

BY_INSTRUMENT: Final = -1
BY_LISTING: Final = -2
"""In place of a scheme: the name is the registry's own id of an instrument, of a listing."""

PREFIXES: Final[dict[int, str]] = {int(scheme): f"{scheme.name.lower()}/" for scheme in Scheme}
"""What a cached answer's key begins with; the value follows, after the venue and a slash for venue-scoped schemes."""


_ISIN, _CUSIP, _SEDOL = int(Scheme.ISIN), int(Scheme.CUSIP), int(Scheme.SEDOL)
_ISIN_PREFIX: Final = PREFIXES[_ISIN]
_AROUND_CUSIP: Final = tuple(sorted(CUSIP_COUNTRIES))
_AROUND_CINS: Final = tuple(sorted(CUSIP_COUNTRIES | CINS_COUNTRIES))
_AROUND_SEDOL: Final = tuple(sorted(SEDOL_COUNTRIES))
_BY_PREFIX: Final = {prefix: scheme for scheme, prefix in PREFIXES.items()}


def answer_key(scheme: int, value: str, venue: str = "") -> str:
    """The key of the cached look-up answer. A venue holds no slash, so that no two questions share a key."""
    if scheme in VENUE_SCOPED:
        return f"{PREFIXES[scheme]}{venue}/{value}"
    return PREFIXES[scheme] + value


def question_of(key: str) -> IdentifierKey:
    """The question of an answer's key."""
    head, _, rest = key.partition("/")
    scheme = _BY_PREFIX[head + "/"]
    if scheme not in VENUE_SCOPED:
        return IdentifierKey(scheme, rest, "")
    venue, _, value = rest.partition("/")
    return IdentifierKey(scheme, value, venue)


def truth_key(scheme: int, value: str, venue: str = "") -> IdentifierKey:
    """The key under which the store finds the assertions; the venue counts for venue-scoped schemes alone."""
    return IdentifierKey(scheme, value, venue if scheme in VENUE_SCOPED else "")


def entry_key(instrument_id: str) -> str:
    """The key of the cached instrument with its listings."""
    return f"entry/{instrument_id}"


def name_keys(scheme: int, value: str, venue: str) -> tuple[str, ...]:
    """Every cached answer that one assertion takes part in: those to its own name, and those to ISINs around it."""
    if scheme in VENUE_SCOPED and venue:
        return answer_key(scheme, value, venue), answer_key(scheme, value)
    if scheme not in _INSIDE:
        return (answer_key(scheme, value),)
    return (answer_key(scheme, value), *[_ISIN_PREFIX + one for one in _around(scheme, value)])


def inside(name: IdentifierKey) -> IdentifierKey | None:
    """The CUSIP or SEDOL that an ISIN holds; None for other names, and for ISINs that hold none."""
    held = number_inside(name.value) if name.scheme == Scheme.ISIN else None
    return IdentifierKey(int(held[0]), held[1]) if held is not None else None


def implied(scheme: int, value: str) -> tuple[IdentifierKey, ...]:
    """The names that one name makes a claim to: of an ISIN the CUSIP or SEDOL inside it, of those the ISINs around them."""
    if scheme != _ISIN:
        return tuple([IdentifierKey(_ISIN, one, "") for one in _around(scheme, value)])
    held = inside(IdentifierKey(scheme, value))
    return (held,) if held is not None else ()


def _around(scheme: int, value: str) -> Sequence[str]:
    """The ISINs that hold a CUSIP or SEDOL."""
    if scheme == _CUSIP:
        return isins_around(value, _AROUND_CUSIP if value[0].isdigit() else _AROUND_CINS) if value.isalnum() else ()
    return isins_around(f"00{value}", _AROUND_SEDOL) if scheme == _SEDOL else ()


def entry_keys(instrument: wire.Instrument, listings: Iterable[wire.Listing]) -> Iterator[str]:
    """Every cached answer that shows this instrument: a change of it or of any of its listings voids them all."""
    yield entry_key(instrument.instrument_id)
    for one in instrument.identifiers:
        yield from name_keys(one.scheme, one.value, one.venue)
    for listing in listings:
        yield from name_keys(Scheme.EXCHANGE_SYMBOL, listing.symbol, listing.venue)
