"""The connection to a relay over gRPC (PublishAcknowledged), for a source that is not on the relay's machine: one source, one call after another."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import Any, Final, Self

import grpc
import structlog

from alphapulse.api.marketdata.v1 import marketdata_pb2
from alphapulse.api.relay.v1 import relay_service_pb2 as relay
from alphapulse.api.relay.v1 import relay_service_pb2_grpc
from alphapulse.client.backoff import Backoff
from alphapulse.client.channel import open_channel
from alphapulse.client.errors import from_rpc_error
from alphapulse.domain.errors import AlphaPulseError, FailedPrecondition, InvalidArgument, SequenceFenced
from alphapulse.domain.provenance import Provenance
from alphapulse.publishing import messages
from alphapulse.publishing.kept import KeptPort, RowBuffer
from alphapulse.publishing.port import Port
from alphapulse.records import row_sizes

_WELCOME_SECONDS: Final = 10.0
_log = structlog.stdlib.get_logger(__name__)


class GrpcLink:
    """Connects, introduces the source, sends, by turns at each of the addresses. An async context manager; comes back by itself when a relay does."""

    def __init__(self, addresses: list[str], *, backoff: Backoff | None = None, agent: str = "alphapulse") -> None:
        self._addresses = addresses
        self._backoff = backoff or Backoff(first=0.1, cap=2.0)
        self._agent = agent
        self._port: KeptPort | None = None
        self._wanted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._tried = 0
        self.connected = False
        """Whether a relay has welcomed the source and is still there."""
        self.rejected: Counter[str] = Counter()
        """Events the relay refused for good, by reason."""

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._keep_connected())
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def port(self, source: str, provenance: Provenance, sink: RowBuffer, kind: type[KeptPort] = KeptPort) -> KeptPort:
        """The source's own side; there is one."""
        self._port = kind(self, source, 0, time.time_ns(), provenance, sink)
        self.wake()
        return self._port

    def wake(self) -> None:
        """There is something to send."""
        self._wanted.set()

    def send_now(self, port: Port) -> bool:
        """Never in the same turn: a call is written to by its task alone."""
        return False

    async def _keep_connected(self) -> None:
        while True:
            address = self._addresses[self._tried % len(self._addresses)]
            self._tried += 1
            try:
                await self._converse(address)
            except grpc.aio.AioRpcError as error:
                if self._lost(address, from_rpc_error(error)):
                    return
            except (OSError, EOFError, TimeoutError) as error:
                if self.connected:
                    _log.warning("relay lost", address=address, error=str(error) or type(error).__name__)
            except Exception:  # whatever it was, the next connection may do better
                _log.exception("relay lost", address=address)
            self.connected = False
            await asyncio.sleep(self._backoff.next())

    def _lost(self, address: str, error: AlphaPulseError) -> bool:
        """The relay ended the call, or cannot be reached. What it refuses the source for stays so until a relay welcomes it. Whether it is for good:
        another one speaks for the source."""
        if self.connected:
            _log.warning("relay lost", address=address, error=str(error))
        port = self._port
        if port is not None and isinstance(error, InvalidArgument | FailedPrecondition | SequenceFenced):
            if not port.refused:
                _log.error("relay refused a source", source=port.source, reason=error.reason, detail=error.message)
            port.refused = f"{error.reason}: {error.message}"
            port.moved()
        self.connected = self.connected and not isinstance(error, SequenceFenced)
        return isinstance(error, SequenceFenced)

    async def _converse(self, address: str) -> None:
        while self._port is None:
            await self._wanted.wait()
            self._wanted.clear()
        port = self._port
        async with open_channel(address) as channel:
            stub: Any = relay_service_pb2_grpc.RelayServiceStub(channel)
            call = stub.PublishAcknowledged()
            try:
                async with asyncio.timeout(_WELCOME_SECONDS):
                    welcome = await self._greet(call, port)
                    while port.resume(welcome.next_sequence, welcome.acknowledged):
                        welcome = await self._greet(call, port)
                self._backoff.reset()
                self.connected, port.refused = True, ""
                self.wake()
                await self._both(call, port)
            finally:
                call.cancel()

    def _hello(self, port: Port) -> relay.SourceHello:
        return messages.hello(
            port.source,
            port.slot,
            port.epoch,
            port.provenance,
            row_sizes(),
            agent=self._agent,
            domain=port.domain,
            acknowledges=port.acknowledges,
        )

    async def _greet(self, call: Any, port: KeptPort) -> messages.Welcome:
        await call.write(relay.PublishRequest(hello=self._hello(port)))
        while not (answer := await self._read(call)).HasField("welcome"):
            pass  # of what was sent before the source was introduced again
        return messages.welcome(answer.welcome)

    async def _both(self, call: Any, port: KeptPort) -> None:
        tasks = (asyncio.create_task(self._listen(call, port)), asyncio.create_task(self._send(call, port)))
        done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        for task in done:
            task.result()

    async def _read(self, call: Any) -> Any:
        answer = await call.read()
        if answer is grpc.aio.EOF:
            raise EOFError("the relay ended the call")
        return answer

    async def _listen(self, call: Any, port: KeptPort) -> None:
        while True:
            answer = await self._read(call)
            which = answer.WhichOneof("message")
            if which == "acknowledged":
                port.acknowledged(answer.acknowledged.sequence)
            elif which == "rejected":
                rejected = messages.rejected(answer.rejected)
                if not rejected.resend_from:
                    self.rejected[rejected.reason] += max(1, rejected.events)
                port.rejected(rejected)

    async def _send(self, call: Any, port: KeptPort) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            for one in port.pieces():
                events = relay.SourceEvents(
                    slot=port.slot,
                    first_sequence=one.sequence,
                    send_time_ns=time.time_ns(),
                    batch=marketdata_pb2.EventBatch.FromString(one.payload),
                )
                await call.write(relay.PublishRequest(events=events))
