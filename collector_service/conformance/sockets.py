"""Checks of connections: the real runner and transport against a mock venue, over sockets. Times are parameters, so that nothing is waited for."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final

from alphapulse.client import Backoff
from collector_service.conformance.chains import chain_of
from collector_service.conformance.report import FailedError, SkippedError, expect
from collector_service.mock import MockServer, MockVenue
from collector_service.mock.chain import MockChain
from collector_service.runtime import RunnerOptions, SourceRunner, SourceState
from collector_service.source import Source
from collector_service.spec import Channel, records
from collector_service.transport.base import TransportError
from collector_service.transport.hosts import Clock, Hosts
from collector_service.transport.live import LiveTransport

_PATIENCE_SECONDS: Final = 10.0
_PACE_SECONDS: Final = 0.002
_FAST: Final = 10_000.0
_SECRET: Final = re.compile(r"\{secret:([A-Z0-9_]+)")
_STORM: Final = 4
_LIFETIMES: Final = (0.1, 1.0)
_STALE_SECONDS: Final = (0.25, 2.5)
"""Tried in turn: on a machine that is busy a mock may take longer than the first to answer a subscription. Who fails by the second has failed."""


class _Live:
    """A source that runs against a served mock."""

    def __init__(
        self,
        server: MockServer,
        source: Source,
        *,
        stale_s: float = 5.0,
        lifetime_s: float = 0.0,
        patience_s: float = _PATIENCE_SECONDS,
    ) -> None:
        self.server = server
        self._patience_s = patience_s
        self.waits: list[float] = []
        """Seconds that the transport was told to wait before it came again."""
        self._skipped = 0.0
        self._hosts = Hosts(clock=Clock(self._now, self._skip))
        self.source = replace(
            source,
            endpoints=server.endpoints,
            limits=replace(
                source.limits, messages_per_second=_FAST, requests_per_second=_FAST, connection_lifetime_s=lifetime_s
            ),
            heartbeat=replace(source.heartbeat, stale_after_s=stale_s),
        )
        self.runner = SourceRunner(
            self.source,
            self.transport,
            options=RunnerOptions(channels=tuple(server.venue.channels)),
            backoff=_backoff(),
        )

    def _now(self) -> float:
        return asyncio.get_running_loop().time() + self._skipped

    async def _skip(self, seconds: float) -> None:
        """Time that nobody waits for."""
        self._skipped += seconds
        await asyncio.sleep(0)

    def transport(self) -> LiveTransport:
        """A new one; all ask their host through one pace."""

        async def wait(seconds: float) -> None:
            self.waits.append(seconds)
            await self._skip(seconds)

        source = self.source
        return LiveTransport(
            source.endpoints,
            source.live.path,
            source.limits,
            source.heartbeat,
            address=source.live.address,
            backoff=_backoff(),
            wait=wait,
            hosts=self._hosts,
            secrets=dict.fromkeys(_SECRET.findall(repr(source.spec)), "key"),
        )

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        """Lets the market go on until something holds."""
        try:
            async with asyncio.timeout(self._patience_s):
                while not condition():
                    self.server.advance()
                    await asyncio.sleep(_PACE_SECONDS)
        except TimeoutError as error:
            raise FailedError(f"{what} has not come: {self.told()}") from error

    async def quiet(self, condition: Callable[[], bool], what: str) -> None:
        """The same while the market stands still."""
        try:
            async with asyncio.timeout(self._patience_s):
                while not condition():  # noqa: ASYNC110 - the other side of a socket has no event to wait for
                    await asyncio.sleep(_PACE_SECONDS)
        except TimeoutError as error:
            raise FailedError(f"{what} has not come: {self.told()}") from error

    def told(self) -> str:
        """How the source is, for reports."""
        status = self.runner.status()
        return f"{status.state.name} {status.error}, refused {dict(status.rejects)}, unknown {dict(status.unknown_messages)}, frames {status.frames}"

    def in_step(self) -> bool:
        """Every book that is subscribed to and can be told is in step."""
        return self.all_seen(set())

    def all_seen(self, seen: set[str]) -> bool:
        """Whether every such book is in step now or was when it was seen before; those that are now become seen."""
        session, venue = self.runner.session, self.server.venue
        if session is None or self.runner.status().state is not SourceState.RUNNING:
            return False
        if Channel.BOOKS not in venue.channels or not venue.plans.of(records.BookSnapshot, records.BookUpdate):
            return session.frames > 0
        told = {symbol for channel, symbol in venue.subscriptions() if channel is Channel.BOOKS}
        synced = {self.runner.listings.key(name) for name, machine in session.emitter.books.items() if machine.synced}
        seen |= {symbol for symbol in told if self.runner.listings.key(symbol) in synced}
        return bool(told) and told <= seen

    def reconnected(self) -> int:
        """Losses of a connection that were declared; with a chain those that were noticed, for what it missed it asks for."""
        if isinstance(self.server.venue, MockChain):
            return self.runner.status().reconnects
        session = self.runner.session
        return sum(reason == "RECONNECTED" for reason, _ in session.gaps) if session is not None else 0


def _streaming(source: Source) -> MockVenue | MockChain:
    venue = chain_of(source) or MockVenue(source)
    if not venue.channels:
        raise SkippedError("it has no stream")
    return venue


def _backoff() -> Backoff:
    return Backoff(first=0.01, cap=0.05)


@asynccontextmanager
async def _live(source: Source, *, stale_s: float = 5.0, lifetime_s: float = 0.0) -> AsyncIterator[_Live]:
    async with MockServer(_streaming(source)) as server:
        live = _Live(server, source, stale_s=stale_s, lifetime_s=lifetime_s)
        task = asyncio.create_task(live.runner.run())
        try:
            yield live
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def storm(source: Source) -> list[str]:
    """C15: connections that break again and again are opened again with a back-off; each loss is declared, and in the end all is as it was."""
    async with _live(source) as live:
        await live.until(live.in_step, "the first synchronisation")
        # A venue whose symbols have several addresses has a connection to each.
        each = live.server.open_connections
        for turn in range(_STORM):
            await live.quiet(lambda: live.server.open_connections == each, f"connection {turn + 1}")
            await live.server.cut()
            lost = (turn + 1) * each
            await live.quiet(lambda lost=lost: live.reconnected() == lost, f"the loss of connection {turn + 1}")  # type: ignore[misc]
        await live.until(live.in_step, "the books after the storm")
        expect(
            live.runner.status().reconnects == _STORM * each,
            f"{live.runner.status().reconnects} reconnects after {_STORM} cuts of {each}",
        )
        expect(len(live.waits) >= _STORM and min(live.waits) > 0, f"no back-off between connections: {live.waits}")
        expect(live.server.connections == (_STORM + 1) * each, f"{live.server.connections} connections")
        expect(not live.runner.status().rejects, f"refused: {dict(live.runner.status().rejects)}")
        expect(not live.server.venue.misunderstood, f"not understood: {live.server.venue.misunderstood[:1]}")
    return []


async def lifetime(source: Source) -> list[str]:
    """C16: a connection as old as the venue allows is left for a new one, and its books are built again."""
    return await _in_turn(_lifetime, source, _LIFETIMES)


async def _lifetime(source: Source, seconds: float) -> None:
    async with _live(source, lifetime_s=seconds) as live:
        await live.until(lambda: live.reconnected() >= 1, "the end of a connection's life")
        expect(
            "as old as the venue allows" in live.runner.status().error or live.server.connections > 1,
            f"left for another reason: {live.told()}",
        )
        # A connection may be too old again before all books are built: each has to have been in step once.
        seen: set[str] = set()
        await live.until(lambda: live.all_seen(seen), "the books after the change of connections")


async def _in_turn(
    check: Callable[[Source, float], Awaitable[None]], source: Source, seconds: Sequence[float]
) -> list[str]:
    for place, one in enumerate(seconds, 1):
        try:
            await check(source, one)
            break
        except FailedError:
            if place == len(seconds):
                raise
    return []


async def retry_after(source: Source) -> list[str]:
    """C17: a venue that says when to come again is asked no sooner, over HTTP and at the handshake."""
    async with MockServer(_streaming(source)) as server:
        live = _Live(server, source)
        server.refuse_requests = [(429, "7"), (418, "11"), (429, "13")]
        async with live.transport() as transport:
            try:
                await transport.instruments(live.source)
                raise FailedError("a list was read that the venue refused three times")
            except TransportError as error:
                expect(error.retry_after == 13, f"the venue said 13 s, and {error.retry_after} was understood")
        expect(
            [wait >= least for wait, least in zip(live.waits, (7, 11), strict=True)] == [True, True],
            f"waited {live.waits}, the venue said 7 and 11",
        )
        live.waits.clear()
        server.refuse_connections = [(429, "17"), (503, "")]
        task = asyncio.create_task(live.runner.run())
        try:
            await live.until(live.in_step, "a connection after two refusals")
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        expect(live.waits[0] >= 17 and 0 < live.waits[1] < 17, f"waited {live.waits}, the venue said 17, then nothing")
    return []


async def silence(source: Source) -> list[str]:
    """C18: a connection on which nothing comes is taken as dead, declared lost and opened again."""
    return await _in_turn(_silence, source, _STALE_SECONDS)


async def _silence(source: Source, seconds: float) -> None:
    async with MockServer(_streaming(source)) as server:
        server.is_silent = True
        # Who needs the longer time on a busy machine needs it for everything else as well.
        live = _Live(server, source, stale_s=seconds, patience_s=max(_PATIENCE_SECONDS, 12 * seconds))
        task = asyncio.create_task(live.runner.run())
        try:
            await live.quiet(lambda: live.reconnected() >= 1, "the end of a silent connection")
            server.is_silent = False
            await live.until(live.in_step, "life after silence")
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
