"""Texts written backwards: what a `Text`, a `Match` or a whole word reads out of a text, put into one.

Each is a lens: `read(put(text, word))` is `word`. Where several read the same text, `solved` looks for one in which all find what they want.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, permutations, product
from re import _constants as codes  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any, Final, Protocol

from collector_service.compiler import values
from collector_service.spec.fields import Const, Join, Text

_FILLER: Final = "x"
_TRIES: Final = 64
_POOL: Final = "AX0x_-1a:/. "


class Lens(Protocol):
    """Reads a word out of a text, and puts one in."""

    def read(self, text: str) -> str | None:
        """The word; None where there is none."""
        ...

    def put(self, text: str, word: str) -> Iterator[str]:
        """Texts like this one in which the word is read, likelier ones first; some may not hold."""
        ...


@dataclass(frozen=True, slots=True)
class Whole:
    """The text itself."""

    def read(self, text: str) -> str | None:
        return text

    def put(self, text: str, word: str) -> Iterator[str]:
        yield word

    def __str__(self) -> str:
        return "the whole"


@dataclass(frozen=True, slots=True)
class Cut:
    """The steps of a `Text`."""

    field: Text

    def read(self, text: str) -> str | None:
        field = self.field
        found = values.cut(text, field.heads, field.after, field.before, field.split)
        return found.upper() if field.upper else found

    def put(self, text: str, word: str) -> Iterator[str]:
        forms = dict.fromkeys((word.lower(), word)) if self.field.upper else (word,)
        for form in forms:
            yield from self._headed(text, form) if self.field.heads else self._behind(text, form)

    def _headed(self, text: str, word: str) -> Iterator[str]:
        held = next((head for head in self.field.heads if text.startswith(head)), "")
        for head in self.field.heads:
            if values.cut(head, (head,), self.field.after, self.field.before, self.field.split) == word:
                yield head + text[len(held) :]
                yield head + text

    def _behind(self, text: str, word: str) -> Iterator[str]:
        held = next((prefix for prefix in self.field.after if text.startswith(prefix)), "")
        for prefix in dict.fromkeys((held, *self.field.after, "")):
            yield from (prefix + inside for inside in self._inside(text[len(held) :], word))

    def _inside(self, text: str, word: str) -> Iterator[str]:
        body, found, rest = text.partition(self.field.before) if self.field.before else (text, "", "")
        if self.field.split is None:
            yield word + found + rest
            return
        separator, place = self.field.split
        parts = body.split(separator) if body else []
        padded = parts + [_FILLER] * ((place + 1 if place >= 0 else -place) - len(parts))
        padded[place] = word
        yield separator.join(padded) + found + rest
        if parts and place in (0, -1):  # what stands there may be somebody else's
            yield separator.join([word, *parts] if place == 0 else [*parts, word]) + found + rest

    def __str__(self) -> str:
        return str(self.field)


@dataclass(frozen=True, slots=True)
class Grouped:
    """The first group of a regular expression over the whole text."""

    pattern: str

    def read(self, text: str) -> str | None:
        found = re.fullmatch(self.pattern, text)
        return found[1] if found is not None else None

    def put(self, text: str, word: str) -> Iterator[str]:
        found = re.fullmatch(self.pattern, text)
        if found is not None and found[1] is not None:
            yield text[: found.start(1)] + word + text[found.end(1) :]
        yield from islice(_texts(parser.parse(self.pattern), word), 8)

    def __str__(self) -> str:
        return repr(self.pattern)


@dataclass(frozen=True, slots=True)
class Wish:
    """One of the words, where the lens reads."""

    lens: Lens
    words: tuple[str, ...]

    def holds(self, text: str) -> bool:
        """Whether the text has it."""
        return self.lens.read(text) in self.words

    def __str__(self) -> str:
        return f"{' or '.join(map(repr, self.words))} by {self.lens}"


def solved(wishes: Sequence[Wish], seeds: Iterable[str] = ()) -> str | None:
    """A text in which all wishes hold: one of the seeds, or one made by putting the words in one after the other. None where there is none."""
    seeds = tuple(seeds)
    for seed in seeds:
        if all(wish.holds(seed) for wish in wishes):
            return seed
    for seed in ("", *seeds):
        for order in permutations(wishes):
            for text in islice(_through(order, seed), _TRIES):
                if all(wish.holds(text) for wish in wishes):
                    return text
    return None


def _through(order: Sequence[Wish], text: str) -> Iterator[str]:
    if not order:
        yield text
        return
    for word in order[0].words:
        for found in order[0].lens.put(text, word):
            yield from _through(order[1:], found)


def lens_of(field: str | Text) -> tuple[str, Lens]:
    """Where a text is, and how it is read."""
    if isinstance(field, str):
        return field, Whole()
    return field.path, Whole() if field == Text(field.path) else Cut(field)


def shares(field: Join, word: str, hints: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """What each part of a `Join` has to read, so that together they are the word. `hints` are words that parts may be."""
    fixed = [part.value if isinstance(part, Const) else None for part in field.parts]
    if field.separator:
        parts = word.split(field.separator, len(fixed) - 1)
        if len(parts) == len(fixed) and all(want in (None, part) for want, part in zip(fixed, parts, strict=True)):
            yield tuple(parts)
        return
    choices = [(want,) if want is not None else None for want in fixed]
    if choices.count(None) == 1:
        place = choices.index(None)
        before, behind = (
            "".join(want or "" for want in fixed[:place]),
            "".join(want or "" for want in fixed[place + 1 :]),
        )
        if word.startswith(before) and word.endswith(behind) and len(word) >= len(before) + len(behind):
            middle = word[len(before) : len(word) - len(behind)]
            yield tuple(middle if want is None else want for want in fixed)
        return
    words = tuple(dict.fromkeys(form for hint in hints for form in (hint, hint.lower(), hint.upper())))
    for combination in product(*(choice or words for choice in choices)):
        if "".join(combination) == word:
            yield tuple(combination)


def _texts(tokens: Any, word: str) -> Iterator[str]:
    """Texts of a regular expression whose first group is the word."""
    yield from map("".join, product(*(list(islice(_token(code, value, word), 8)) for code, value in tokens)))


def _token(code: Any, value: Any, word: str) -> Iterator[str]:
    match code:
        case codes.LITERAL:
            yield chr(value)
        case codes.ANY:
            yield _FILLER
        case codes.NOT_LITERAL:
            yield _FILLER if ord(_FILLER) != value else "a"
        case codes.IN:
            yield from (character for character in _pool(value) if _belongs(character, value))
        case codes.BRANCH:
            for branch in value[1]:
                yield from _texts(branch, word)
        case codes.MAX_REPEAT | codes.MIN_REPEAT | codes.POSSESSIVE_REPEAT:
            least, most, inner = value
            for count in dict.fromkeys((least, min(max(least, 1), most))):
                yield from ("".join(text) for text in product(*[list(islice(_texts(inner, word), 4))] * count))
        case codes.SUBPATTERN:
            if value[0] == 1:
                yield word
            else:
                yield from _texts(value[3], word)
        case codes.ATOMIC_GROUP:
            yield from _texts(value, word)
        case _:
            yield ""  # an anchor or a look-around: whether it holds is tried


def _pool(members: Any) -> str:
    own = "".join(
        chr(value if code is codes.LITERAL else value[0])
        for code, value in members
        if code in (codes.LITERAL, codes.RANGE)
    )
    return own + _POOL


def _belongs(character: str, members: Any) -> bool:
    found, turned = False, False
    for code, value in members:
        match code:
            case codes.NEGATE:
                turned = True
            case codes.LITERAL:
                found |= ord(character) == value
            case codes.RANGE:
                found |= value[0] <= ord(character) <= value[1]
            case codes.CATEGORY:
                found |= {
                    codes.CATEGORY_DIGIT: character.isdigit(),
                    codes.CATEGORY_WORD: character.isalnum() or character == "_",
                    codes.CATEGORY_SPACE: character.isspace(),
                    codes.CATEGORY_NOT_DIGIT: not character.isdigit(),
                    codes.CATEGORY_NOT_WORD: not (character.isalnum() or character == "_"),
                    codes.CATEGORY_NOT_SPACE: not character.isspace(),
                }[value]
    return found is not turned
