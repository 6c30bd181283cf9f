"""One connection to the relay after another: greeting, watch over silence, back-off between attempts."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Final

from alphapulse.api.relay.v1 import relay_service_pb2 as relay
from alphapulse.client.backoff import Backoff
from alphapulse.domain.errors import DeadlineExceeded, FailedPrecondition, WrongPartition
from alphapulse.records import row_sizes
from strategy_sdk._batch import EventBatch
from strategy_sdk._inbox import Received
from strategy_sdk._transport import Connection, ConnectionLost, Transport

_log: Final = logging.getLogger(__name__)
GREETING_SECONDS: Final = 5.0
"""How long the relay may take to answer the hello."""
SILENT_INTERVALS: Final = 3
"""Heartbeats that may be missing before a connection is given up."""
_MOST_SILENT_INTERVALS: Final = 16 * SILENT_INTERVALS


class Link:
    """Holds the present connection. Not connected before `open` and after a ConnectionLost."""

    def __init__(self, transport: Transport, hello: relay.ClientHello, backoff: Backoff) -> None:
        self.transport = transport
        self.welcome = relay.RelayWelcome()
        self._hello = hello
        self._backoff = backoff
        self._connection: Connection | None = None
        self._interval = hello.heartbeat_interval_ms / 1000
        self._waiting = False
        self._silent = 0
        self._patience = SILENT_INTERVALS
        """Doubles with each connection that was given up before any events came: over a slow line many of them at once take longer than a heartbeat,
        and would be sent again from the start for ever."""
        self._timer: asyncio.TimerHandle | None = None
        self._opening: asyncio.Task[None] | None = None
        self._stopped = False
        self._telling: set[asyncio.Task[None]] = set()

    @property
    def connected(self) -> bool:
        """Whether there is a connection."""
        return self._connection is not None

    async def open(self) -> None:
        """Connect and greet, once. Raises ConnectionLost, or what the relay refuses the client with."""
        await self.drop()
        connection = await self.transport.open()
        try:
            async with asyncio.timeout(GREETING_SECONDS):
                await connection.send(relay.SubscribeRequest(hello=self._hello))
                first = await connection.receive()
        except TimeoutError:
            await connection.close()
            raise ConnectionLost(f"the relay ({self.transport.name}) did not answer in {GREETING_SECONDS} s") from None
        except BaseException:
            await connection.close()
            raise
        if not isinstance(first, relay.SubscribeResponse) or not first.HasField("welcome"):
            await connection.close()
            raise ConnectionLost(f"the relay ({self.transport.name}) did not begin with a welcome")
        try:
            _check_layouts(first.welcome, self.transport.name)
            _check_partition(first.welcome.partition, self._hello.partition, self.transport.name)
        except (FailedPrecondition, WrongPartition):
            await connection.close()
            raise
        self.welcome = first.welcome
        self._connection = connection
        self._silent = 0
        self._watch()

    async def open_within(self, seconds: float | None) -> None:
        """Connect, again and again with growing waits; None: for ever. Raises DeadlineExceeded.

        It ends without a connection when the link is stopped meanwhile.
        """
        self._opening = asyncio.create_task(self._open_within(seconds))
        try:
            await self._opening
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not self._stopped or (task is not None and task.cancelling()):
                raise
        finally:
            self._opening = None

    async def _open_within(self, seconds: float | None) -> None:
        last: ConnectionLost | None = None
        try:
            async with asyncio.timeout(seconds):
                while not self._stopped:
                    try:
                        return await self.open()
                    except ConnectionLost as error:
                        last = error
                        wait = max(self._backoff.next(), min(error.retry_after or 0.0, self._backoff.cap))
                        _log.info("not connected to the relay, again in %.2f s: %s", wait, error)
                        await asyncio.sleep(wait)
        except TimeoutError:
            raise DeadlineExceeded(f"no connection to the relay within {seconds} s: {last or 'no answer'}") from last

    async def receive(self) -> Received:
        """The next thing the relay says. Raises ConnectionLost."""
        if self._connection is None:
            raise ConnectionLost(f"not connected to the relay ({self.transport.name})")
        self._waiting = True
        try:
            item = await self._connection.receive()
        finally:
            self._waiting = False
        if self._silent:
            self._silent = 0
        if isinstance(item, EventBatch):
            self._patience = SILENT_INTERVALS
        return item

    def turns(self, relay_id: str) -> bool:
        """The relay says in which life it is; whether that is another one than before: at an edge the relay may be started anew."""
        if not relay_id or relay_id == self.welcome.relay_id:
            return False
        self.welcome.relay_id = relay_id
        return True

    def settled(self) -> None:
        """The connection is of use: the next loss is waited for as briefly as the first."""
        self._backoff.reset()

    async def send(self, request: relay.SubscribeRequest) -> None:
        """Say something to the relay. Raises ConnectionLost."""
        if self._connection is None:
            raise ConnectionLost(f"not connected to the relay ({self.transport.name})")
        await self._connection.send(request)

    def tell(self, request: relay.SubscribeRequest) -> None:
        """Say something to the relay without waiting; without a connection it is not said."""

        async def say() -> None:
            with contextlib.suppress(ConnectionLost):
                await self.send(request)

        task = asyncio.create_task(say())
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    def stop(self) -> None:
        """No connection any more, neither the present one nor one that is being opened."""
        self._stopped = True
        self.abort()
        if self._opening is not None:
            self._opening.cancel()

    def abort(self) -> None:
        """End the present connection now; a waiting `receive` raises ConnectionLost."""
        if self._connection is not None:
            self._connection.abort()

    async def drop(self) -> None:
        """Be without a connection."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(ConnectionLost):
                await connection.close()

    def _watch(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._interval, self._tick)

    def _tick(self) -> None:
        # Counted by ticks, not by the clock: a loop that was blocked for long has ticked once, and what arrived meanwhile
        # is taken before the next tick.
        if self._waiting:
            self._silent += 1
        if self._silent > self._patience:
            _log.warning("the relay (%s) has been silent for %d heartbeats", self.transport.name, self._patience)
            self._patience = min(2 * self._patience, _MOST_SILENT_INTERVALS)
            self.abort()
        else:
            self._watch()


def _check_layouts(welcome: relay.RelayWelcome, name: str) -> None:
    """Rows are exchanged as they are, so both sides have to agree on what a row is."""
    own = row_sizes()
    other = {kind: size for kind, size in welcome.row_sizes.items() if kind in own and own[kind] != size}
    if other:
        shown = ", ".join(f"type {kind}: {size} bytes there, {own[kind]} here" for kind, size in sorted(other.items()))
        raise FailedPrecondition(
            f"the relay ({name}) writes rows of another layout: {shown}", hint="use an SDK of the relay's version"
        )


def _check_partition(theirs: relay.Partition, wanted: relay.Partition, name: str) -> None:
    """A part of the market must not pass as the whole, nor as another part."""
    if theirs != wanted:
        found, asked = (f"{one.index}/{one.count or 1}" for one in (theirs, wanted))
        raise WrongPartition(
            f"the relay ({name}) is partition {found}, not {asked}",
            metadata={"partition": found, "told": asked},
            hint="give connect_partitions the addresses of all partitions, in their order",
        )
