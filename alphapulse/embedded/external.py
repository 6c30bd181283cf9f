"""A store of the user's own, given by a URL: checked, never started or stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import redis

from alphapulse.embedded.errors import StoreUnreachableError
from alphapulse.embedded.urls import UrlError, asyncpg_url, redacted

CONNECT_SECONDS = 5.0
# TimeoutError is an OSError; asyncpg raises ValueError for a URL it cannot read.
_FAILURES = (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError, redis.RedisError)


class ExternalStore:
    """A server somebody else runs. `start` checks that it answers."""

    def __init__(self, name: str, url: str, *, variable: str, check: Callable[[str], None]) -> None:
        self.name = name
        self.url = url
        self._variable = variable
        self._check = check

    @property
    def pid(self) -> int | None:
        """Never known."""
        return None

    @property
    def log_path(self) -> Path | None:
        """Never known."""
        return None

    @property
    def attached(self) -> bool:
        """Always: it is not ours to stop."""
        return True

    def start(self) -> None:
        """Check that it answers. Raises StoreUnreachableError."""
        try:
            self._check(self.url)
        except _FAILURES as error:
            reason = str(error) or type(error).__name__
            if isinstance(error, ValueError) and not isinstance(error, UrlError):
                # What a parser says of a URL it cannot read may quote the password.
                reason = "the URL cannot be read; : / ? # [ ] @ and % in a password are written %3A %2F %3F %23 %5B %5D %40 %25"
            raise StoreUnreachableError(
                f"{self._variable}={redacted(self.url)} does not answer: {reason}. Start that server, correct the URL, "
                f"or unset {self._variable} to use the embedded {self.name}"
            ) from (error if not isinstance(error, ValueError) else None)

    def stop(self) -> None:
        """Leaves it alone."""

    def is_running(self) -> bool:
        """Whether it answers now."""
        try:
            self.start()
        except StoreUnreachableError:
            return False
        return True


def external_postgres(url: str) -> ExternalStore:
    """The Postgres of DATABASE_URL."""
    return ExternalStore("postgres", url, variable="DATABASE_URL", check=check_postgres)


def external_redis(url: str) -> ExternalStore:
    """The Redis of REDIS_URL."""
    return ExternalStore("valkey", url, variable="REDIS_URL", check=check_redis)


def check_postgres(url: str) -> None:
    """Connect and ask for 1. Raises ValueError, OSError, TimeoutError or asyncpg's errors."""
    # A thread with a loop of its own: the caller may be inside a running loop.
    with ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: asyncio.run(_ask_postgres(asyncpg_url(url)))).result()


def check_redis(url: str) -> None:
    """Connect and PING. Raises ValueError or redis.RedisError."""
    if urlsplit(url).scheme not in {"redis", "rediss", "unix"}:
        raise UrlError("must start with redis:// or rediss://")
    client = redis.Redis.from_url(url, socket_connect_timeout=CONNECT_SECONDS, socket_timeout=CONNECT_SECONDS)
    try:
        client.ping()
    finally:
        client.close()


async def _ask_postgres(url: str) -> None:
    connection = await asyncpg.connect(url, timeout=CONNECT_SECONDS)
    try:
        await connection.fetchval("SELECT 1", timeout=CONNECT_SECONDS)
    finally:
        await connection.close(timeout=CONNECT_SECONDS)
