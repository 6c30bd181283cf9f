"""Keeps the replica as the registries are: three watches, each resumed by itself. A registry that is lost costs nothing but news."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

from alphapulse.api.common.v1.common_pb2 import ChangeKind
from alphapulse.client import Reset, watch_instruments, watch_synthetics, watch_venues
from alphapulse.domain.errors import AlphaPulseError
from relay_service.enrichment.replica import EnrichmentReplica, Registry

_log: Final = logging.getLogger(__name__)
_AGAIN_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class RegistryAddresses:
    """Where the registries are, as host:port."""

    instrument: str
    """Of the instrument registry."""
    venue: str
    """Of the venue registry."""
    synthetic: str
    """Of the synthetic registry."""


class RegistryFeed:
    """Runs the watches while entered. `complete` is set once the first snapshot of each registry has been applied."""

    def __init__(self, replica: EnrichmentReplica, addresses: RegistryAddresses) -> None:
        self._replica = replica
        self._addresses = addresses
        self._complete: dict[Registry, bool] = {"instrument": False, "venue": False, "synthetic": False}
        self._tasks = AsyncExitStack()
        self.complete: asyncio.Event = asyncio.Event()
        """Set once the replica holds what each registry held when it was first reached."""

    async def __aenter__(self) -> Self:
        group = await self._tasks.enter_async_context(_Tasks())
        appliers: tuple[tuple[Registry, Callable[[str], AsyncIterator[Any]], str, _Applier], ...] = (
            ("venue", watch_venues, self._addresses.venue, _VenueApplier(self._replica)),
            ("instrument", watch_instruments, self._addresses.instrument, _InstrumentApplier(self._replica)),
            ("synthetic", watch_synthetics, self._addresses.synthetic, _SyntheticApplier(self._replica)),
        )
        for registry, watch, address, applier in appliers:
            group.start(self._follow(registry, watch, address, applier))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._tasks.aclose()

    async def _follow(
        self, registry: Registry, watch: Callable[[str], AsyncIterator[Any]], address: str, applier: _Applier
    ) -> None:
        """Apply one watch for ever. The watch mends broken connections itself; what it cannot mend is logged and begun anew."""
        while True:
            try:
                async for event in watch(address):
                    self._take(registry, event, applier)
            except AlphaPulseError as error:
                _log.warning("the %s registry cannot be watched, again in %.0f s: %s", registry, _AGAIN_SECONDS, error)
            except Exception:  # one message that cannot be applied must not end the news of a registry for good
                _log.exception("the %s registry said what cannot be applied; again from a snapshot", registry)
            applier.reset()
            await asyncio.sleep(_AGAIN_SECONDS)

    def _take(self, registry: Registry, event: Any, applier: _Applier) -> None:
        if isinstance(event, Reset):
            applier.reset()
            return
        kind = event.WhichOneof("event")
        if kind == "snapshot":
            applier.snapshot(event.snapshot)
        elif kind == "changes":
            for change in event.changes.changes:
                applier.change(change)
            if not applier.in_snapshot and event.changes.changes:
                self._replica.set_revision(registry, event.changes.changes[-1].revision)
        elif kind == "bookmark":
            if event.bookmark.snapshot_complete:
                applier.finish_snapshot(registry)
                self._note_complete(registry)
            if not applier.in_snapshot:
                self._replica.set_revision(registry, event.bookmark.revision)

    def _note_complete(self, registry: Registry) -> None:
        self._complete[registry] = True
        if all(self._complete.values()):
            self.complete.set()


class _Tasks:
    """Tasks that end with the block."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, work: Any) -> None:
        self._tasks.append(asyncio.create_task(work))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class _Applier:
    """Applies one registry's snapshot and changes."""

    def __init__(self, replica: EnrichmentReplica) -> None:
        self._replica = replica
        self._seen: set[str] = set()
        self.in_snapshot = True

    def reset(self) -> None:
        """A snapshot from its beginning follows. What is held stays until the new one is whole."""
        self._seen.clear()
        self.in_snapshot = True

    def finish_snapshot(self, registry: Registry) -> None:
        """The snapshot is whole: what it did not name is gone."""
        if self.in_snapshot:
            self._replica.keep_only(registry, self._seen)
        self._seen.clear()
        self.in_snapshot = False

    def snapshot(self, part: Any) -> None:
        """A part of the snapshot."""
        raise NotImplementedError

    def change(self, change: Any) -> None:
        """One revision."""
        raise NotImplementedError


class _InstrumentApplier(_Applier):
    def snapshot(self, part: Any) -> None:
        for entry in part.entries:
            self._seen.add(entry.instrument.instrument_id)
            self._replica.apply_instrument(entry.instrument)
            for listing in entry.listings:
                self._seen.add(listing.listing_id)
                self._replica.apply_listing(listing)

    def change(self, change: Any) -> None:
        kind = change.WhichOneof("entity")
        retired = change.kind == ChangeKind.CHANGE_KIND_RETIRED
        if kind == "instrument":
            self._seen.add(change.instrument.instrument_id)
            self._replica.apply_instrument(change.instrument)
        elif kind == "listing":
            self._seen.add(change.listing.listing_id)
            if retired:
                self._replica.remove_listing(change.listing.listing_key)
            else:
                self._replica.apply_listing(change.listing)


class _VenueApplier(_Applier):
    def snapshot(self, part: Any) -> None:
        for venue in part.venues:
            self._seen.add(venue.code)
            self._replica.apply_venue(venue)

    def change(self, change: Any) -> None:
        self._seen.add(change.venue.code)
        self._replica.apply_venue(change.venue)


class _SyntheticApplier(_Applier):
    def snapshot(self, part: Any) -> None:
        for synthetic in part.synthetics:
            self._seen.add(synthetic.name)
            self._replica.apply_synthetic(synthetic)

    def change(self, change: Any) -> None:
        self._seen.add(change.synthetic.name)
        if change.kind == ChangeKind.CHANGE_KIND_RETIRED:
            self._replica.remove_synthetic(change.synthetic.name)
        else:
            self._replica.apply_synthetic(change.synthetic)
