"""Much work in the event loop, done a little at a time: a list of ten thousand lines must not hold up what streams meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

PORTION: Final = 100
"""Items between two turns of the others: some milliseconds."""
_T = TypeVar("_T")
_M = TypeVar("_M")


async def made_of(items: Sequence[_T], make: Callable[[_T], _M]) -> list[_M]:
    """What is made of each, in order."""
    made: list[_M] = []
    for at in range(0, len(items), PORTION):
        made += [make(item) for item in items[at : at + PORTION]]
        await asyncio.sleep(0)
    return made
