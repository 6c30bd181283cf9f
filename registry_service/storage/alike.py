"""How alike a text and a name are: typos, words in another order, words shortened, legal forms left out. Pure; no I/O.

A score lies from 0 to 1 and is the best of three views, each of which forgives something else:

- the words, matched one to one: each word of the text with the word of the name it is most alike to, whatever their order; a word
  that begins one ("intl. bus. mach.") counts nearly whole; words that find no partner cost by their length, those of the text more;
- all letters in a row, without spaces: for words that were written together or torn apart;
- the beginning: a name that starts with the text.

Legal forms (Inc, AG, plc) hardly count: they tell two names apart only when all else is the same. Distances are optimal string
alignment (Damerau-Levenshtein without overlap), of the library rapidfuzz.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import Final, Literal

from rapidfuzz.distance import OSA, JaroWinkler

_LEGAL: Final = frozenset(
    """ab ad adr aerospatiale ag asa as bhd bv cv co company corp corporation de dd ehf gdr gmbh hf inc incorporated
    jsc kgaa kk lc limited llc llp lp ltd mbh nl nv nyrt oao ojsc oy oyj pao pcl plc pjsc pt publ pvt rt sa sab saoc sarl
    scpa se sgps sl spa srl tbk the trust und and y et""".split()  # noqa: SIM905
) - {"aerospatiale", "trust"}
"""Legal forms and words of no weight."""
_LONG: Final = {
    "intl": "international", "int": "international", "grp": "group", "hldg": "holding", "hldgs": "holdings",
    "mfg": "manufacturing", "mgmt": "management", "svcs": "services", "tech": "technology", "techs": "technologies",
    "natl": "national", "amer": "american", "bk": "bank", "fin": "financial", "finl": "financial", "ind": "industries",
    "inds": "industries", "ins": "insurance", "labs": "laboratories", "pharma": "pharmaceuticals", "sys": "systems",
    "telecom": "telecommunications", "univ": "universal", "dt": "deutsche", "dev": "development", "prod": "products",
    "props": "properties", "ppty": "property", "invt": "investment", "eng": "engineering", "elec": "electric",
    "comm": "communications", "chem": "chemical", "gen": "general", "rlty": "realty", "mtr": "motor", "mtrs": "motors",
    "corp": "corporation", "inc": "incorporated", "ltd": "limited", "co": "company",
}  # fmt: skip
"""What is usually written short, and what it stands for."""
_LEGAL_WEIGHT: Final = 0.12
"""What a letter of a legal form counts beside one of another word."""
_SHORTENED: Final = 0.93
_BEGINNING: Final = 0.86
"""What being alike to the beginning of a word counts beside being alike to a whole one."""
_CANDIDATE: Final = 0.45
"""Two words less alike than this are different words."""


GOOD: Final = 0.85
"""A score at which names that are only faintly alike are not looked for."""
WORTH_SHOWING: Final = 0.3
"""Below, two names have nothing to do with each other."""


class Likeness(IntEnum):
    """How a name matched, the strongest first."""

    EXACT = 1
    PREFIX = 2
    WORDS = 3
    SIMILAR = 4


@dataclass(frozen=True, slots=True)
class Words:
    """A text as it is compared."""

    plain: str
    """Without case, accents and punctuation."""
    words: tuple[str, ...]
    core: tuple[str, ...]
    """Without legal forms, unless there is nothing else."""


@lru_cache(8192)
def words_of(text: str, *, keep_accents: bool = False) -> Words:
    """The text folded and cut into words; dotted letters (S.A.) are one word."""
    form: Literal["NFKC", "NFKD"] = "NFKC" if keep_accents else "NFKD"
    folded = unicodedata.normalize(form, text[:512]).casefold().replace("&", " and ")
    kept = [
        char if char.isalnum() else "" if unicodedata.combining(char) or char in "'’`´." else " " for char in folded
    ]
    words = tuple("".join(kept).split())
    core = tuple([one for one in words if one not in _LEGAL])
    return Words(" ".join(words), words, core or words)


def likeness(text: Words, name: Words) -> tuple[float, Likeness]:
    """How alike they are, 0 to 1, and by which view."""
    if not text.words or not name.words:
        return 0.0, Likeness.SIMILAR
    if text.plain == name.plain:
        return 1.0, Likeness.EXACT
    aligned, whole = _aligned(text, name)
    mine, theirs = "".join(text.core), "".join(name.core)
    run = 0.97 * OSA.normalized_similarity(mine, theirs)
    by_words = Likeness.WORDS if whole else Likeness.SIMILAR
    score, how = max((aligned, by_words), (run, Likeness.WORDS if mine == theirs else Likeness.SIMILAR))
    if name.plain.startswith(text.plain):
        begun = 0.8 + 0.19 * len(text.plain) / len(name.plain)
        if begun >= score:
            return begun, Likeness.PREFIX
    return min(score, 0.99), how


def _aligned(text: Words, name: Words) -> tuple[float, bool]:
    """The words matched one to one; True where every word of the text is one of the name, or begins one."""
    pairs = sorted(
        (
            (_alike(one, other), at, there)
            for at, one in enumerate(text.words)
            for there, other in enumerate(name.words)
        ),
        key=lambda pair: (-pair[0], abs(pair[1] - pair[2])),
    )
    mine, theirs = [0.0] * len(text.words), [0.0] * len(name.words)
    for alike, at, there in pairs:
        if alike < _CANDIDATE:
            break
        if not mine[at] and not theirs[there]:
            mine[at] = theirs[there] = alike
    asked = _share(text.words, mine)
    given = _share(name.words, theirs)
    whole = all(one >= _SHORTENED for one, word in zip(mine, text.words, strict=True) if word not in _LEGAL)
    return 0.7 * asked + 0.3 * given - 0.001 * (text.core != name.core), whole


def _share(words: tuple[str, ...], alike: list[float]) -> float:
    weights: list[float] = [float(len(one) ** 0.8) * (_LEGAL_WEIGHT if one in _LEGAL else 1.0) for one in words]
    return sum(weight * one for weight, one in zip(weights, alike, strict=True)) / sum(weights)


@lru_cache(65536)
def _alike(one: str, other: str) -> float:
    if one == other:
        return 1.0
    if _LONG.get(one) == other or _LONG.get(other) == one:
        return 0.98
    if len(one) >= 2 and other.startswith(one):
        return _SHORTENED + 0.05 * len(one) / len(other)
    near = float(OSA.normalized_similarity(one, other))
    if 4 <= len(one) < len(other):
        near = max(near, _BEGINNING * float(OSA.normalized_similarity(one, other[: len(one)])))
    # A shared beginning says more than a shared end: typos are rarer there.
    return near + (1 - near) * 0.3 * max(0.0, float(JaroWinkler.similarity(one, other)) - 0.7)
