"""A source runs in one collector at a time: whoever holds its lease in Redis.

The lease is a key that expires, set only where there is none, prolonged and given up only by whoever holds it. Its fencing number rises with
every holder, by Redis' own clock, and goes to the relay as the source's epoch: a holder that was suspended past the end of its lease, and does
not know it yet, is refused there as soon as the next one has begun.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from alphapulse.domain.errors import ConfigurationError

_PREFIX: Final = "alphapulse:collector"
_SAFETY: Final = 0.3
"""Part of the lease that is left for the source to stop in: it is held to be over so much before it is."""
_RENEWALS: Final = 4
"""How often it is prolonged within its length."""
_FAILURES: Final = (RedisError, OSError, TimeoutError)
# Numbers are texts of 19 digits: Lua's own are exact to 2^53 alone, and texts of one length compare as numbers do.
_TAKE: Final = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return holder end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
local now = redis.call('TIME')
local fence = now[1] .. string.format('%06d', tonumber(now[2])) .. '000'
local last = redis.call('GET', KEYS[2])
if last and last >= fence then
  fence = string.format('%010d', tonumber(string.sub(last, 1, 10)) + 1) .. string.sub(last, 11)
end
redis.call('SET', KEYS[2], fence)
return {fence}
"""
_PROLONG: Final = (
    "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end return 0"
)
_GIVE_UP: Final = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"
_log = structlog.stdlib.get_logger(__name__)


@dataclass(slots=True)
class Held:
    """A lease that is held."""

    token: str
    fence: int
    """Of the holder; nanoseconds since the Unix epoch by Redis' clock, or a second above the last one where that clock was set back."""
    until: float
    """When it is to be taken as over, by this process's monotonic clock."""
    starts: int = 0

    def next_epoch(self) -> int:
        """The epoch of one start of the source: below the fence of the next holder, since a start takes longer than a nanosecond."""
        self.starts += 1
        return self.fence + self.starts


class Leases:
    """The leases of one collector. An async context manager."""

    def __init__(self, url: str, *, seconds: float, holder: str = "") -> None:
        """`seconds` is how long a lease outlives a collector that died. Raises ConfigurationError."""
        try:
            self._redis = Redis.from_url(
                url, socket_timeout=seconds / _RENEWALS, socket_connect_timeout=seconds / _RENEWALS
            )
        except ValueError as error:
            raise ConfigurationError.for_variable("COLLECTOR_LEASE_URL", url.rpartition("@")[2], str(error)) from error
        self._seconds = seconds
        self._holder = holder or uuid.uuid4().hex

    async def close(self) -> None:
        """Closes the connection; leases that are held run out."""
        await self._redis.aclose()

    async def hold(
        self,
        source: str,
        run: Callable[[Held], Awaitable[None]],
        waits: Callable[[str], None] = lambda why: None,
    ) -> None:
        """Runs a source whenever its lease can be had, until `run` ends by itself; it is cancelled before the lease is over where that cannot
        be prolonged. `waits` is told why nothing runs."""
        while True:
            held = await self._take(source, waits)
            task = asyncio.ensure_future(run(held))
            keeper = asyncio.create_task(self._keep(source, held))
            try:
                await asyncio.wait({task, keeper}, return_when=asyncio.FIRST_COMPLETED)
                if task.done():
                    await task
                    return
                _log.warning("lease lost", source=source)
            finally:
                for one in (task, keeper):
                    one.cancel()
                await asyncio.gather(task, keeper, return_exceptions=True)
                await self._give_up(source, held)

    async def _take(self, source: str, waits: Callable[[str], None]) -> Held:
        # One for all attempts: an answer that is lost on its way may have given it.
        token = f"{self._holder}:{uuid.uuid4().hex}"
        while True:
            begun = time.monotonic()
            try:
                answer = await self._asked(_TAKE, 2, _lease(source), _fence(source), token, self._milliseconds)
                if isinstance(answer, list):
                    return Held(token, int(answer[0]), self._until(begun))
                waits("another collector runs the source")
            except _FAILURES as error:
                waits(f"the lease cannot be asked for: {error}")
            await asyncio.sleep(self._seconds / _RENEWALS)

    async def _keep(self, source: str, held: Held) -> None:
        """Prolongs it; ends when it is lost, or as good as lost."""
        while True:
            wait = min(self._seconds / _RENEWALS, held.until - time.monotonic())
            if wait > 0:
                await asyncio.sleep(wait)
            left = held.until - (begun := time.monotonic())
            if left <= 0:
                return
            try:
                async with asyncio.timeout(left):
                    if not await self._asked(_PROLONG, 1, _lease(source), held.token, self._milliseconds):
                        return
                held.until = self._until(begun)
            except _FAILURES as error:
                _log.warning("lease not prolonged", source=source, error=str(error) or type(error).__name__)

    async def _give_up(self, source: str, held: Held) -> None:
        try:
            await self._eval(_GIVE_UP, 1, _lease(source), held.token)
        except _FAILURES:
            _log.info("lease not given up, it runs out", source=source)

    def _until(self, begun: float) -> float:
        # From before it was asked for: by Redis' clock the lease began later.
        return begun + self._seconds * (1.0 - _SAFETY)

    @property
    def _milliseconds(self) -> int:
        return int(self._seconds * 1_000)

    async def _asked(self, script: str, keys: int, *arguments: str | int) -> Any:
        """As `_eval`, but whoever is cancelled ends: where that comes together with the client's own time limit, the client makes a
        failure of both, after which one would try again."""
        try:
            return await self._eval(script, keys, *arguments)
        finally:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise asyncio.CancelledError

    async def _eval(self, script: str, keys: int, *arguments: str | int) -> Any:
        return await self._redis.eval(script, keys, *map(str, arguments))


def _lease(source: str) -> str:
    return f"{_PREFIX}:lease:{{{source}}}"


def _fence(source: str) -> str:
    return f"{_PREFIX}:fence:{{{source}}}"
