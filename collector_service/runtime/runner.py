"""The life of one source, from its venue's list to the last row."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

import msgspec
import structlog

from alphapulse.client import Backoff
from alphapulse.domain.asset_class import AssetClass
from alphapulse.domain.errors import AlphaPulseError, InvalidArgument, Unavailable
from alphapulse.domain.instruments import ListingStatus
from alphapulse.domain.provenance import Provenance
from alphapulse.publishing import Port, RelayLink
from collector_service.handover import Overlap
from collector_service.listings import ListingIndex, VenueSymbol
from collector_service.recorder import RecorderFigures, SourceRecorder
from collector_service.runtime.news import news_of
from collector_service.runtime.registrar import Registrar, Registration
from collector_service.session import ALL_CHANNELS, Session
from collector_service.source import Source
from collector_service.spec import Channel
from collector_service.transport.base import Arrival, ArrivalKind, Transport, TransportError
from collector_service.transport.recorded import RecordedTransport

_BARRIER_SECONDS: Final = 6.0
_DRAIN_SECONDS: Final = 10.0
_SOUND_SECONDS: Final = 60.0
"""A source that ran for so long before a fault is started again as soon as after its first."""
_log = structlog.stdlib.get_logger(__name__)


class SourceState(IntEnum):
    """What a source is doing. Numbers equal the API's enum."""

    STOPPED = 1
    DISCOVERING = 2
    CONNECTING = 3
    RUNNING = 4
    BACKING_OFF = 5
    FINISHED = 6
    FAILED = 7


@dataclass(frozen=True, slots=True)
class RunnerOptions:
    """What is the same for all sources of a process."""

    pairs: frozenset[str] | None = None
    """Which pairs to subscribe to, such as BTC/USDT; None: all that the venue streams."""
    channels: Sequence[Channel] = ALL_CHANNELS
    discovery_seconds: float = 300.0
    """How often the venue's list is read again."""
    overlap: Overlap = field(default_factory=Overlap)
    """How long a connection and the one that takes its place stand beside each other."""


@dataclass(slots=True)
class SourceStatus:
    """How a source is; the counters go on over a restart of the source."""

    state: SourceState = SourceState.STOPPED
    error: str = ""
    events: Counter[int] = field(default_factory=Counter)
    """Events handed to the relay's connection, by type."""
    rejects: Counter[str] = field(default_factory=Counter)
    unknown_messages: Counter[str] = field(default_factory=Counter)
    instruments_registered: int = 0
    listings: int = 0
    reconnects: int = 0
    book_resyncs: int = 0
    unknown_subjects: int = 0
    """Words for what notices are about that led to no listing."""
    last_frame_ns: int = 0
    frames: int = 0
    stale: Sequence[str] = ()
    """Symbols that are silent while the rest of the source is not."""
    recording: RecorderFigures | None = None
    """What became of what arrived in the recorder; None where there is none."""


class SourceRunner:
    """Runs one source until it is stopped, or its recording ends. `run` raises nothing but cancellation."""

    def __init__(
        self,
        spec: Source,
        make_transport: Callable[[], Transport],
        *,
        link: RelayLink | None = None,
        registrar: Registrar | None = None,
        options: RunnerOptions | None = None,
        backoff: Backoff | None = None,
        faults: Backoff | None = None,
        recorder: SourceRecorder | None = None,
    ) -> None:
        """`recorder` takes what arrives as it came; a recording is not recorded again."""
        self.spec = spec
        self.listings = ListingIndex(spec.venue)
        self._past = SourceStatus()
        self._make_transport = make_transport
        self._link = link
        self._registrar = registrar
        self._recorder = recorder
        self._options = options or RunnerOptions()
        self._backoff = backoff or Backoff(first=0.5, cap=30.0)
        # Apart from that of the venue, which the first frame resets: a fault that comes back with it must not ask the venue all the time.
        self._faults = faults or Backoff(first=0.5, cap=60.0)
        self._session: Session | None = None
        self._port: Port | None = None
        self._paths: Sequence[str] = ()
        self._known: dict[str, VenueSymbol] = {}
        self._state = SourceState.STOPPED
        self._error = ""
        self._reconnects = 0
        self._instruments: frozenset[str] = frozenset()
        self.provenance: Provenance | None = None
        self.next_epoch: Callable[[], int | None] = lambda: None
        """Gives the epoch of a start, above those of before; None: the connection to the relay gives it."""
        self.changed = asyncio.Event()
        """Set at every change of state."""

    @property
    def session(self) -> Session | None:
        """The conversation under way; None before the first."""
        return self._session

    def status(self) -> SourceStatus:
        """How the source is now."""
        session, past = self._session, self._past
        now = SourceStatus(self._state, self._error, reconnects=self._reconnects, listings=len(self.listings))
        now.instruments_registered = len(self._instruments)
        if self._port is not None and self._port.refused and not now.error:
            now.error = f"the relay refuses the source: {self._port.refused}"
        now.events, now.rejects = Counter(past.events), Counter(past.rejects)
        now.unknown_messages = Counter(past.unknown_messages)
        now.frames, now.book_resyncs, now.last_frame_ns = past.frames, past.book_resyncs, past.last_frame_ns
        now.unknown_subjects = past.unknown_subjects
        if session is not None:
            now.events.update(session.sink.rows_written)
            now.rejects.update(session.rejects)
            now.rejects.update({f"VENUE_{kind.upper()}": count for kind, count in session.venue_errors.items()})
            now.unknown_messages.update(session.unknown_messages)
            now.frames += session.frames
            now.book_resyncs += session.resyncs
            now.unknown_subjects += session.emitter.notices.unknown_subjects
            now.stale = session.stale
            now.last_frame_ns = session.last_frame_ns or past.last_frame_ns
        if self._recorder is not None:
            now.recording = self._recorder.figures
        return now

    async def run(self) -> None:
        """The whole life. A venue that cannot be reached is tried again for ever, and so is one whose source failed: a fault of ours
        must not end its data for good. A recording is not begun anew."""
        try:
            while True:
                begun = time.monotonic()
                try:
                    await self._live()
                    self._enter(SourceState.FINISHED)
                    return
                except TransportError as error:
                    wait = max(error.retry_after or 0.0, self._backoff.next())
                    self._enter(SourceState.BACKING_OFF, str(error))
                    _log.warning("source backs off", source=self.spec.name, error=str(error), retry_in=round(wait, 1))
                except Exception as error:
                    told = f"{type(error).__name__}: {error}"
                    if self.provenance in (None, Provenance.REPLAY):
                        _log.exception("source failed", source=self.spec.name)
                        self._enter(SourceState.FAILED, told)
                        return
                    if time.monotonic() - begun > _SOUND_SECONDS:
                        self._faults.reset()
                    wait = self._faults.next()
                    self._enter(SourceState.BACKING_OFF, told)
                    _log.exception("source failed, again in a while", source=self.spec.name, retry_in=round(wait, 1))
                await asyncio.sleep(wait)
        except asyncio.CancelledError:
            self._enter(SourceState.STOPPED)
            raise

    def wait(self, why: str) -> None:
        """It may not run now; the status says why."""
        self._enter(SourceState.BACKING_OFF, why)

    def rest(self) -> None:
        """It was stopped while it might not run."""
        if self._state is SourceState.BACKING_OFF:
            self._enter(SourceState.STOPPED)

    async def _live(self) -> None:
        async with AsyncExitStack() as stack:
            transport: Transport = await stack.enter_async_context(self._make_transport())
            self.provenance = transport.provenance
            if self._recorder is not None and self.provenance is not Provenance.REPLAY:
                transport = RecordedTransport(transport, self._recorder)
            self._enter(SourceState.DISCOVERING)
            await self._discover(transport)
            self._enter(SourceState.CONNECTING)
            session = self._open_session(transport)
            port = self._port = None
            if self._link is not None:
                port = self._port = self._link.port(
                    self.spec.name, transport.provenance, session.sink, epoch=self.next_epoch()
                )
                port.on_lost = lambda: session.republish_books(time.time_ns())
            if transport.provenance is not Provenance.REPLAY:
                repeating = asyncio.create_task(self._repeat_discovery(transport))
                stack.push_async_callback(_cancelled, repeating)
            await self._pump(transport, session, port)
            if self._link is not None and not await self._link.drain(_DRAIN_SECONDS):
                _log.warning("the relay has not taken the end of the source", source=self.spec.name)

    def _open_session(self, transport: Transport) -> Session:
        replay = transport.provenance is Provenance.REPLAY
        chosen = [] if replay else self._chosen()
        parts = self._parted(chosen)
        self._paths = ([path for path, _ in parts] or [""]) if self.spec.live.path_of is not None else []
        self._keep_counters()
        self._session = Session(
            self.spec,
            self.listings,
            transport.provenance,
            subscriptions=[entries for _, entries in parts],
            channels=self._options.channels,
            clock=time.time_ns if replay else None,
            overlap=self._options.overlap,
        )
        if self._recorder is not None and not replay:
            streamed = self.spec.spec.dialects[-1].subscribe if self.spec.spec is not None else None
            told = [one for one in self._options.channels if streamed is not None and one in streamed.channels]
            symbols = [entry.symbol for entry in chosen]
            connections = [[entry.symbol for entry in entries] for _, entries in parts]
            self._recorder.begin(dict.fromkeys(told, symbols), connections, transport.provenance)
        return self._session

    def _parted(self, chosen: Sequence[VenueSymbol]) -> list[tuple[str, Sequence[VenueSymbol]]]:
        """The path and the symbols of each connection: no more than the venue allows, and of one path alone."""
        live, size = self.spec.live, self.spec.limits.symbols_per_connection
        by_path: dict[str, list[VenueSymbol]] = {}
        for entry in chosen:
            by_path.setdefault(live.path if live.path_of is None else live.path_of(entry), []).append(entry)
        return [
            (path, entries[at : at + size]) for path, entries in by_path.items() for at in range(0, len(entries), size)
        ]

    def _chosen(self) -> list[VenueSymbol]:
        """One listing for each pair that is wanted and trades, and one for each contract on it; where pairs are named, those without an end, and
        others by their own symbol. An index is no pair, and a pool is chosen by its address: naming pairs leaves none out."""
        chosen: dict[tuple[str, object], VenueSymbol] = {}
        for entry in self.listings:
            wanted = (
                self._options.pairs is None
                or entry.index is not None
                or entry.pool is not None
                or (entry.pair in self._options.pairs and not _expires(entry))
                or (entry.contract is not None and entry.symbol in self._options.pairs)
            )
            if wanted and entry.streamed and entry.status is ListingStatus.TRADING:
                chosen.setdefault((entry.pair, entry.contract or entry.pool), entry)
        found = {name for entry in chosen.values() for name in (entry.pair, entry.symbol)}
        missing = sorted((self._options.pairs or frozenset()) - found)
        if missing:
            log = _log.info if chosen else _log.warning
            log("pairs that do not trade at the venue", source=self.spec.name, count=len(missing), first=missing[0])
        return list(chosen.values())

    async def _pump(self, transport: Transport, session: Session, port: Port | None) -> None:
        async for arrival in transport.arrivals(max(1, len(session.subscriptions)), self._paths):
            self._follow(arrival)
            for request in session.handle(arrival):
                transport.submit(request)
            if port is None:
                session.sink.take()
                continue
            if session.gaps:
                for reason, key in session.take_gaps():
                    port.gap(reason, key)
            port.flush(at_once=transport.pauses)
            if transport.lossless and not port.room.is_set():
                await port.room.wait()

    def _follow(self, arrival: Arrival) -> None:
        polled = not self.spec.endpoints.websocket
        if arrival.kind is ArrivalKind.FRAME or (polled and arrival.kind is ArrivalKind.RESPONSE):
            if self._state is not SourceState.RUNNING:
                self._backoff.reset()
                self._enter(SourceState.RUNNING)
        elif arrival.kind is ArrivalKind.CLOSED:
            self._reconnects += 1
            self._enter(SourceState.BACKING_OFF, arrival.data.decode("utf-8", "replace"))
            _log.warning("connection lost", source=self.spec.name, reason=self._error)
        elif arrival.kind is ArrivalKind.FAILED and polled:
            self._enter(SourceState.BACKING_OFF, arrival.data.decode("utf-8", "replace"))
            _log.warning("request failed", source=self.spec.name, reason=self._error)

    async def _discover(self, transport: Transport) -> None:
        """Reads the list, registers it, and waits until the relay knows it. A registry that is away is waited for."""
        fresh = await self._read_list(transport)
        if self._registrar is None:
            self._learn(fresh)
            return
        backoff = Backoff(first=0.2, cap=5.0)
        while True:
            try:
                await self._register(fresh)
                self._error = ""
                return
            except Unavailable as error:
                self._enter(SourceState.DISCOVERING, f"the instrument registry is away: {error}")
                await asyncio.sleep(backoff.next())

    async def _repeat_discovery(self, transport: Transport) -> None:
        """What is listed later, changed or delisted is told; a venue or registry that is away then costs nothing but the news."""
        while True:
            await asyncio.sleep(self._options.discovery_seconds)
            try:
                fresh = await self._read_list(transport)
                if self._registrar is None:
                    self._learn(fresh)
                elif fresh:
                    await self._register(fresh)
            except AlphaPulseError as error:
                _log.warning("discovery failed", source=self.spec.name, error=str(error))
            except Exception:  # the next list may be readable again; ending here would end discovery in silence
                _log.exception("discovery failed", source=self.spec.name)

    async def _read_list(self, transport: Transport) -> Sequence[VenueSymbol]:
        """The lines that are new, have changed or are gone since the last time. Raises TransportError."""
        try:
            listed = await transport.instruments(self.spec)
        except (msgspec.DecodeError, InvalidArgument) as error:
            raise TransportError(f"{self.spec.name}: the instrument list cannot be read: {error}") from error
        if listed.refused:
            _log.warning(
                "lines of the list refused", source=self.spec.name, count=len(listed.refused), first=listed.refused[0]
            )
        news = news_of(listed, self._known)
        if news.doubted:
            _log.warning(
                "listings are missing in the list and not taken as delisted",
                source=self.spec.name,
                count=len(news.doubted),
                first=news.doubted[0],
            )
        return news.changed

    async def _register(self, fresh: Sequence[VenueSymbol]) -> None:
        assert self._registrar is not None
        done = await self._registrar.register(fresh, self.spec.venue, self.spec.name)
        self._learn(fresh, done)
        _log.info(
            "listings registered", source=self.spec.name, listings=len(done.listing_ids), refused=len(done.refused)
        )
        if done.refused:
            name, reason = next(iter(done.refused.items()))
            _log.warning("registrations refused", source=self.spec.name, first=name, reason=reason)
        if self._link is None or not done.revision_token:
            return
        if not await self._link.barrier(done.revision_token, _BARRIER_SECONDS):
            _log.warning("the relay has not confirmed the listings", source=self.spec.name)

    def _learn(self, fresh: Sequence[VenueSymbol], done: Registration | None = None) -> None:
        """What is refused, or missing, stays news, so that it is tried again with the next list."""
        missing = done.missing if done is not None else frozenset()
        fresh = [entry for entry in fresh if entry.symbol not in missing] if missing else fresh
        self.listings.learn(fresh, done.listing_ids if done is not None else None)
        refused = done.refused if done is not None else {}
        self._known.update({entry.symbol: entry for entry in fresh if entry.symbol not in refused})
        self._instruments |= done.instruments if done is not None else frozenset()

    def _keep_counters(self) -> None:
        self._past = self.status()
        self._session = None

    def _enter(self, state: SourceState, error: str = "") -> None:
        self._state, self._error = state, error
        self.changed.set()


def _expires(entry: VenueSymbol) -> bool:
    return entry.contract is not None and entry.contract.kind is not AssetClass.PERPETUAL


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
