"""The fields of a line of a list, written backwards."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any, Final

from alphapulse.domain.asset_class import AssetClass
from alphapulse.domain.instruments import ListingStatus
from collector_service.mock.draft import Draft, Step, Steps, UnwritableError
from collector_service.mock.texts import Whole, lens_of
from collector_service.spec import fields
from collector_service.spec.listing import Line

_STEP: Final = re.compile(r"([^.\[\]]+)|\[(\d+)\]|\[([^=\]]+)=([^\]]*)\]")


def paths_of(field: Any) -> Iterator[str]:
    """The paths that a text is read from."""
    match field:
        case str():
            yield field
        case fields.Text(path) | fields.Match(path):
            yield path
        case fields.Join(parts):
            for part in parts:
                yield from paths_of(part)


@cache
def steps_of(path: str) -> Steps:
    """Names, places and `[name=word]` of a path in a list. Raises UnwritableError."""
    steps: list[Step] = []
    rest = path.removesuffix("?").removeprefix(".")
    while rest:
        found = _STEP.match(rest)
        if found is None:
            raise UnwritableError(f"{path}: is no path of a list")
        name, place, key, word = found.groups()
        steps.append(name if name is not None else int(place) if place is not None else (key, word))
        rest = rest[found.end() :].removeprefix(".")
    return tuple(steps)


def kinds_of(line: Line) -> tuple[AssetClass | None, ...]:
    """The kinds of instrument that a line may be; None is a pair."""
    if line.contract is None:
        return (None,)
    kind = line.contract.kind
    if isinstance(kind, AssetClass):
        return (kind,)
    return tuple(
        dict.fromkeys(found for found in (*kind.words.values(), kind.default) if isinstance(found, AssetClass))
    )


def rights_of(line: Line) -> tuple[str, ...]:
    """`call` and `put`, where a line tells them."""
    right = line.contract.right if line.contract is not None else None
    return tuple(dict.fromkeys(map(str, right.words.values()))) if right is not None else ("",)


def put_status(draft: Draft, status: Any, wanted: ListingStatus) -> None:
    """The word of a status, where it takes one."""
    choices = status if isinstance(status, tuple) else (status,) if status is not None else ()
    for choice in choices:
        word = next((word for word, found in choice.words.items() if found is wanted), None)
        if word is not None:
            if word:
                put_word(draft, choice.path if isinstance(choice.path, str) else choice.path.path, word)
            return


def put_meaning(draft: Draft, choice: fields.Choice, wanted: object) -> None:
    """The word that means something."""
    word = next((word for word, found in choice.words.items() if found == wanted), None)
    if word:
        put_word(draft, choice.path if isinstance(choice.path, str) else choice.path.path, word)


def put_word(draft: Draft, path: str, word: str) -> None:
    """A word at a path."""
    draft.wish(steps_of(path), Whole(), (word,))


def put_step(draft: Draft, field: Any, decimals: int) -> None:
    """A step of 10**-decimals. Where several fields read one path the first decides."""
    text = f"0.{'1'.rjust(decimals, '0')}" if decimals else "1"
    if field is not None:
        put_amount(draft, field, text, decimals)


def put_amount(draft: Draft, field: Any, text: str, decimals: int) -> None:
    """A number at the path of a rule, where nothing is yet."""
    match field:
        case tuple():
            put_amount(draft, field[0], text, decimals)
        case fields.Decimals(path) if not draft.has(steps_of(path)):
            draft.put(steps_of(path), decimals)
        case str() if not draft.has(steps_of(field)):
            draft.put(steps_of(field), text)
        case fields.Product(paths):
            put_amount(draft, paths[0], text, decimals)
            for path in paths[1:]:
                put_amount(draft, path, "1", 0)
        case fields.Text(path) if not draft.has(steps_of(path)):
            draft.wish(steps_of(path), lens_of(field)[1], (text,))


def changed(line: Any, steps: Steps, word: str) -> Any:
    """The line with another word at names; None where there are other steps, or the word is nothing."""
    if not word or not all(isinstance(step, str) for step in steps) or not isinstance(line, dict):
        return None
    head, *rest = steps
    if not rest:
        return {**line, head: word}
    inner = changed(line.get(head), tuple(rest), word)
    return None if inner is None else {**line, head: inner}
