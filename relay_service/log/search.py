"""Finding a place in the log by what only rises through it: time, or bytes. A few dozen reads of one entry each, whatever the log's length."""

from __future__ import annotations

from collections.abc import Callable

from relay_service.log.entries import Entry
from relay_service.log.store import LogStore


async def first_that(store: LogStore, reaches: Callable[[Entry], bool]) -> Entry | None:
    """The first entry that `reaches`, which has to be true of every entry after one it is true of. None where none is."""
    oldest, newest = await store.oldest(), await store.newest()
    if oldest is None or newest is None or not reaches(newest):
        return None
    if reaches(oldest):
        return oldest
    found = newest
    low, high = oldest.number + 1, newest.number
    while low < high:  # where `found` is not the first, the first has a number from `low` to below `high`
        middle = (low + high) // 2
        entry = await store.at_or_after(middle)
        if entry is None or entry.number >= high:
            high = middle
        elif reaches(entry):
            found, high = entry, middle
        else:
            low = entry.number + 1
    return found
