"""What stands in a message for values that each message of a form has anew."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, Final

Render = Callable[[Any], bytes]
"""A value as JSON."""
Text = tuple[bytes, tuple[tuple[Any, Render], ...]]
"""A text with `%b` for its blanks, and of each blank in turn the name of its value and how it is written."""
_TOKEN: Final = re.compile(rb'"\\u0000(\d+)"')


@dataclass(slots=True)
class Blanks:
    """The blanks of one text in the making. A value that is written in two ways has two."""

    known: dict[tuple[Hashable, Hashable], int] = field(default_factory=dict)
    slots: list[tuple[Any, Render]] = field(default_factory=list)

    def blank(self, name: Hashable) -> Any:
        """Stands for the value of a name, in its place."""
        return Blank(name, self)

    def parted(self, text: bytes) -> Text:
        """JSON that has blanks, and what they are."""
        found = _TOKEN.split(text)
        template = b"%b".join(part.replace(b"%", b"%%") for part in found[::2])
        return template, tuple(self.slots[int(number)] for number in found[1::2])


@dataclass(frozen=True, slots=True)
class Blank:
    """A value that is not known yet: a time, a number, or an amount, which is not nothing."""

    name: Hashable
    blanks: Blanks

    def __getitem__(self, place: int) -> int:
        return 1

    def token(self, way: Hashable, render: Render) -> str:
        """The text that stands for it, written in this way."""
        number = self.blanks.known.setdefault((self.name, way), len(self.blanks.slots))
        if number == len(self.blanks.slots):
            self.blanks.slots.append((self.name, render))
        return f"\x00{number}"


@dataclass(frozen=True, slots=True)
class BlankLevels:
    """The levels of a book that are not known yet: of each list of them the path, and the text that stands for it."""

    lists: tuple[tuple[str, str], ...]
