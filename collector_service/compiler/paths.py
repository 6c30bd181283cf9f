"""Paths of fields: `data.price`, `[2].p`, `^symbol`, `time?`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from collector_service.compiler.faults import fault

_STEP: Final = re.compile(r"\.?([^.\[\]?^]+)|\.?\[(\d+)\]")

Step = str | int
"""A field's name, or a place in an array."""


@dataclass(frozen=True, slots=True)
class Path:
    """A path, read."""

    steps: tuple[Step, ...]
    from_root: bool
    """It begins at the whole message, not at the repeated item."""
    optional: bool


def read_path(text: str, where: str) -> Path:
    """A path's steps. Raises SpecificationError."""
    from_root, optional = text.startswith("^"), text.endswith("?")
    rest = text[from_root : len(text) - optional]
    steps: list[Step] = []
    at = 0 if rest != "." else 1
    while at < len(rest):
        found = _STEP.match(rest, at)
        if found is None:
            raise fault(where, text, "a path is names and [places], such as data.trades[0].price")
        steps.append(found[1] if found[1] is not None else int(found[2]))
        at = found.end()
    return Path(tuple(steps), from_root, optional)
