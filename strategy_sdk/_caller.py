"""What all calls to the registries have in common: channels, deadlines, errors, consistency, safe retries."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import grpc

from alphapulse.api.common.v1 import common_pb2 as common
from alphapulse.api.instrument.v1.instrument_service_pb2_grpc import InstrumentServiceStub
from alphapulse.api.synthetic.v1.synthetic_service_pb2_grpc import SyntheticServiceStub
from alphapulse.api.venue.v1.venue_service_pb2_grpc import VenueServiceStub
from alphapulse.client import READ_DEADLINE, WRITE_DEADLINE, Backoff, from_rpc_error, open_channel
from alphapulse.domain.errors import Unavailable
from strategy_sdk._config import Addresses

AnswerT = TypeVar("AnswerT")
_ATTEMPTS: Final = 4


@dataclass(frozen=True, slots=True)
class Write:
    """How a write is made."""

    request_id: str = ""
    """Chosen by you: the same id with the same body gives the same answer for 24 hours. Empty: one is made for each call, so
    that the client may try again when the registry is away for a moment."""
    etag: str = ""
    """Of the entry as you read it (`entry.version.etag`): StaleEtag when somebody else wrote in between. Empty: no matter."""
    validate_only: bool = False
    """Check and answer as if written, and write nothing."""
    actor: str = ""
    """Who writes, for the change log."""
    after_token: str = ""
    """A revision token the registry has to have reached before it checks references."""

    def to_message(self) -> common.WriteOptions:
        """As the API's message."""
        return common.WriteOptions(
            request_id=self.request_id or uuid.uuid4().hex,
            etag=self.etag,
            validate_only=self.validate_only,
            actor=self.actor,
            after_token=self.after_token,
        )


def read_options(read_after: str, latest: bool) -> common.ReadOptions | None:
    """How fresh a read has to be."""
    if latest:
        return common.ReadOptions(latest=True)
    return common.ReadOptions(at_least_as_fresh=read_after) if read_after else None


class Caller:
    """Channels to the three registries, opened at the first call. An async context manager."""

    def __init__(
        self,
        addresses: Addresses | None = None,
        *,
        read_deadline: float = READ_DEADLINE,
        write_deadline: float = WRITE_DEADLINE,
    ) -> None:
        self.addresses = addresses or Addresses.from_environment()
        self._read_deadline = read_deadline
        self._write_deadline = write_deadline
        self._channels: dict[str, grpc.aio.Channel] = {}
        self._stubs: dict[str, Any] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End all calls and close the channels."""
        channels, self._channels = self._channels, {}
        self._stubs = {}
        for channel in channels.values():
            await channel.close()

    def _channel(self, service: str) -> grpc.aio.Channel:
        if service not in self._channels:
            self._channels[service] = open_channel(getattr(self.addresses, f"{service}_registry"))
        return self._channels[service]

    def _stub(self, service: str, kind: Callable[[Any], Any]) -> Any:
        if service not in self._stubs:
            self._stubs[service] = kind(self._channel(service))
        return self._stubs[service]

    @property
    def _instruments(self) -> Any:
        return self._stub("instrument", InstrumentServiceStub)

    @property
    def _venues(self) -> Any:
        return self._stub("venue", VenueServiceStub)

    @property
    def _synthetics(self) -> Any:
        return self._stub("synthetic", SyntheticServiceStub)

    async def _read(self, method: Callable[..., Awaitable[Any]], request: Any) -> Any:
        """A read; the channel itself retries it where nobody answered."""
        try:
            return await method(request, timeout=self._read_deadline)
        except grpc.RpcError as error:
            raise from_rpc_error(error) from error

    async def _pages(self, method: Callable[..., Awaitable[Any]], request: Any) -> AsyncIterator[Any]:
        """Every page of a list, beginning with that of the request."""
        while True:
            page = await self._read(method, request)
            yield page
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def _write(self, method: Callable[..., Awaitable[Any]], request: Any) -> Any:
        """A write, with its request_id set: asked again where nobody answered, since the same id is never written twice."""
        backoff = Backoff()
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return await method(request, timeout=self._write_deadline)
            except grpc.RpcError as raw:
                error = from_rpc_error(raw)
                if attempt == _ATTEMPTS or not isinstance(error, Unavailable):
                    raise error from raw
                await asyncio.sleep(max(backoff.next(), min(error.retry_after or 0.0, backoff.cap)))
        raise AssertionError("the last attempt returns or raises")
