"""A JSON message that is written field by field: values at paths, texts of which several things are wanted at once, and fillers for what has to
be there and says nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from collector_service.mock.blanks import Blank
from collector_service.mock.texts import Lens, Wish, solved

Step = str | int | tuple[str, str]
"""A name, a place, or the one of a list whose name has this word."""
Steps = tuple[Step, ...]


class UnwritableError(Exception):
    """What a specification reads cannot be written by what it says alone; the text says why."""


class Draft:
    """One message in the making. Paths are absolute; nothing is decided before `build`."""

    def __init__(self) -> None:
        self._values: dict[Steps, Any] = {}
        self._wishes: dict[Steps, list[Wish]] = {}
        self._fillers: dict[Steps, Any] = {}
        self._taken: set[Steps] = set()
        """All paths at which something is, or behind which."""

    def put(self, steps: Steps, value: Any) -> None:
        """A value, which a second one may not contradict. Raises UnwritableError."""
        self._take(steps)
        if isinstance(value, Blank):
            value = value.token(None, encoded)
        held = self._values.setdefault(steps, value)
        if held is not value and encoded(held) != encoded(value):
            raise UnwritableError(f"{shown(steps)} would have to be {_said(held)} and {_said(value)} at once")

    def wish(self, steps: Steps, lens: Lens, words: Sequence[str]) -> None:
        """A text in which the lens reads one of these words."""
        self._take(steps)
        wish = Wish(lens, tuple(words))
        held = self._wishes.setdefault(steps, [])
        if wish not in held:
            held.append(wish)

    def fill(self, steps: Steps, value: Any) -> None:
        """Stands there if nothing else does, on the path or behind it."""
        self._fillers.setdefault(steps, value)

    def has(self, steps: Steps) -> bool:
        """Whether something is at the path or behind it."""
        return steps in self._taken

    def names(self, steps: Steps) -> list[Step]:
        """The names of an object's values at which something stands, in order."""
        here = len(steps)
        found = [taken for taken in self._taken if len(taken) == here + 1 and taken[:here] == steps]
        return sorted((taken[here] for taken in found), key=str)

    def value(self, steps: Steps) -> Any:
        """What was put at a path; None for nothing."""
        return self._values.get(steps)

    def build(self, seeds: Iterable[str] = ()) -> Any:
        """The message as dicts and lists. `seeds` are texts that may be what is wanted. Raises UnwritableError."""
        seeds = tuple(seeds)
        leaves = dict(self._values)
        for steps, wishes in self._wishes.items():
            if steps in leaves:
                _check(steps, leaves[steps], wishes)
                continue
            text = solved(wishes, seeds)
            if text is None:
                raise UnwritableError(f"{shown(steps)}: no text gives {' and '.join(map(str, wishes))}")
            leaves[steps] = text == "true" if text in ("true", "false") else text
        for steps, filler in self._fillers.items():
            if steps not in self._taken and not any(steps[:length] in leaves for length in range(len(steps))):
                self._take(steps)
                leaves[steps] = filler
        return _tree(leaves)

    def _take(self, steps: Steps) -> None:
        while steps not in self._taken:
            self._taken.add(steps)
            steps = steps[:-1]


def encoded(value: Any) -> bytes:
    """As JSON."""
    return msgspec.json.encode(value)


def shown(steps: Steps) -> str:
    """A path as specifications write it."""
    parts = (
        f".{step}" if isinstance(step, str) else f"[{step}]" if isinstance(step, int) else f"[{step[0]}={step[1]}]"
        for step in steps
    )
    return "".join(parts).removeprefix(".") or "."


def _said(value: Any) -> str:
    return encoded(value).decode()


def word_of(value: Any) -> str:
    """The text of a value as a specification's reader of words sees it."""
    if isinstance(value, str):
        return value
    text = _said(value)
    return "" if text[:1] in '{["n' else text


def _check(steps: Steps, value: Any, wishes: Sequence[Wish]) -> None:
    for wish in wishes:
        if not wish.holds(word_of(value)):
            raise UnwritableError(f"{shown(steps)} is {_said(value)}, which does not give {wish}")


def _tree(leaves: dict[Steps, Any]) -> Any:
    root: dict[Any, Any] = {}
    for steps, value in leaves.items():
        here = root
        for step in ("", *steps):
            held = here.setdefault(step, {})
            if not isinstance(held, dict):
                raise UnwritableError(f"{shown(steps)}: a part of it is a value")
            here = held
        if here:
            if value in ([], {}):
                continue  # an empty list or object that others have filled
            raise UnwritableError(f"{shown(steps)} is a value, and has parts")
        here[_Leaf] = value
    return _made(root.get("", {}))


class _Leaf:
    """The key of a value among the steps."""


def _made(node: dict[Any, Any]) -> Any:
    if _Leaf in node:
        others = {step: part for step, part in node.items() if step is not _Leaf}
        if others and node[_Leaf] not in ([], {}):
            raise UnwritableError("a value has parts")
        if not others:
            return node[_Leaf]
        node = others
    if all(isinstance(step, str) for step in node):
        return {step: _made(part) for step, part in node.items()}
    if all(isinstance(step, int) for step in node):
        return [_made(node[place]) if place in node else None for place in range(max(node) + 1)]
    if all(isinstance(step, tuple) for step in node):
        return [{name: word, **_made(part)} for (name, word), part in node.items()]
    raise UnwritableError(f"{', '.join(map(str, node))}: names and places at once")
