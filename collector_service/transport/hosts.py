"""What a host allows one address of ours, shared by all sources of a process that ask it: a venue counts requests by address, and does not
know how many sources ask.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

MAX_RETRY_AFTER: Final = 300.0
"""Seconds; a host that asks for more is asked again after this."""


def _now() -> float:
    return asyncio.get_running_loop().time()


@dataclass(frozen=True, slots=True)
class Clock:
    """What tells the time, in seconds, and lets some of it go by."""

    now: Callable[[], float] = _now
    wait: Callable[[float], Awaitable[None]] = asyncio.sleep


class HostPace:
    """The turns of one host: requests and new connections each at their pace, and none of both while it asks to be left alone."""

    def __init__(self, connections_per_second: float = 0.0, clock: Clock | None = None) -> None:
        """0: connections are opened as they come."""
        self._clock = clock or Clock()
        self._pause = 1.0 / connections_per_second if connections_per_second else 0.0
        self._request_at = 0.0
        self._connection_at = 0.0
        self._stopped_until = 0.0

    @property
    def stopped_for(self) -> float:
        """Seconds for which the host is still to be left alone."""
        return max(0.0, self._stopped_until - self._clock.now())

    def stop(self, seconds: float) -> None:
        """The host asks to be left alone for so long; what is asked later of it waits as well."""
        self._stopped_until = max(self._stopped_until, self._clock.now() + min(seconds, MAX_RETRY_AFTER))

    async def request(self, per_second: float) -> None:
        """Waits for the turn of one request of a source that may make so many; who asks first is first."""
        at = max(self._clock.now(), self._request_at)
        self._request_at = at + 1.0 / per_second
        await self._until(at)

    async def connection(self) -> None:
        """Waits for the turn of one new connection."""
        at = max(self._clock.now(), self._connection_at)
        self._connection_at = at + self._pause
        await self._until(at)

    async def _until(self, at: float) -> None:
        while (wait := max(at, self._stopped_until) - self._clock.now()) > 0:  # it may be stopped for longer meanwhile
            await self._clock.wait(wait)


class Hosts:
    """The hosts of a process."""

    def __init__(self, connections_per_second: float = 0.0, clock: Clock | None = None) -> None:
        """How many connections a second are opened to one host; 0: as they come."""
        self._connections_per_second = connections_per_second
        self._clock = clock
        self._paces: dict[str, HostPace] = {}

    def of(self, url: str) -> HostPace:
        """The host of an address, whatever its scheme."""
        host = urlsplit(url).netloc.lower()
        if host not in self._paces:
            self._paces[host] = HostPace(self._connections_per_second, self._clock)
        return self._paces[host]


def retry_after(text: str | None) -> float:
    """Seconds of a Retry-After header; 0 for none. A date, which no venue sends, counts as none."""
    return min(float(text), MAX_RETRY_AFTER) if text and text.isascii() and text.isdecimal() else 0.0
