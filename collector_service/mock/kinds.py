"""Kinds written backwards: what a message has to bear so that the splitter tells it as one kind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from collector_service.compiler.paths import read_path
from collector_service.mock.draft import Draft, Steps, UnwritableError
from collector_service.mock.texts import lens_of
from collector_service.spec.fields import Has, Learned, Listed, Nested, Text

Way = tuple[tuple[Any, str], ...]
"""Parts of a kind, each with the word it has to give; the empty word: nothing."""


def ways_of(kind: str, alternatives: Sequence[Sequence[Any]]) -> Iterator[Way]:
    """All ways in which a kind may come about, in the order of the alternatives."""
    words = kind.split(":")
    # A part that is named after the word itself is likelier than one that happens to have it.
    for parts in sorted(alternatives, key=lambda parts: not (isinstance(parts[0], Has) and parts[0].path == words[0])):
        for shared in _shared(words, len(parts)):
            if all(_may_be(part, word) for part, word in zip(parts, shared, strict=True)):
                yield tuple(zip(parts, shared, strict=True))


def _shared(words: Sequence[str], parts: int) -> Iterator[tuple[str, ...]]:
    """The words dealt out to so many parts in turn, at least one to the first; a part may have none."""
    if parts == 1:
        yield (":".join(words),)
        return
    for count in range(1, len(words) + 1):
        for rest in _rest(words[count:], parts - 1):
            yield (":".join(words[:count]), *rest)


def _rest(words: Sequence[str], parts: int) -> Iterator[tuple[str, ...]]:
    if parts == 0:
        if not words:
            yield ()
        return
    for count in (*range(1, len(words) + 1), 0):
        for rest in _rest(words[count:], parts - 1):
            yield (":".join(words[:count]), *rest)


def _may_be(part: Any, word: str) -> bool:
    if isinstance(part, Has):
        return word in (part.path, "")
    if isinstance(part, Listed):
        return word in ("list", "")
    return word in ("many", "") if isinstance(part, Nested) else True


def steps_of(path: str) -> Steps:
    """The steps of a path of a kind."""
    return tuple(read_path(path, "kind").steps)


def mark(draft: Draft, way: Way, number_of: Any) -> None:
    """Puts into a message what the way asks for. `number_of` gives the number of a channel. Raises UnwritableError."""
    for part, word in way:
        if not word:
            continue
        match part:
            case str() | Text():
                path, lens = lens_of(part)
                draft.wish(steps_of(path), lens, (word,))
            case Has(path):
                draft.fill(steps_of(path), 1)
            case Learned(path):
                draft.put(steps_of(path), number_of(word))
            case Nested(path):
                draft.fill(steps_of(path), [[]])
            case Listed(path):
                draft.fill(steps_of(path), [])
            case _:
                raise UnwritableError(f"{part!r} is no part of a kind that can be written")
