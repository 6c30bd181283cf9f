"""Whether two names can be those of one thing. Only a clear disagreement counts: sources spell one company in many ways.

A name is folded to ASCII words. Legal forms and share words ("Inc", "Aktie", "ordinary") say nothing; generic words ("Bank",
"International") count only where both names have them and nothing else. Two names agree when a word of one is a word of the
other or begins it, when one abbreviates the other ("IBM", "BofA"), or when they are written nearly alike. Without a telling
word in one of them, or with no letters of the Latin script, there is nothing to disagree about.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from enum import Enum
from functools import lru_cache
from typing import Final

from rapidfuzz import fuzz

_WORD: Final = re.compile(r"[a-z0-9]+")
_LEGAL: Final = frozenset(
    """ab ads adr ads ag aktie aktien aktiengesellschaft and as asa bearer bv cl class co com common company corp corporation cv
    de del depositary depository der di die dr du each el et for gdr gmbh in inc incorporated inh inhaber
    kgaa kk la le limited llc lp ltd namens namensaktie new npv nv of on ord ordinary oy oyj par part pcl per plc
    pref preference preferred pt publ reg registered rg sa sab sas saa sca se series share shares shs sgps sociedad societe spa
    sponsored sro stock stammaktie st ta tbk the und unit units unsponsored us usd eur vorzug vorzugsaktie vz y a b c d e i
    n o""".split()  # noqa: SIM905 - a list of words reads best as words
)
"""Words that every second name has: legal forms, kinds of shares, articles."""
_GENERIC: Final = frozenset(
    """america american bank capital china energy enterprises etf europe finance financial fund gas general global group
    holding holdings industries industrial insurance international intl investment investments japan management national oil partners
    pharma pharmaceuticals power products properties realty reit resources services solutions systems tech technologies
    technology trust united""".split()  # noqa: SIM905
)
"""Words that tell little by themselves."""
_ALIKE: Final = 72.0
_WORDS_ALIKE: Final = 86.0


class Likeness(Enum):
    """What two names say of each other."""

    AGREE = 1
    UNTOLD = 2
    """One of them tells nothing."""
    DISAGREE = 3


def compare_names(one: str, other: str, codes: Iterable[str] = ()) -> Likeness:
    """Whether two names can be of one thing. `codes` are tickers and symbols of it: a name made of them alone is none."""
    if one == other:
        return Likeness.AGREE if _words(one) else Likeness.UNTOLD
    first, second = _words(one), _words(other)
    known = {word for code in codes for word in _words(code)} if first and second else set()
    if not first or not second or known.issuperset(first) or known.issuperset(second):
        return Likeness.UNTOLD
    telling = (_telling(first), _telling(second))
    if not telling[0] or not telling[1]:
        return Likeness.AGREE if set(first) & set(second) else Likeness.UNTOLD
    return Likeness.AGREE if _agree(first, second, *telling) else Likeness.DISAGREE


def _agree(first: tuple[str, ...], second: tuple[str, ...], one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    if set(one) & set(other):
        return True
    if any(_begins(a, b) or _alike(a, b) for a in one for b in other):
        return True
    if any(_abbreviates(a, second) for a in one) or any(_abbreviates(b, first) for b in other):
        return True
    return fuzz.ratio("".join(one), "".join(other)) >= _ALIKE


def _begins(one: str, other: str) -> bool:
    short, long = sorted((one, other), key=len)
    return len(short) >= 4 and long.startswith(short)


def _alike(one: str, other: str) -> bool:
    return min(len(one), len(other)) >= 5 and fuzz.ratio(one, other) >= _WORDS_ALIKE


def _abbreviates(short: str, words: tuple[str, ...]) -> bool:
    """Whether a word is put together from the beginnings of at least two of the words, in order, from the first letter on."""
    if not 2 <= len(short) <= 6:
        return False

    def fits(rest: str, at: int, used: int) -> bool:
        if not rest:
            return used >= 2
        for number in range(at, len(words)):
            word = words[number]
            for length in range(min(len(rest), len(word)), 0, -1):
                if rest[:length] == word[:length] and fits(rest[length:], number + 1, used + 1):
                    return True
        return False

    return fits(short, 0, 0)


def _telling(words: tuple[str, ...]) -> tuple[str, ...]:
    return tuple([word for word in words if word not in _LEGAL and word not in _GENERIC])


@lru_cache(8192)
def _words(name: str) -> tuple[str, ...]:
    folded = unicodedata.normalize("NFKD", name).casefold().replace("ß", "ss").replace("'", "").replace("\u2019", "")
    plain = "".join([one for one in folded if not unicodedata.combining(one)])
    return tuple(_WORD.findall(plain))
