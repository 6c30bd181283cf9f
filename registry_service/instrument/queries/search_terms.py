"""Which identifiers a text may mean: as it is written, as the start of one, and with one typo."""

from __future__ import annotations

import string
from collections.abc import Iterable
from typing import Final

from alphapulse.domain.identifiers import Scheme, identifier_type
from registry_service.storage.model import IdentifierKey

Term = IdentifierKey
_SCHEMES: Final = tuple(scheme for scheme in Scheme if scheme not in (Scheme.CFI, Scheme.MIC, Scheme.CAIP2))
"""Those that name instruments, their listings or issuers."""
_SYMBOLS: Final = (Scheme.TICKER, Scheme.EXCHANGE_SYMBOL)
_CHECKED: Final = (Scheme.ISIN, Scheme.CUSIP, Scheme.SEDOL, Scheme.FIGI)
"""Of fixed length and with a check digit: nearly no typo of one is another."""
_ALPHABET: Final = string.ascii_uppercase + string.digits
_SHORTEST_TYPO: Final = 4
_LONGEST_TYPO: Final = 12
_LONGEST_START: Final = 128


def identifier_terms(text: str) -> dict[Term, float]:
    """The identifiers that the text is when it is taken as a whole, each with its score."""
    found: dict[Term, float] = {}
    for scheme in _SCHEMES:
        kind = identifier_type(scheme)
        for spelled, score in ((text, 1.0), (text.upper(), 0.98)):
            if kind.is_valid(spelled):
                found.setdefault(Term(int(scheme), kind.normalised(spelled)), score)
    return found


def identifier_starts(text: str) -> list[tuple[int, str]]:
    """(scheme, start) of the identifiers that begin with the text; none for what no identifier begins with."""
    if len(text) > _LONGEST_START or not any(char.isalnum() for char in text):
        return []
    found: dict[tuple[int, str], None] = {}
    for scheme in _SCHEMES:
        kind = identifier_type(scheme)
        if len(text) >= kind.max_length:
            continue
        found[int(scheme), kind.normalised(text)] = None
        if not kind.folds_case:
            found[int(scheme), text.upper()] = None
    return list(found)


def identifier_typos(text: str) -> dict[Term, float]:
    """The identifiers one typo away: two letters swapped, one wrong, one too many, one missing."""
    wanted = text.upper()
    if not _SHORTEST_TYPO <= len(wanted) <= _LONGEST_TYPO or not set(wanted) <= set(_ALPHABET):
        return {}
    score = 0.75 * (1 - 1.2 / len(wanted))
    found: dict[Term, float] = {}
    for one in _near(wanted):
        for scheme in _CHECKED:
            if identifier_type(scheme).broken_rule(one) is None:
                found[Term(int(scheme), one)] = score
        if len(wanted) <= 8:
            found.update({Term(int(scheme), one): score for scheme in _SYMBOLS})
    return found


def _near(text: str) -> Iterable[str]:
    near = {text[:at] + text[at + 1] + text[at] + text[at + 2 :] for at in range(len(text) - 1)}
    for at in range(len(text) + 1):
        near.update(text[:at] + char + text[at:] for char in _ALPHABET)
        if at < len(text):
            near.add(text[:at] + text[at + 1 :])
            near.update(text[:at] + char + text[at + 1 :] for char in _ALPHABET)
    near.discard(text)
    return sorted(near)
