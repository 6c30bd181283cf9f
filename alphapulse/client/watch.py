"""A watch that resumes: every revision once, in order, through any number of broken connections.

    async for event in watch_instruments("127.0.0.1:50051"):
        if isinstance(event, Reset):
            replica.clear()                     # a fresh snapshot follows
        elif event.WhichOneof("event") == "snapshot":
            replica.load(event.snapshot)
        ...

A broken connection resumes after the last bookmark; revisions seen already are dropped. When the registry no longer holds
what followed the bookmark (SNAPSHOT_REQUIRED), or the connection broke inside the snapshot, a `Reset` comes first and then
a whole snapshot.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

import grpc

from alphapulse.api.common.v1.common_pb2 import Bookmark
from alphapulse.api.instrument.v1 import instrument_service_pb2 as instruments
from alphapulse.api.instrument.v1.instrument_service_pb2_grpc import InstrumentServiceStub
from alphapulse.api.synthetic.v1 import synthetic_service_pb2 as synthetics
from alphapulse.api.synthetic.v1.synthetic_service_pb2_grpc import SyntheticServiceStub
from alphapulse.api.venue.v1 import venue_service_pb2 as venues
from alphapulse.api.venue.v1.venue_service_pb2_grpc import VenueServiceStub
from alphapulse.client.backoff import Backoff
from alphapulse.client.channel import open_channel
from alphapulse.client.errors import from_rpc_error, is_transient
from alphapulse.domain.errors import AlphaPulseError, ResumeTokenInvalid, SnapshotRequired, Unavailable

_log: Final = logging.getLogger(__name__)


class _Response(Protocol):
    """What the three watch responses have in common: a oneof `event` of snapshot, bookmark, changes."""

    @property
    def bookmark(self) -> Bookmark: ...

    @property
    def changes(self) -> Any: ...

    def WhichOneof(self, oneof_group: Any, /) -> Any: ...  # noqa: N802 - protobuf's name


RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT", bound=_Response)


@dataclass(frozen=True, slots=True)
class Reset:
    """What was delivered so far is void, a whole snapshot follows. `cause` says why."""

    cause: AlphaPulseError


@dataclass(frozen=True, slots=True)
class WatchStart:
    """Where a watch begins: after `resume_token`, or with a snapshot, or (`skip_snapshot`) with what comes from now on."""

    resume_token: str = ""
    skip_snapshot: bool = False


class _Position:
    """What has been delivered, and from where to go on."""

    def __init__(self, start: WatchStart) -> None:
        self.start = start
        self._ours = False
        self._in_snapshot = not start.resume_token and not start.skip_snapshot
        self._revision = 0
        self._delivered = False

    def admit(self, response: ResponseT) -> ResponseT | None:
        """The response without revisions delivered before; None when nothing is left. Notes what it delivers."""
        kind = response.WhichOneof("event")
        if kind == "bookmark":
            self._note_bookmark(response.bookmark)
        elif kind == "changes":
            kept = []
            for change in response.changes.changes:
                if change.revision > self._revision:
                    self._revision = change.revision
                    kept.append(change)
            if not kept:
                return None
            if len(kept) < len(response.changes.changes):
                fresh = type(response)()
                fresh.changes.changes.extend(kept)
                response = fresh
        self._delivered = True
        return response

    def _note_bookmark(self, bookmark: Bookmark) -> None:
        self._in_snapshot = self._in_snapshot and not bookmark.snapshot_complete
        # Resuming from inside a snapshot would skip the rest of it.
        if not self._in_snapshot:
            self._revision = max(self._revision, bookmark.revision)
            if bookmark.resume_token:
                self.start = WatchStart(bookmark.resume_token)
                self._ours = True

    def voided_by(self, error: AlphaPulseError) -> bool:
        """Whether what was delivered cannot be continued after this error."""
        if isinstance(error, SnapshotRequired):
            return True
        if isinstance(error, ResumeTokenInvalid):
            # A token that the registry itself gave during this watch: its data was replaced.
            return self._ours
        # Cut off before the first bookmark, with something delivered already.
        return is_transient(error) and self._delivered and not self.start.resume_token


async def watch(
    open_call: Callable[[RequestT], grpc.aio.UnaryStreamCall[RequestT, ResponseT]],
    make_request: Callable[[WatchStart], RequestT],
    *,
    start: WatchStart | None = None,
    backoff: Backoff | None = None,
) -> AsyncGenerator[ResponseT | Reset, None]:
    """The responses of a watch method, without end. An error that a retry cannot mend is raised as its domain class."""
    position, waits = _Position(start or WatchStart()), backoff or Backoff()
    while True:
        call = open_call(make_request(position.start))
        try:
            async for response in call:
                waits.reset()
                admitted = position.admit(response)
                if admitted is not None:
                    yield admitted
            error: AlphaPulseError = Unavailable("the registry ended the watch")
        except grpc.RpcError as raw:
            error = from_rpc_error(raw)
        finally:
            call.cancel()
        if position.voided_by(error):
            position = _Position(WatchStart())
            yield Reset(error)
        elif not is_transient(error):
            raise error
        wait = max(waits.next(), min(error.retry_after or 0.0, waits.cap))
        _log.info("watch interrupted, again in %.2f s: %s", wait, error)
        await asyncio.sleep(wait)


async def watch_instruments(
    target: str | grpc.aio.Channel,
    filter: instruments.InstrumentFilter | None = None,  # noqa: A002 - the field's name in the API
    *,
    start: WatchStart | None = None,
    backoff: Backoff | None = None,
) -> AsyncGenerator[instruments.WatchInstrumentsResponse | Reset, None]:
    """Instruments, listings and collision cases, by the address of the registry or an open channel to it."""

    def request(at: WatchStart) -> instruments.WatchInstrumentsRequest:
        return instruments.WatchInstrumentsRequest(
            filter=filter, resume_token=at.resume_token, skip_snapshot=at.skip_snapshot
        )

    async with _channel(target) as channel:
        stub = InstrumentServiceStub(channel)
        async with aclosing(watch(stub.WatchInstruments, request, start=start, backoff=backoff)) as events:
            async for event in events:
                yield event


async def watch_venues(
    target: str | grpc.aio.Channel,
    filter: venues.VenueFilter | None = None,  # noqa: A002 - the field's name in the API
    *,
    start: WatchStart | None = None,
    backoff: Backoff | None = None,
) -> AsyncGenerator[venues.WatchVenuesResponse | Reset, None]:
    """Venues, by the address of the registry or an open channel to it."""

    def request(at: WatchStart) -> venues.WatchVenuesRequest:
        return venues.WatchVenuesRequest(filter=filter, resume_token=at.resume_token, skip_snapshot=at.skip_snapshot)

    async with _channel(target) as channel:
        stub = VenueServiceStub(channel)
        async with aclosing(watch(stub.WatchVenues, request, start=start, backoff=backoff)) as events:
            async for event in events:
                yield event


async def watch_synthetics(
    target: str | grpc.aio.Channel,
    filter: synthetics.SyntheticFilter | None = None,  # noqa: A002 - the field's name in the API
    *,
    start: WatchStart | None = None,
    backoff: Backoff | None = None,
) -> AsyncGenerator[synthetics.WatchSyntheticsResponse | Reset, None]:
    """Synthetics, by the address of the registry or an open channel to it."""

    def request(at: WatchStart) -> synthetics.WatchSyntheticsRequest:
        return synthetics.WatchSyntheticsRequest(
            filter=filter, resume_token=at.resume_token, skip_snapshot=at.skip_snapshot
        )

    async with _channel(target) as channel:
        stub = SyntheticServiceStub(channel)
        async with aclosing(watch(stub.WatchSynthetics, request, start=start, backoff=backoff)) as events:
            async for event in events:
                yield event


@asynccontextmanager
async def _channel(target: str | grpc.aio.Channel) -> AsyncIterator[grpc.aio.Channel]:
    """The channel given, or one of our own that is closed at the end."""
    if isinstance(target, str):
        async with open_channel(target) as channel:
            yield channel
    else:
        yield target
