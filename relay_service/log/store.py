"""The stream in Redis or Valkey: entries in order of their ids."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any, Final

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from alphapulse.domain.domains import Domain
from alphapulse.domain.errors import ConfigurationError
from relay_service.log.entries import Entry, entry_id

FAILURES: Final = (RedisError, OSError, TimeoutError, RuntimeError)
"""What Redis being away, slow or full looks like."""
_FIELD: Final = "e"
_PREFIX: Final = "alphapulse:relay:"
_FULL: Final = "maxmemory"
"""What it says when it has no room."""
_BEAT_SECONDS: Final = 60
_ORDER: Final = "equal or smaller"
"""What Redis says of an id that is not above the last one."""


class OutOfOrderError(Exception):
    """Another writer has taken the stream further: nothing was written."""


class ServerFullError(RedisError):
    """The server has reached its maxmemory, and evicts nothing: nothing was written."""


class LogStore:
    """One stream: of one relay's name, domain and partition. Every call raises FAILURES where Redis does not answer within `timeout_seconds`."""

    def __init__(self, url: str, name: str, domain: Domain = Domain.MARKET, timeout_seconds: float = 2.0) -> None:
        self.name = f"{_PREFIX}{name}:{domain.title}:0"
        """The stream's key."""
        self._key_of_tokens = f"{_PREFIX}{name}:token-key"
        try:
            self._redis = Redis.from_url(
                url,
                socket_timeout=timeout_seconds,
                socket_connect_timeout=timeout_seconds,
                retry=Retry(NoBackoff(), 0),
                health_check_interval=0,
            )
        except ValueError as error:
            rule = "must be redis://host:port/0, rediss:// or unix://"
            raise ConfigurationError.for_variable("RELAY_LOG_URL", url, rule, secret=True) from error

    async def close(self) -> None:
        """End the connections."""
        await self._redis.aclose()

    async def token_key(self) -> bytes:
        """The key that resume tokens are signed with: made by the first relay that asks, the same for all."""
        await self._redis.set(self._key_of_tokens, secrets.token_hex(32), nx=True)
        found = await self._redis.get(self._key_of_tokens)
        if not found:
            raise RedisError(f"{self._key_of_tokens} was set and is not there")
        return found if isinstance(found, bytes) else found.encode()

    async def append(self, entries: Sequence[tuple[int, bytes]]) -> None:
        """Write entries, all or none, each with its number. Raises ServerFullError, and OutOfOrderError where one is not above the last there is."""
        pipe = self._redis.pipeline(transaction=True)
        for number, data in entries:
            pipe.xadd(self.name, {_FIELD: data}, id=entry_id(number))
        try:
            await pipe.execute()
        except ResponseError as error:
            if _ORDER in str(error):
                raise OutOfOrderError(str(error)) from error
            if _FULL in str(error):
                raise ServerFullError(str(error)) from error
            raise

    async def oldest(self) -> Entry | None:
        """The first entry there is."""
        return _first(await self._redis.xrange(self.name, "-", "+", count=1))

    async def newest(self) -> Entry | None:
        """The last one."""
        return _first(await self._redis.xrevrange(self.name, "+", "-", count=1))

    async def at_or_after(self, number: int) -> Entry | None:
        """The first entry that is not before a number."""
        return _first(await self._redis.xrange(self.name, entry_id(number), "+", count=1))

    async def at_or_before(self, number: int) -> Entry | None:
        """The last entry that is not after a number."""
        return _first(await self._redis.xrevrange(self.name, entry_id(number), "-", count=1))

    async def before(self, number: int, count: int) -> list[Entry]:
        """Up to `count` entries before a number, the last one first."""
        found: list[Any] = await self._redis.xrevrange(self.name, f"({entry_id(number)}", "-", count=count) or []
        return [_entry(one) for one in found]

    async def around(self, number: int, count: int) -> tuple[Entry | None, list[Entry]]:
        """(the last entry that is not after a number, up to `count` entries after it)."""
        pipe = self._redis.pipeline(transaction=False)
        pipe.xrevrange(self.name, entry_id(number), "-", count=1)
        pipe.xrange(self.name, f"({entry_id(number)}", "+", count=count)
        before, after = await pipe.execute()
        return _first(before), [_entry(one) for one in after]

    async def following(self, number: int, count: int, wait_ms: int) -> list[Entry]:
        """Up to `count` entries after a number; where there is none yet, waited for so long at most."""
        found: Any = await self._redis.xread({self.name: entry_id(number)}, count=count, block=wait_ms)
        return [_entry(one) for _, entries in found or () for one in entries]

    async def write_beat(self, incarnation: int, data: bytes) -> None:
        """Keep what a life of the relay says of itself for a minute."""
        await self._redis.set(f"{self.name}:beat:{incarnation:x}", data, ex=_BEAT_SECONDS)

    async def read_beat(self, incarnation: int) -> bytes | None:
        """What a life of the relay said of itself last; None where that was more than a minute ago."""
        found: Any = await self._redis.get(f"{self.name}:beat:{incarnation:x}")
        return None if found is None else bytes(found)

    async def trim(self, number: int) -> int:
        """Forget the entries before a number; how many."""
        return int(await self._redis.xtrim(self.name, minid=entry_id(number), approximate=False))


def _first(found: Any) -> Entry | None:
    return _entry(found[0]) if found else None


def _entry(item: Any) -> Entry:
    identity, fields = item
    incarnation, _, first = bytes(identity).partition(b"-")
    return Entry(int(incarnation), int(first), bytes(fields.get(_FIELD.encode(), b"")))
