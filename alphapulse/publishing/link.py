"""The connection to the relay's ingress socket: one for all sources of this process that are of one domain, a slot for each.

Rows are numbered when they are cut into frames, from 1 in each epoch, one a row. While the relay is away they gather up to a bound;
what goes beyond it is dropped and counted, yet numbered, so that the relay sees the gap; a SOURCE_GAP frame says why. It stands where
the rows would have: behind those that came before the loss, before those that came after it.
A frame is whatever gathered while the one before was being sent: no timer, one row when it is quiet, thousands when it is not. Where
nothing is being sent, rows leave at the end of the turn that wrote them: they do not wait for the other sources' turns.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Mapping
from typing import Final, Self

import structlog

from alphapulse.api.relay.v1 import relay_service_pb2
from alphapulse.client.backoff import Backoff
from alphapulse.domain.errors import FailedPrecondition, SequenceFenced
from alphapulse.domain.partitions import Partition
from alphapulse.domain.provenance import Provenance
from alphapulse.publishing import messages
from alphapulse.publishing.port import Port, RowSource
from alphapulse.records import Frame, FrameDecoder, FrameType, encode_control, encode_frame, row_sizes

_MAX_TOKENS: Final = 16
_READ_SIZE: Final = 64 << 10
_WELCOME_SECONDS: Final = 10.0
_CLOSE_SECONDS: Final = 1.0
_log = structlog.stdlib.get_logger(__name__)


class RelayLink:
    """Connects, introduces the sources, sends. An async context manager; comes back by itself when the relay does."""

    def __init__(
        self,
        socket_path: str,
        *,
        epoch: int | None = None,
        backoff: Backoff | None = None,
        agent: str = "alphapulse collector",
        partition: Partition | None = None,
    ) -> None:
        """`partition` is the relay's, where it is one of several."""
        self._partition = partition
        self._path = socket_path
        self._agent = agent
        self._epoch = time.time_ns() if epoch is None else epoch
        self._backoff = backoff or Backoff(first=0.1, cap=2.0)
        self._ports: list[Port] = []
        self._wanted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._greeted = asyncio.Event()
        self._next_slot = 0
        self._introduced: set[int] = set()
        """Slots the relay has answered."""
        self._greeting: set[int] = set()
        """Slots whose hello was sent on this connection."""
        self._tokens: deque[str] = deque(maxlen=_MAX_TOKENS)
        """The revisions that sources registered at: what a relay has to know before it takes events."""
        self._barriers: list[str] = []
        self._barrier_answers: dict[str, asyncio.Future[bool]] = {}
        self._writing = False
        """Something was cut that the socket has not taken whole."""
        self._writer: asyncio.StreamWriter | None = None
        """The connection while it takes rows."""
        self.connections = 0
        """Times the relay welcomed this process."""
        self.rejected: Counter[str] = Counter()
        """Events the relay refused, by reason."""

    @property
    def connected(self) -> bool:
        """Whether the relay has welcomed this process and is still there."""
        return self._greeted.is_set()

    @property
    def waits(self) -> bool:
        """Whether there is something to send."""
        return any(port.waits for port in self._ports)

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._keep_connected())
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def port(
        self, source: str, provenance: Provenance, sink: RowSource, kind: type[Port] = Port, *, epoch: int | None = None
    ) -> Port:
        """A source's own side. A source that starts again gets a new epoch: the older one is fenced off; where others may speak for it too,
        the caller gives the `epoch`, above those of before. All ports of a link are of one domain."""
        self._ports = [port for port in self._ports if port.source != source]
        # Never given twice: what is still under way of an older start must not pass as the new one's.
        slot, self._next_slot = self._next_slot, self._next_slot + 1
        # The clock may stand still between two starts; the epoch may not.
        if epoch is None:
            epoch = self._epoch = max(self._epoch + 1, time.time_ns() if self._task is not None else 0)
        port = kind(self, source, slot, epoch, provenance, sink)
        self._ports.append(port)
        self.wake()
        return port

    def wake(self) -> None:
        """There is something to send."""
        self._wanted.set()

    def send_now(self, port: Port) -> bool:
        """Sends a source's rows in this very turn; False where something comes before them, or the socket is busy."""
        writer = self._writer
        if writer is None or self._writing or self._barriers:
            return False
        if port.lost or port.refused or port.losses or port.slot not in self._introduced:
            return False
        if writer.transport.is_closing():
            return False  # the relay is gone, and the reader has yet to find that out: the rows wait for the next one
        writer.writelines(port.cut())
        if writer.transport.get_write_buffer_size():
            self._writing = True
            self.wake()  # the sender waits until the socket has taken it
        return True

    async def barrier(self, revision_token: str, timeout: float) -> bool:
        """Waits until the relay's replica has reached a revision; False when it has not within the time, or is away."""
        answer = self._barrier_answers.get(revision_token)
        if answer is None:
            answer = self._barrier_answers[revision_token] = asyncio.get_running_loop().create_future()
        self._barriers.append(revision_token)
        if revision_token not in self._tokens:
            self._tokens.append(revision_token)
        self.wake()
        try:
            async with asyncio.timeout(timeout):
                return await asyncio.shield(answer)
        except TimeoutError:
            return False
        finally:
            self._barrier_answers.pop(revision_token, None)

    async def drain(self, timeout: float) -> bool:
        """Waits until the socket has taken everything; False when that takes longer."""
        deadline = asyncio.get_running_loop().time() + timeout
        while self._writing or self._wanted.is_set() or self.waits:
            if asyncio.get_running_loop().time() > deadline:
                return False
            await asyncio.sleep(0.005)
        return True

    async def _keep_connected(self) -> None:
        while True:
            try:
                await self._converse()
            except (OSError, EOFError, FailedPrecondition, TimeoutError) as error:
                if self._greeted.is_set():
                    _log.warning("relay lost", socket=self._path, error=str(error) or type(error).__name__)
            except Exception:  # whatever it was, the next connection may do better; ending here would lose every row
                _log.exception("relay lost", socket=self._path)
            self._greeted.clear()
            await asyncio.sleep(self._backoff.next())

    async def _converse(self) -> None:
        reader, writer = await asyncio.open_unix_connection(self._path, limit=_READ_SIZE)
        # A drain that waits until the socket took everything is what makes the batches adapt.
        writer.transport.set_write_buffer_limits(high=0)
        self._introduced.clear()
        self._greeting.clear()
        decoder = FrameDecoder()
        tasks: list[asyncio.Task[None]] = []
        try:
            async with asyncio.timeout(_WELCOME_SECONDS):
                await self._introduce(writer)
                while not self._introduced.issuperset(self._greeting):
                    await self._read(reader, decoder)
            self._welcomed()
            tasks += (
                asyncio.create_task(self._listen(reader, decoder)),
                asyncio.create_task(self._send(writer)),
            )
            self._writer = writer
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            problems = [task.exception() for task in done]
            raise next(problem for problem in problems if problem is not None)
        finally:
            self._writer, self._writing = None, False
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            writer.close()
            try:
                async with asyncio.timeout(_CLOSE_SECONDS):
                    await writer.wait_closed()
            except TimeoutError:
                writer.transport.abort()  # a relay that reads nothing does not hold up the end
            except OSError:
                pass

    def _welcomed(self) -> None:
        self.connections += 1
        self._backoff.reset()
        self._greeted.set()
        # The relay may be another one now: it takes no event before it knows what this one is about.
        self._barriers = list(self._tokens)
        if self.connections > 1:
            for port in self._ports:
                port.lost = True
        self.wake()
        _log.info("relay connected", socket=self._path, sources=[port.source for port in self._ports])

    async def _introduce(self, writer: asyncio.StreamWriter) -> None:
        for port in self._ports:
            if port.slot not in self._greeting:
                self._greeting.add(port.slot)
                hello = messages.hello(
                    port.source,
                    port.slot,
                    port.epoch,
                    port.provenance,
                    row_sizes(),
                    agent=self._agent,
                    domain=port.domain,
                    acknowledges=port.acknowledges,
                    partition=self._partition,
                )
                writer.write(encode_control(FrameType.HELLO, hello, slot=port.slot))
        await writer.drain()

    async def _listen(self, reader: asyncio.StreamReader, decoder: FrameDecoder) -> None:
        while True:
            await self._read(reader, decoder)

    async def _read(self, reader: asyncio.StreamReader, decoder: FrameDecoder) -> None:
        data = await reader.read(_READ_SIZE)
        if not data:
            raise EOFError("the relay closed the connection")
        for frame in decoder.feed(data):
            if not isinstance(frame, Frame):
                if frame.fatal:
                    raise FailedPrecondition(f"the relay does not speak this protocol: {frame.error}")
                continue
            self._take(frame.type, bytes(frame.payload))

    def _take(self, kind: int, payload: bytes) -> None:
        match kind:
            case FrameType.WELCOME:
                self._take_welcome(messages.welcome(relay_service_pb2.SourceWelcome.FromString(payload)))
            case FrameType.BARRIER:
                token, reached = messages.barrier_answer(payload)
                answer = self._barrier_answers.get(token)
                if answer is not None and not answer.done():
                    answer.set_result(reached)
            case FrameType.REJECT:
                self._take_reject(messages.rejected(relay_service_pb2.FrameRejected.FromString(payload)))
            case FrameType.ACKNOWLEDGED:
                slot, sequence = messages.acknowledged(payload)
                for port in self._ports:
                    if port.slot == slot:
                        port.acknowledged(sequence)
            case FrameType.GOODBYE:
                raise EOFError("the relay says goodbye")
            case _:
                return

    def _take_reject(self, reject: messages.Rejected) -> None:
        for port in self._ports:
            if port.slot == reject.slot:
                port.rejected(reject)
                if port.acknowledges and reject.resend_from:
                    return  # it is sent again
        self.rejected[reject.reason] += max(1, reject.events)
        _log.warning("relay refused a frame", reason=reject.reason, detail=reject.message, events=reject.events)

    def _take_welcome(self, welcome: messages.Welcome) -> None:
        port = next((port for port in self._ports if port.slot == welcome.slot), None)
        if port is None:
            return
        self._introduced.add(welcome.slot)
        self.wake()
        if port.acknowledges and port.refused.startswith(SequenceFenced.reason):
            return  # for good: another one speaks for the source, also at a relay that has not heard of it yet
        port.refused = "" if welcome.accepted else f"{welcome.reason}: {welcome.message}"
        if port.refused:
            _log.error("relay refused a source", source=port.source, reason=welcome.reason, detail=welcome.message)
        elif (port.began or port.acknowledges) and port.resume(welcome.next_sequence, welcome.acknowledged):
            self._introduced.discard(port.slot)
            self._greeting.discard(port.slot)

    async def _send(self, writer: asyncio.StreamWriter) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            self._writing = True
            await self._introduce(writer)
            for token in self._take_barriers():
                writer.write(encode_frame(FrameType.BARRIER, messages.barrier(token)))
            for port in self._ports:
                if port.refused or port.slot not in self._introduced:
                    continue
                writer.writelines(port.cut())
            await writer.drain()
            self._writing = False

    def _take_barriers(self) -> list[str]:
        taken, self._barriers = self._barriers, []
        return taken

    def figures(self) -> Mapping[str, int]:
        """Rows dropped while the relay was away, by source."""
        return {port.source: port.dropped for port in self._ports}
