"""A life of the relay read from its log from the beginning, without gaps in what is read, and replayed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from alphapulse.domain.domains import Domain
from relay_service.evidence.replaying import Divergence, LifeReplay, NotReplayableError
from relay_service.log.entries import Entry, EntryKind, EntryUnreadableError
from relay_service.log.store import LogStore

_PAGE: Final = 64


@dataclass(frozen=True, slots=True)
class Replayed:
    """What became of a replay."""

    relay_id: str
    rows: int
    """Rows that came out byte for byte as the log holds them."""
    gaps: int
    """Losses that were declared again as the log holds them."""
    last_sequence: int
    """The last one that was compared."""
    divergence: Divergence | None
    """None: there is none, as far as it went."""
    stopped: str
    """Why it did not go to the end of the log; empty where it did."""


async def replay(store: LogStore, incarnation: int, name: str, domain: Domain = Domain.MARKET) -> Replayed:
    """Replay a life in a domain to the end of what its log, which is given, holds of it. Raises NotReplayableError, and `store.FAILURES` where Redis
    does not answer."""
    life = LifeReplay(domain)
    stopped = ""
    async for entry in _entries(store, incarnation):
        if isinstance(entry, str):
            stopped = entry
            break
        try:
            for record in entry.records():
                life.feed(record)
        except EntryUnreadableError as error:
            stopped = str(error)
            break
        if life.over:
            break
    life.finish()
    return Replayed(name, life.rows, life.gaps, life.last_sequence, life.divergence, life.stopped or stopped)


async def newest_life(store: LogStore) -> int | None:
    """The life that wrote the log last; None where there is none."""
    newest = await store.newest()
    return None if newest is None else newest.incarnation


async def _entries(store: LogStore, incarnation: int) -> AsyncIterator[Entry | str]:
    """The entries of a life; at the end what is missing, where it goes on behind something that is."""
    number, last = incarnation << 64, 0
    start = await store.at_or_after(number)
    if start is None or start.incarnation != incarnation:
        raise NotReplayableError("the log holds nothing of this life")
    if start.kind is not EntryKind.START:
        text = f"the beginning of this life is not in the log any more, which has it from event {start.first} on"
        raise NotReplayableError(f"{text}: what follows rests on what was before")
    last = start.last
    while True:
        _, page = await store.around(number, _PAGE)
        for entry in page:
            if entry.incarnation != incarnation:
                return
            follows = entry.first - 1 if entry.kind is EntryKind.EVENTS else entry.last
            if follows != last:
                yield f"the log lost {last + 1} to {follows}: what follows rests on them"
                return
            yield entry
            number, last = entry.number, entry.last
        if not page:
            return
