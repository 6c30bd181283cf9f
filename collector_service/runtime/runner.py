"""The life of one source, from its venue's list to the last row."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

import structlog

from alphapulse.client import Backoff
from alphapulse.domain.errors import AlphaPulseError
from alphapulse.domain.instruments import ListingStatus
from alphapulse.domain.provenance import Provenance
from alphapulse.publishing import Port, RelayLink, SplitLink, SplitPort
from collector_service.batching import BatchSession
from collector_service.handover import Overlap
from collector_service.lane.loading import load_beside
from collector_service.listing_index import ListingIndex
from collector_service.listings import VenueSymbol
from collector_service.recorder import RecorderFigures, SourceRecorder
from collector_service.runtime.choosing import Places, chosen
from collector_service.runtime.discovery import Discovery
from collector_service.runtime.portions import PORTION
from collector_service.runtime.registrar import Registrar
from collector_service.session import ALL_CHANNELS, Session
from collector_service.source import Source
from collector_service.spec import Channel
from collector_service.transport.base import Arrival, ArrivalKind, Draining, Request, Transport, TransportError
from collector_service.transport.recorded import RecordedTransport

_DRAIN_SECONDS: Final = 10.0
_SOUND_SECONDS: Final = 60.0
"""A source that ran for so long before a fault is started again as soon as after its first."""
_BATCH: Final = 64
"""Arrivals that are decoded in one turn at most."""
_WORTH_COMPILED: Final = 20_000
"""After so many frames a source is decoded by compiled code: one that brings few is not worth loading it."""
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
    unlisted_seconds: float = 60.0
    """No sooner than this after the one before it is read because of a symbol that comes and that it does not have."""
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
        link: RelayLink | SplitLink | None = None,
        registrar: Registrar | None = None,
        options: RunnerOptions | None = None,
        backoff: Backoff | None = None,
        faults: Backoff | None = None,
        recorder: SourceRecorder | None = None,
    ) -> None:
        """`recorder` takes what arrives as it came; a recording is not recorded again."""
        self.spec = spec
        self._discovery = Discovery(spec, registrar, link)
        self._past = SourceStatus()
        self._make_transport = make_transport
        self._link = link
        self._recorder = recorder
        self._options = options or RunnerOptions()
        self._backoff = backoff or Backoff(first=0.5, cap=30.0)
        # Apart from that of the venue, which the first frame resets: a fault that comes back with it must not ask the venue all the time.
        self._faults = faults or Backoff(first=0.5, cap=60.0)
        self._session: BatchSession | None = None
        self._port: Port | SplitPort | None = None
        self._places = Places(spec)
        self._unlisted = asyncio.Event()
        self._announced = asyncio.Event()
        self._state = SourceState.STOPPED
        self._error = ""
        self._reconnects = 0
        self._compiling: asyncio.Task[None] | None = None
        self.provenance: Provenance | None = None
        self.next_epoch: Callable[[], int | None] = lambda: None
        """Gives the epoch of a start, above those of before; None: the connection to the relay gives it."""
        self.changed = asyncio.Event()
        """Set at every change of state."""

    @property
    def listings(self) -> ListingIndex:
        """What it knows of its venue's list."""
        return self._discovery.listings

    @property
    def session(self) -> Session | None:
        """The conversation under way; None before the first."""
        return self._session

    def status(self) -> SourceStatus:
        """How the source is now."""
        session, past = self._session, self._past
        now = SourceStatus(self._state, self._error, reconnects=self._reconnects, listings=len(self.listings))
        now.instruments_registered = len(self._discovery.instruments)
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
            await self._discovery.begin(transport, lambda why: self._enter(SourceState.DISCOVERING, why))
            self._enter(SourceState.CONNECTING)
            session = self._open_session(transport)
            port = self._port = None
            if self._link is not None:
                port = self._port = self._open_port(self._link, transport, session)
                port.on_lost = lambda: session.republish_books(time.time_ns())
            if transport.provenance is not Provenance.REPLAY:
                repeating = asyncio.create_task(self._repeat_discovery(transport, session))
                stack.push_async_callback(_cancelled, repeating)
            stack.push_async_callback(self._leave_compiling)
            await self._pump(transport, session, port)
            if self._link is not None and not await self._link.drain(_DRAIN_SECONDS):
                _log.warning("the relay has not taken the end of the source", source=self.spec.name)

    def _open_port(self, link: RelayLink | SplitLink, transport: Transport, session: Session) -> Port | SplitPort:
        name, provenance, epoch = self.spec.name, transport.provenance, self.next_epoch()
        if isinstance(link, SplitLink):
            port = link.port(name, provenance, session.sink, epoch=epoch, homes=self._discovery.homes)
            port.on_misplaced = self._learn_again
            return port
        return link.port(name, provenance, session.sink, epoch=epoch)

    def _learn_again(self) -> None:
        self._discovery.forget()
        self._unlisted.set()

    def _open_session(self, transport: Transport) -> BatchSession:
        replay = transport.provenance is Provenance.REPLAY
        places = self._places = Places(self.spec)
        one_address = self.spec.live.path_of is None
        wanted = [] if replay else chosen(self.listings, self._options.pairs, self.spec.name)
        first = places.put(wanted)
        if not first and one_address and not replay:
            # What is listed later comes over it.
            first = {places.add(self.spec.live.path): []}
        self._keep_counters()
        self._compiling = None
        self._session = BatchSession(
            self.spec,
            self.listings,
            transport.provenance,
            subscriptions=[first[place] for place in range(len(first))],
            channels=self._options.channels,
            clock=time.time_ns if replay else None,
            overlap=self._options.overlap,
        )
        if self._recorder is not None and not replay:
            self._recorder.begin(*self._carried(self._session), transport.provenance)
        return self._session

    def _carried(self, session: Session) -> tuple[dict[Channel, list[str]], list[list[str]]]:
        """The symbols of each channel, and of each place for connections."""
        streamed = self.spec.spec.dialects[-1].subscribe if self.spec.spec is not None else None
        told = [one for one in self._options.channels if streamed is not None and one in streamed.channels]
        places = [[entry.symbol for entry in entries] for entries in session.subscriptions]
        everything = [symbol for symbols in places for symbol in symbols]
        return dict.fromkeys(told, everything), places

    async def _pump(self, transport: Transport, session: BatchSession, port: Port | SplitPort | None) -> None:
        paths = self._places.paths if self.spec.live.path_of is not None else ()
        drains = transport if isinstance(transport, Draining) else None
        known, heard = 0, 0
        async for arrival in transport.arrivals(len(self._places), paths):
            arrivals = [arrival] if drains is None else [arrival, *drains.ready(_BATCH)]
            for one in arrivals:
                self._follow(one)
            done = 0
            while done < len(arrivals):
                count, requests = session.handle_many(arrivals, done)
                done += count
                for request in requests:
                    transport.submit(request)
                if session.gaps and port is not None:
                    for reason, key in session.take_gaps():
                        port.gap(reason, key)
            if session.emitter.unlisted > known:
                known = session.emitter.unlisted
                self._unlisted.set()
            if session.emitter.announced > heard:
                heard = session.emitter.announced
                self._announced.set()
                self._unlisted.set()
            if session.frames >= _WORTH_COMPILED and session.lane is None and self._compiling is None:
                self._compiling = asyncio.create_task(self._compile(session))
            if port is None:
                session.sink.take()
                continue
            port.flush(at_once=transport.pauses)
            if transport.lossless and not port.room.is_set():
                await port.room.wait()

    async def _compile(self, session: BatchSession) -> None:
        """Compiled code takes over: at the source's pace the ordinary path is good enough until it is loaded, or compiled at all."""
        try:
            await load_beside()
            session.use_compiled()
        except Exception:  # it goes on as it did
            _log.exception("decoding is not compiled", source=self.spec.name)

    async def _leave_compiling(self) -> None:
        if self._compiling is not None:
            await _cancelled(self._compiling)

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

    async def _repeat_discovery(self, transport: Transport, session: Session) -> None:
        """What is listed later, changed or delisted is told, and what trades now or no more is subscribed to or no longer. A venue that says that its
        list is another one is asked at once, and one of which a symbol comes that is in no list within a minute."""
        pause = min(self._options.unlisted_seconds, self._options.discovery_seconds)
        is_news = False
        while True:
            for event, seconds in ((self._announced, pause), (self._unlisted, self._options.discovery_seconds - pause)):
                with suppress(TimeoutError):
                    async with asyncio.timeout(seconds):
                        await event.wait()
            self._announced.clear()
            self._unlisted.clear()
            is_news |= await self._discovery.again(transport)
            try:
                if is_news:
                    await self._resubscribe(transport, session)
                is_news = False
            except Exception:  # ending here would end discovery in silence
                _log.exception("subscriptions were not changed", source=self.spec.name)

    async def _resubscribe(self, transport: Transport, session: Session) -> None:
        """Subscribes to what trades and did not before, where there is room, and unsubscribes from what is delisted; whatever else is
        subscribed to notices nothing of it. A listing that is halted stays."""
        places, listings = self._places, self.listings
        session.subscriptions.renew(listings.entry)
        gone = [symbol for symbol in places.symbols if _is_delisted(listings.entry(symbol))]
        for at in range(0, len(gone), PORTION):
            self._ask(transport, session.leave(gone[at : at + PORTION]))
            await asyncio.sleep(0)
        places.take(gone)
        fresh = [entry for entry in chosen(listings, self._options.pairs, self.spec.name) if entry.symbol not in places]
        for place, entries in places.put(fresh).items():
            is_new = place == len(session.subscriptions)
            self._ask(transport, session.join(place, entries))
            if is_new:
                transport.extend(places.paths[place] if self.spec.live.path_of is not None else None)
            await asyncio.sleep(0)
        if gone or fresh:
            if self._recorder is not None:
                self._recorder.carries(*self._carried(session))
            _log.info("subscriptions changed", source=self.spec.name, more=len(fresh), fewer=len(gone))

    def _ask(self, transport: Transport, requests: Iterable[Request]) -> None:
        """What cannot be said now, since a secret is missing, is said by the connection that comes next."""
        for request in requests:
            try:
                transport.submit(request)
            except AlphaPulseError as error:
                _log.warning("a subscription was not changed", source=self.spec.name, error=str(error))

    def _keep_counters(self) -> None:
        self._past = self.status()
        self._session = None

    def _enter(self, state: SourceState, error: str = "") -> None:
        self._state, self._error = state, error
        self.changed.set()


def _is_delisted(entry: VenueSymbol | None) -> bool:
    return entry is not None and entry.status is ListingStatus.DELISTED


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
