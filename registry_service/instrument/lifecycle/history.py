"""GetInstrumentHistory: the revisions of an instrument, what happened to it, and what it came from and became.

Each is answered as known at one revision: now, or at `known_at`. Events carry both times, when they took effect and when they
were recorded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from alphapulse.domain.errors import NotFound
from alphapulse.domain.ids import InstrumentId
from registry_service.calls import Calls, page_size
from registry_service.framing import chunk, text
from registry_service.instrument.convert import Findings, service, wire
from registry_service.instrument.queries.facets import require
from registry_service.instrument.watch import encode_change
from registry_service.resources import RegistryResources
from registry_service.storage.model import Entity, EntityKind

MOST_STEPS: Final = 1000
"""Instruments of one succession graph that are told of."""


class History:
    """Reads of what was, and what became of it."""

    def __init__(self, resources: RegistryResources, calls: Calls) -> None:
        self._store = resources.store
        self._tokens = resources.tokens
        self._feed = resources.feed
        self._calls = calls

    async def history(self, request: service.GetInstrumentHistoryRequest) -> bytes:
        """GetInstrumentHistory, newest first. Raises NotFound for an id nobody had at that time."""
        wanted = InstrumentId.parse(request.instrument_id, "instrument_id").hex
        size = page_size(request.page_size)
        findings = Findings()
        known_at = findings.time(request, "known_at", "")
        require(findings)
        scope = b"history\0" + wanted.encode() + b"\0" + request.known_at.SerializeToString(deterministic=True)
        if request.page_token:
            before = self._tokens.read_page(request.page_token, scope).revision
            return await self._page(wanted, before, size, scope)
        minimum = await self._calls.fresh(request.read)
        revision = max(self._feed.applied_revision, minimum)
        if known_at is not None:
            revision = await self._store.revision_at(known_at)
        held = await self._store.get(EntityKind.INSTRUMENT, [wanted], revision)
        if wanted not in held:
            raise NotFound(f"no instrument {wanted} is registered", metadata={"instrument_id": wanted})
        changes = await self._page(wanted, revision + 1, size, scope)
        below = (await self._store.children(EntityKind.LISTING, [wanted], revision)).get(wanted, ())
        told = [chunk(3, one.SerializeToString()) for one in events_of(held[wanted], below)]
        steps = [chunk(4, one.SerializeToString()) for one in await self._succession(held[wanted], revision)]
        return b"".join([changes, *told, *steps])

    async def _page(self, wanted: str, before: int, size: int, scope: bytes) -> bytes:
        found = await self._store.changes_of([wanted], before_revision=before, limit=size + 1)
        shown = found[:size]
        following = self._tokens.page(scope, revision=shown[-1].revision, after="") if len(found) > size else ""
        return b"".join([chunk(1, encode_change(one)) for one in shown]) + text(2, following)

    async def _succession(self, start: Entity, revision: int) -> list[service.SuccessionStep]:
        """The steps from and to an instrument, over any number of others, by effective time; those without an event last."""
        known = {start.entity_id: wire.Instrument.FromString(start.body)}
        frontier = set(neighbours_of(known[start.entity_id]))
        while frontier and len(known) < MOST_STEPS:
            read = await self._store.get(EntityKind.INSTRUMENT, sorted(frontier), revision)
            fresh = {one: wire.Instrument.FromString(held.body) for one, held in read.items()}
            known |= fresh
            frontier = {other for one in fresh.values() for other in neighbours_of(one)} - known.keys()
            frontier -= read.keys()
        return steps_of(known)


def events_of(instrument: Entity, listings: Iterable[Entity]) -> list[wire.LifecycleEvent]:
    """What happened to an instrument and its listings, by effective time."""
    found: list[wire.LifecycleEvent] = list(wire.Instrument.FromString(instrument.body).events)
    for one in listings:
        found.extend(wire.Listing.FromString(one.body).events)
    return sorted(found, key=_when)


def neighbours_of(instrument: wire.Instrument) -> Iterator[str]:
    """The instruments a step before and after."""
    yield from instrument.successor_ids
    yield from instrument.predecessor_ids
    for event in instrument.events:
        for predecessor, successor in _edges(event):
            yield predecessor
            yield successor


def steps_of(known: Mapping[str, wire.Instrument]) -> list[service.SuccessionStep]:
    """The steps between instruments, each once."""
    found: dict[tuple[str, str], wire.LifecycleEvent | None] = {}
    for one in known.values():
        for event in one.events:
            found.update(dict.fromkeys(_edges(event), event))
    for one in known.values():
        for other in one.successor_ids:
            found.setdefault((one.instrument_id, other), None)
        for other in one.predecessor_ids:
            found.setdefault((other, one.instrument_id), None)
    ordered = sorted(found.items(), key=lambda pair: (pair[1] is None, _when(pair[1]) if pair[1] else (0, 0)))
    return [
        service.SuccessionStep(predecessor_id=one, successor_id=other, event=event) for (one, other), event in ordered
    ]


def _edges(event: wire.LifecycleEvent) -> Sequence[tuple[str, str]]:
    after = [*event.merger.successor_ids, *event.spin_off.spun_off_ids]
    return [(event.instrument_id, one) for one in after]


def _when(event: wire.LifecycleEvent) -> tuple[int, int]:
    return event.effective_time.ToNanoseconds(), event.recorded_time.ToNanoseconds()
