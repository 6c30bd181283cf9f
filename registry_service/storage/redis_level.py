"""The second level of the cache in Redis or Valkey: (revision, bytes) a key, replaced only by what is newer.

Redis being away or slow costs one short wait now and then, never an error: a circuit breaker lets nothing through for a while, then one
call to see. Writes are sent behind the answer, by one task, from a bounded buffer.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Final

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from alphapulse.domain.errors import ConfigurationError
from registry_service.storage.model import CachedAnswer

_log = logging.getLogger(__name__)
FORMAT: Final = 3
"""Of what answers look like: raised when it changes, so that two versions of the program never read each other's."""
_REVISION_DIGITS: Final = 20
# Decimal digits of one length compare as numbers do, whatever the server's locale.
_SET_IF_NEWER: Final = """
local held = redis.call('GETRANGE', KEYS[1], 0, 19)
if #held == 20 and held >= string.sub(ARGV[1], 1, 20) then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
_FAILURES: Final = (RedisError, OSError, TimeoutError, RuntimeError)


class Breaker:
    """Closed: calls go through. Open after failures in a row: none does. Half open after a while: one does, to see."""

    def __init__(self, failures: int = 3, first_seconds: float = 0.5, longest_seconds: float = 5.0) -> None:
        self._allowed = failures
        self._first, self._longest = first_seconds, longest_seconds
        self._in_a_row = 0
        self._open_until = 0.0
        self._pause = first_seconds

    @property
    def is_open(self) -> bool:
        """Whether calls are kept back."""
        return self._in_a_row >= self._allowed

    def allows(self) -> bool:
        """Whether to try now; when half open, only the first who asks may."""
        if not self.is_open:
            return True
        now = time.monotonic()
        if now < self._open_until:
            return False
        self._open_until = now + self._pause
        return True

    def succeeded(self) -> None:
        """A call went well."""
        self._in_a_row = 0
        self._pause = self._first

    def failed(self) -> None:
        """A call failed."""
        self._in_a_row += 1
        if self.is_open:
            self._open_until = time.monotonic() + self._pause
            self._pause = min(self._longest, self._pause * 2)


class RedisLevel:
    """Implements SecondLevel. `namespace` keeps services, databases and deployments apart."""

    def __init__(
        self,
        url: str,
        namespace: str,
        *,
        timeout_seconds: float = 0.05,
        ttl_seconds: int = 86_400,
        buffered: int = 20_000,
        breaker: Breaker | None = None,
    ) -> None:
        self._redis = _client(url, timeout_seconds)
        self._namespace = f"{namespace}{FORMAT}:"
        self._timeout = timeout_seconds
        self._ttl_ms = str(ttl_seconds * 1000)
        self._buffered = buffered
        self._breaker = breaker or Breaker()
        self._buffer: dict[str, CachedAnswer] = {}
        self._writing: asyncio.Task[None] | None = None
        self.errors = 0

    @property
    def is_open(self) -> bool:
        """Whether Redis is left alone for now."""
        return self._breaker.is_open

    async def get_many(self, keys: Sequence[str]) -> Mapping[str, CachedAnswer]:
        """What Redis has and can be read; nothing when it is away."""
        if not self._breaker.allows():
            return {}
        try:
            async with asyncio.timeout(self._timeout * 2):
                values = await self._redis.mget([self._namespace + key for key in keys])
        except _FAILURES as error:
            self._failed(error)
            return {}
        self._breaker.succeeded()
        return {k: answer for k, v in zip(keys, values, strict=True) if (answer := _decoded(v)) is not None}

    def offer(self, answers: Mapping[str, CachedAnswer]) -> None:
        """Written soon, by one task; what does not fit the buffer is left out."""
        room = self._buffered - len(self._buffer)
        for key, answer in answers.items():
            if key in self._buffer or room > 0:
                room -= key not in self._buffer
                self._buffer[key] = answer
        if self._writing is None and self._buffer:
            self._writing = asyncio.create_task(self._write(), name="redis-write")

    async def flushed(self) -> None:
        """Returns once what was offered is written, or given up."""
        if self._writing is not None:
            await asyncio.shield(self._writing)

    async def close(self) -> None:
        """Ends the task and the connections."""
        if self._writing is not None:
            self._writing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._writing
        await self._redis.aclose()

    async def _write(self) -> None:
        try:
            while self._buffer:
                batch = dict(list(self._buffer.items())[:500])
                for key in batch:
                    del self._buffer[key]
                if not self._breaker.allows():
                    self._buffer.clear()
                    return
                await self._send(batch)
        finally:
            self._writing = None

    async def _send(self, batch: Mapping[str, CachedAnswer]) -> None:
        try:
            async with asyncio.timeout(self._timeout * 20):
                pipe = self._redis.pipeline(transaction=False)
                for key, answer in batch.items():
                    value = str(answer.revision).zfill(_REVISION_DIGITS).encode() + answer.body
                    pipe.eval(_SET_IF_NEWER, 1, self._namespace + key, value, self._ttl_ms)
                await pipe.execute()
        except _FAILURES as error:
            self._failed(error)
        else:
            self._breaker.succeeded()

    def _failed(self, error: Exception) -> None:
        self.errors += 1
        was_open = self._breaker.is_open
        self._breaker.failed()
        if self._breaker.is_open and not was_open:
            _log.warning(
                "Redis is left alone for a while (%s: %s); answers come from Postgres", type(error).__name__, error
            )


def _client(url: str, timeout_seconds: float) -> Redis:
    try:
        return Redis.from_url(
            url,
            socket_timeout=timeout_seconds,
            socket_connect_timeout=timeout_seconds,
            retry=Retry(NoBackoff(), 0),
            health_check_interval=0,
        )
    except ValueError as error:
        rule = "must be redis://host:port/0, rediss:// or unix://"
        raise ConfigurationError.for_variable("REDIS_URL", url, rule, secret=True) from error


def _decoded(value: object) -> CachedAnswer | None:
    """None for what is missing or was not written by us."""
    if not isinstance(value, bytes) or len(value) < _REVISION_DIGITS or not value[:_REVISION_DIGITS].isdigit():
        return None
    return CachedAnswer(value[_REVISION_DIGITS:], int(value[:_REVISION_DIGITS]))
