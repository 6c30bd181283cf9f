"""Names as people mistype them: two random faults each, of those that a person or a vendor's file makes."""

from __future__ import annotations

import random
import string

_SHORT = {
    "Corporation": "Corp",
    "Incorporated": "Inc",
    "International": "Intl",
    "Company": "Co",
    "Limited": "Ltd",
    "Group": "Grp",
    "Holdings": "Hldgs",
    "Financial": "Fin",
    "Technologies": "Tech",
    "Services": "Svcs",
}


def misspelled(name: str, rng: random.Random) -> str:
    """The name with two faults: typos (twice as likely), a word written short, two words swapped."""
    for _ in range(2):
        name = rng.choice((_typo, _typo, _shortened, _swapped))(name, rng)
    return name


def _typo(text: str, rng: random.Random) -> str:
    """A letter replaced, left out, added, or swapped with the next."""
    letters = [at for at, char in enumerate(text) if char.isalpha()]
    if not letters:
        return text
    at, char = rng.choice(letters), rng.choice(string.ascii_lowercase)
    return rng.choice(
        (
            text[:at] + char + text[at + 1 :],
            text[:at] + text[at + 1 :],
            text[:at] + char + text[at:],
            text[:at] + text[at + 1 : at + 2] + text[at] + text[at + 2 :],
        )
    )


def _shortened(text: str, rng: random.Random) -> str:
    """A word by its usual abbreviation, or by its beginning and a point."""
    words = text.split()
    long = [at for at, word in enumerate(words) if len(word) >= 6 or word in _SHORT]
    if not long:
        return _typo(text, rng)
    at = rng.choice(long)
    word = words[at]
    words[at] = _SHORT.get(word) or word[: rng.randint(4, max(4, len(word) - 2))] + "."
    return " ".join(words)


def _swapped(text: str, rng: random.Random) -> str:
    """Two neighbouring words in the other order."""
    words = text.split()
    if len(words) < 2:
        return _typo(text, rng)
    at = rng.randrange(len(words) - 1)
    words[at], words[at + 1] = words[at + 1], words[at]
    return " ".join(words)
