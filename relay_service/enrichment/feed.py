"""Keeps the replica as the registries are: three watches, each resumed by itself. A registry that is lost costs nothing but news."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

import grpc

from alphapulse.api.common.v1 import common_pb2 as common
from alphapulse.api.common.v1.common_pb2 import ChangeKind
from alphapulse.api.instrument.v1 import instrument_service_pb2 as instruments
from alphapulse.api.instrument.v1.instrument_pb2 import Listing, ListingStatus
from alphapulse.api.instrument.v1.instrument_service_pb2_grpc import InstrumentServiceStub
from alphapulse.api.synthetic.v1 import synthetic_service_pb2 as synthetics
from alphapulse.api.synthetic.v1.synthetic_service_pb2_grpc import SyntheticServiceStub
from alphapulse.api.venue.v1 import venue_service_pb2 as venues
from alphapulse.api.venue.v1.venue_service_pb2_grpc import VenueServiceStub
from alphapulse.client import Reset, watch_instruments, watch_synthetics, watch_venues
from alphapulse.client.channel import open_channel
from alphapulse.domain.errors import AlphaPulseError
from alphapulse.domain.revisions import RevisionToken
from relay_service.enrichment.replica import EnrichmentReplica, Registry

_log: Final = logging.getLogger(__name__)
_AGAIN_SECONDS: Final = 5.0
_PRESENT_SECONDS: Final = 5.0
_PIECE: Final = 50
"""Entities applied in one turn of the loop: about two milliseconds."""
_NEVER: Final = 1 << 63


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
    """Runs the watches while entered. A snapshot of any size is applied in pieces between which the loop turns; `settle` is called after each."""

    def __init__(
        self, replica: EnrichmentReplica, addresses: RegistryAddresses, settle: Callable[[], None] = lambda: None
    ) -> None:
        self._replica = replica
        self._addresses = addresses
        self._settle = settle
        self._missing: set[Registry] = {"instrument", "venue", "synthetic"}
        self._wanted: dict[Registry, int] = {}
        self._tasks = AsyncExitStack()
        self.complete: asyncio.Event = asyncio.Event()
        """Set once the replica holds what each registry held when its first snapshot had come. The snapshot itself may be thousands of revisions
        old; what changed since then follows it."""

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
                    await self._take(registry, address, event, applier)
            except AlphaPulseError as error:
                _log.warning("the %s registry cannot be watched, again in %.0f s: %s", registry, _AGAIN_SECONDS, error)
            except Exception:  # one message that cannot be applied must not end the news of a registry for good
                _log.exception("the %s registry said what cannot be applied; again from a snapshot", registry)
            applier.reset()
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _take(self, registry: Registry, address: str, event: Any, applier: _Applier) -> None:
        if isinstance(event, Reset):
            applier.reset()
            return
        kind = event.WhichOneof("event")
        if kind == "snapshot":
            await self._apply(applier.snapshot(event.snapshot))
        elif kind == "changes":
            await self._apply(applier.changes(event.changes.changes))
            if not applier.in_snapshot and event.changes.changes:
                self._reach(registry, event.changes.changes[-1].revision)
        elif kind == "bookmark":
            if event.bookmark.snapshot_complete:
                applier.finish_snapshot(registry)
                self._settle()
                if registry not in self._wanted:
                    self._wanted[registry] = await _present_revision(registry, address)
            if not applier.in_snapshot:
                self._reach(registry, event.bookmark.revision)

    async def _apply(self, steps: Iterator[None]) -> None:
        """Let the loop turn, and events pass, between any so many steps."""
        for number, _ in enumerate(steps, 1):
            if number % _PIECE == 0:
                self._settle()
                await asyncio.sleep(0)
        self._settle()

    def _reach(self, registry: Registry, revision: int) -> None:
        """All up to a revision is applied."""
        self._replica.set_revision(registry, revision)
        if revision >= self._wanted.get(registry, _NEVER):
            self._missing.discard(registry)
            if not self._missing:
                self.complete.set()


async def _present_revision(registry: Registry, address: str) -> int:
    """The revision a registry is at; 0 where it does not say."""
    options = common.ReadOptions(latest=True)
    try:
        async with asyncio.timeout(_PRESENT_SECONDS), open_channel(address) as channel:
            if registry == "instrument":
                stub: Any = InstrumentServiceStub(channel)
                page = await stub.ListInstruments(instruments.ListInstrumentsRequest(page_size=1, read=options))
            elif registry == "venue":
                stub = VenueServiceStub(channel)
                page = await stub.ListVenues(venues.ListVenuesRequest(page_size=1, read=options))
            else:
                stub = SyntheticServiceStub(channel)
                page = await stub.ListSynthetics(synthetics.ListSyntheticsRequest(page_size=1, read=options))
        return int(getattr(RevisionToken.decode(page.revision_token), registry))
    except (grpc.RpcError, TimeoutError, AlphaPulseError) as error:
        _log.warning("the %s registry does not say how far it is, its snapshot has to do: %s", registry, error)
        return 0


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

    def snapshot(self, part: Any) -> Iterator[None]:
        """Apply a part of the snapshot; yields after each entity."""
        raise NotImplementedError

    def changes(self, changes: Iterable[Any]) -> Iterator[None]:
        """Apply changes; yields after each."""
        for change in changes:
            self.change(change)
            yield

    def change(self, change: Any) -> None:
        """One revision."""
        raise NotImplementedError


def _is_gone(listing: Listing) -> bool:
    return listing.status == ListingStatus.LISTING_STATUS_DELISTED


class _InstrumentApplier(_Applier):
    def snapshot(self, part: Any) -> Iterator[None]:
        for entry in part.entries:
            self._seen.add(entry.instrument.instrument_id)
            self._replica.apply_instrument(entry.instrument)
            yield
            for listing in entry.listings:
                if _is_gone(listing):
                    continue
                self._seen.add(listing.listing_id)
                self._replica.apply_listing(listing)
                yield

    def change(self, change: Any) -> None:
        kind = change.WhichOneof("entity")
        if kind == "instrument":
            self._seen.add(change.instrument.instrument_id)
            self._replica.apply_instrument(change.instrument)
        elif kind == "listing":
            # What kind of change it was does not matter: a delisted listing may be corrected later on.
            if _is_gone(change.listing):
                self._seen.discard(change.listing.listing_id)
                self._replica.remove_listing(change.listing.listing_key)
            else:
                self._seen.add(change.listing.listing_id)
                self._replica.apply_listing(change.listing)


class _VenueApplier(_Applier):
    def snapshot(self, part: Any) -> Iterator[None]:
        for venue in part.venues:
            self._seen.add(venue.code)
            self._replica.apply_venue(venue)
            yield

    def change(self, change: Any) -> None:
        self._seen.add(change.venue.code)
        self._replica.apply_venue(change.venue)


class _SyntheticApplier(_Applier):
    def snapshot(self, part: Any) -> Iterator[None]:
        for synthetic in part.synthetics:
            self._seen.add(synthetic.name)
            self._replica.apply_synthetic(synthetic)
            yield

    def change(self, change: Any) -> None:
        self._seen.add(change.synthetic.name)
        if change.kind == ChangeKind.CHANGE_KIND_RETIRED:
            self._replica.remove_synthetic(change.synthetic.name)
        else:
            self._replica.apply_synthetic(change.synthetic)
