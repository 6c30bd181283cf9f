"""The registries in this process: a look-up is a dictionary access, kept right by watches."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

from alphapulse.api.instrument.v1 import instrument_service_pb2 as instruments_api
from alphapulse.api.venue.v1 import venue_service_pb2 as venues_api
from alphapulse.client import Reset, watch_instruments, watch_venues
from alphapulse.domain.errors import AlphaPulseError, DeadlineExceeded, Internal
from alphapulse.domain.identifiers import Scheme
from alphapulse.domain.ids import InstrumentId
from alphapulse.domain.instruments import Instrument, Listing
from alphapulse.domain.revisions import RevisionToken
from strategy_sdk._caller import Caller, read_options
from strategy_sdk._config import Addresses
from strategy_sdk._filters import InstrumentFilter
from strategy_sdk._index import Held, InstrumentIndex
from strategy_sdk._venue_models import Venue

_log: Final = logging.getLogger(__name__)
_ISIN: Final = int(Scheme.ISIN)


@dataclass(frozen=True, slots=True)
class ReplicaChange:
    """One entry changed in the replica."""

    revision: int
    value: Instrument | Listing | Venue
    """As it is now."""


@dataclass(slots=True)
class _Progress:
    """How far one watch is."""

    complete: bool = False
    revision: int = 0
    heard: float = 0.0
    filling: bool = False
    """A new snapshot is under way: look-ups see what was held before it, and so does `revision`."""


class _Present(Caller):
    """Asks the registries how far they are."""

    async def token(self) -> RevisionToken:
        """The revision each of them is at now."""
        latest = read_options("", latest=True)
        instruments = await self._read(
            self._instruments.ListInstruments, instruments_api.ListInstrumentsRequest(page_size=1, read=latest)
        )
        venues = await self._read(self._venues.ListVenues, venues_api.ListVenuesRequest(page_size=1, read=latest))
        first, second = (RevisionToken.decode(page.revision_token) for page in (instruments, venues))
        return RevisionToken(first.instrument, second.venue)


class RegistryReplica:
    """Instruments, listings and venues, held in memory.

        async with RegistryReplica() as replica:
            await replica.ready()
            apple = replica.isin("US0378331005")

    Look-ups never wait. They hold what the registries held at `revision_token`; `age` says for how long nothing has been
    heard of them. A broken connection is resumed and misses nothing; when the registry can no longer resume, a new snapshot
    replaces what is held, at once.
    """

    def __init__(self, addresses: Addresses | None = None, wanted: InstrumentFilter | None = None) -> None:
        self._addresses = addresses or Addresses.from_environment()
        self._wanted = wanted
        self._put_in_place(InstrumentIndex())
        self._venues: dict[str, Held[Venue]] = {}
        self._progress = {"instrument": _Progress(), "venue": _Progress()}
        self._moved = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._failure: AlphaPulseError | None = None
        self._callbacks: list[Callable[[ReplicaChange], None]] = []

    async def __aenter__(self) -> Self:
        wanted = self._wanted.to_message() if self._wanted else None
        follow_instruments = self._follow_instruments(watch_instruments(self._addresses.instrument_registry, wanted))
        self._tasks = [
            asyncio.create_task(self._guard(follow_instruments)),
            asyncio.create_task(self._guard(self._follow_venues(watch_venues(self._addresses.venue_registry)))),
        ]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def ready(self, timeout: float | None = 30.0) -> None:
        """Wait until everything is held that the registries hold now. Raises DeadlineExceeded, and what a registry refuses with."""
        # The snapshot a registry hands out may be a little older than the registry; the changes since then follow it.
        try:
            async with asyncio.timeout(timeout):
                async with _Present(self._addresses) as present:
                    wanted = await present.token()
                await self._until(lambda: self._complete and self._token.covers(wanted))
        except TimeoutError:
            raise DeadlineExceeded(f"the replica did not hold what the registries hold within {timeout} s") from None

    async def reached(self, revision_token: str, timeout: float | None = 10.0) -> None:
        """Wait until the replica holds a revision, such as that of a write. Raises DeadlineExceeded."""
        token = RevisionToken.decode(revision_token, "revision_token")
        wanted = RevisionToken(token.instrument, token.venue)  # synthetics are not held here
        try:
            async with asyncio.timeout(timeout):
                await self._until(lambda: self._token.covers(wanted))
        except TimeoutError:
            raise DeadlineExceeded(f"the replica did not reach revision {revision_token} within {timeout} s") from None

    async def _until(self, done: Callable[[], bool]) -> None:
        while not done():
            if self._failure is not None:
                raise self._failure
            self._moved.clear()
            await self._moved.wait()

    # --- look-ups
    def isin(self, isin: str) -> Instrument | None:
        """Who bears an ISIN, in capitals without spaces, now. Raises AmbiguousIdentifier for several holders."""
        held = self._isins.get(isin)
        # The usual case in two steps; everything else where all identifiers are looked up.
        if type(held) is Held and held.value is not None:
            return held.value
        return self._index.bearer(_ISIN, isin)

    def identifier(self, scheme: Scheme, value: str) -> Instrument | None:
        """Who bears an identifier, in its canonical form, now. Raises AmbiguousIdentifier for several holders."""
        return self._index.bearer(scheme, value)

    def listing(self, key: int) -> Listing | None:
        """A listing by its key, as events carry it."""
        held = self._index.listings.get(key)
        return None if held is None else held.value or held.get()

    def symbol(self, venue: str, symbol: str) -> Listing | None:
        """The listing under a symbol on a venue, in the venue's spelling; of several in turn the one that is traded."""
        return self._index.by_symbol(venue, symbol)

    def instrument(self, instrument_id: InstrumentId | str) -> Instrument | None:
        """An instrument by its id."""
        held = self._index.instruments.get(str(instrument_id))
        return None if held is None else held.value or held.get()

    def listings_of(self, instrument_id: InstrumentId | str) -> tuple[Listing, ...]:
        """The listings of an instrument, by key."""
        return self._index.listings_of(str(instrument_id))

    def venue(self, code: str) -> Venue | None:
        """A venue by its code."""
        held = self._venues.get(code)
        return None if held is None else held.value or held.get()

    def instruments(self) -> Iterable[Instrument]:
        """All instruments held."""
        return [held.get() for held in self._index.instruments.values()]

    def listings(self) -> Iterable[Listing]:
        """All listings held."""
        return [held.get() for held in self._index.listings.values()]

    def venues(self) -> Iterable[Venue]:
        """All venues held."""
        return [held.get() for held in self._venues.values()]

    @property
    def counts(self) -> dict[str, int]:
        """How many are held: "instruments", "listings", "venues"."""
        index = self._index
        return {"instruments": len(index.instruments), "listings": len(index.listings), "venues": len(self._venues)}

    # --- how fresh
    @property
    def _complete(self) -> bool:
        return all(one.complete for one in self._progress.values())

    @property
    def _token(self) -> RevisionToken:
        return RevisionToken(self._progress["instrument"].revision, self._progress["venue"].revision)

    @property
    def revision_token(self) -> str:
        """The revision of the registries the replica holds."""
        return self._token.encode()

    @property
    def age(self) -> float:
        """Seconds since the quieter of the watches was last heard of; infinite before the snapshots are complete. Registries
        send bookmarks while nothing changes."""
        if not self._complete:
            return float("inf")
        return time.monotonic() - min(one.heard for one in self._progress.values())

    def on_change(self, function: Callable[[ReplicaChange], None]) -> Callable[[ReplicaChange], None]:
        """Call for every entry that changes after the snapshot. What the function raises is logged and stops nothing."""
        self._callbacks.append(function)
        return function

    # --- following
    async def _guard(self, following: Any) -> None:
        try:
            await following
        except AlphaPulseError as error:
            self._fail(error)
        except Exception as error:  # one nobody sees would leave the replica to grow old in silence
            _log.exception("the replica cannot follow a registry")
            self._fail(Internal(f"the replica cannot follow a registry: {type(error).__name__}: {error}"))

    def _fail(self, error: AlphaPulseError) -> None:
        self._failure = error
        self._moved.set()
        _log.error("the replica no longer follows a registry: %s", error)

    async def _follow_instruments(
        self, watch: AsyncGenerator[instruments_api.WatchInstrumentsResponse | Reset, None]
    ) -> None:
        progress = self._progress["instrument"]
        # Filled aside and put in place when it is whole: look-ups meanwhile see the old one.
        filling = self._index
        async with aclosing(watch) as events:
            async for event in events:
                progress.heard = time.monotonic()
                if isinstance(event, Reset):
                    filling, progress.filling = InstrumentIndex(), True
                    continue
                kind = event.WhichOneof("event")
                if kind == "snapshot":
                    for entry in event.snapshot.entries:
                        filling.put_instrument(entry.instrument)
                        for listing in entry.listings:
                            filling.put_listing(listing)
                elif kind == "bookmark":
                    if not progress.complete or event.bookmark.snapshot_complete:
                        self._put_in_place(filling)
                    self._note(progress, event.bookmark)
                elif kind == "changes":  # else of a later version: passed over
                    for change in event.changes.changes:
                        self._apply(filling, change)
                        progress.revision = max(progress.revision, change.revision)
                self._moved.set()

    def _apply(self, index: InstrumentIndex, change: instruments_api.InstrumentChange) -> None:
        held: Held[Any]
        if change.HasField("instrument"):
            index.put_instrument(change.instrument)
            held = index.instruments[change.instrument.instrument_id]
        elif change.HasField("listing"):
            index.put_listing(change.listing)
            held = index.listings[change.listing.listing_key]
        else:
            return
        self._tell(change.revision, held)

    async def _follow_venues(self, watch: AsyncGenerator[Any, None]) -> None:
        progress = self._progress["venue"]
        filling = self._venues
        async with aclosing(watch) as events:
            async for event in events:
                progress.heard = time.monotonic()
                if isinstance(event, Reset):
                    filling, progress.filling = {}, True
                    continue
                kind = event.WhichOneof("event")
                if kind == "snapshot":
                    filling.update({one.code: Held(Venue, one) for one in event.snapshot.venues})
                elif kind == "bookmark":
                    if not progress.complete or event.bookmark.snapshot_complete:
                        self._venues = filling
                    self._note(progress, event.bookmark)
                elif kind == "changes":
                    for change in event.changes.changes:
                        held = filling[change.venue.code] = Held(Venue, change.venue)
                        self._tell(change.revision, held)
                        progress.revision = max(progress.revision, change.revision)
                self._moved.set()

    def _put_in_place(self, index: InstrumentIndex) -> None:
        self._index = index
        self._isins = index.bearers[_ISIN]

    def _note(self, progress: _Progress, bookmark: Any) -> None:
        if bookmark.snapshot_complete:
            # Of a registry whose data was replaced it may be an older one.
            progress.revision, progress.complete, progress.filling = bookmark.revision, True, False
        elif not progress.filling:
            progress.revision = max(progress.revision, bookmark.revision)

    def _tell(self, revision: int, held: Held[Any]) -> None:
        for function in self._callbacks:
            try:
                function(ReplicaChange(revision, held.get()))
            except Exception:
                _log.exception("a callback of the replica failed on revision %d", revision)
