"""The engine, and what Postgres's failures become."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator
from typing import Any, Final

import asyncpg
from sqlalchemy import URL, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, DisconnectionError, InterfaceError, InvalidatePoolError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.util import await_only

from alphapulse.domain.errors import ConfigurationError, Internal, InvalidArgument, StoreUnavailable

_RETRY_SECONDS: Final = 0.5
_IDLE_SECONDS: Final = 1.0
_PING_SECONDS: Final = 2.0
_DOUBTED: Final = "doubted"
_DRIVERS: Final = frozenset({"postgres", "postgresql", "postgresql+asyncpg"})


def parse_url(database_url: str) -> URL:
    """The address as SQLAlchemy wants it. Raises ConfigurationError naming DATABASE_URL; never shows the password."""
    rule = "must be postgresql://user:password@host:port/database"
    try:
        url = make_url(database_url)
    except (ArgumentError, ValueError):
        raise ConfigurationError.for_variable("DATABASE_URL", database_url, rule, secret=True) from None
    if url.drivername not in _DRIVERS:
        raise ConfigurationError.for_variable("DATABASE_URL", database_url, rule, secret=True)
    return url.set(drivername="postgresql+asyncpg")


def make_engine(
    database_url: str,
    service: str,
    *,
    pool_size: int = 8,
    connect_seconds: float = 5.0,
    command_seconds: float | None = 60.0,
) -> AsyncEngine:
    """A pool of connections that mends itself: a dead one is noticed when it is taken, and replaced. `command_seconds`: how long one
    statement may take; None, for migrations: as long as it needs."""
    settings = {
        "application_name": f"alphapulse-{service}",
        # A frozen replica must not hold the counter's lock for ever.
        "idle_in_transaction_session_timeout": "30s",
        "lock_timeout": "20s",
        "statement_timeout": "60s",
        "jit": "off",
        "timezone": "UTC",
    }
    engine = create_async_engine(
        parse_url(database_url),
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_timeout=10.0,
        isolation_level="READ COMMITTED",
        connect_args={"timeout": connect_seconds, "command_timeout": command_seconds, "server_settings": settings},
    )
    event.listen(engine.sync_engine, "checkout", _require_alive)
    event.listen(engine.sync_engine, "checkin", _note_use)
    return engine


def _note_use(_: object, record: ConnectionPoolEntry) -> None:
    record.info["used"] = time.monotonic()


def _require_alive(raw: Any, record: ConnectionPoolEntry, _: object) -> None:
    """A connection that has died is replaced before it is given out. One that Postgres ended is seen as soon as the loop has heard of it; one
    that was cut off on the way is asked, where it has not been used for a while: to ask each time is a third of a short read."""
    idle = time.monotonic() - record.info.get("used", time.monotonic())
    if raw.driver_connection.is_closed():
        raise DisconnectionError("Postgres ended the connection")
    if record.info.pop(_DOUBTED, False) or idle > _IDLE_SECONDS:
        try:
            await_only(asyncio.wait_for(raw.driver_connection.fetchrow(";"), _PING_SECONDS))
        except _AWAY as error:
            raise InvalidatePoolError("the connection does not answer: the others will hardly do") from error


def driver(connection: AsyncConnection) -> asyncpg.Connection:
    """asyncpg's own connection below SQLAlchemy's, for COPY and for what is asked most. Where SQLAlchemy keeps the transaction, a
    statement of its own has to come first, which begins it."""
    below = connection.sync_connection
    if below is None:
        raise Internal("the connection is not open")
    return below.connection.driver_connection


_AWAY: Final = (
    OSError,
    TimeoutError,
    PoolTimeout,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.LockNotAvailableError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.InternalClientError,
)


def doubt(connection: AsyncConnection) -> None:
    """What went over the connection was cut short, so that nobody knows whether it still leads anywhere: it is asked before it is given
    out again."""
    if connection.sync_connection is not None:
        connection.sync_connection.info[_DOUBTED] = True


FAILURES: Final = (DBAPIError, asyncpg.PostgresError, *_AWAY)
"""What a statement can end with when it is not answered, through SQLAlchemy or straight from the driver."""


def is_away(error: BaseException) -> bool:
    """Whether the error says that Postgres cannot serve now, rather than that it refuses what was asked."""
    if isinstance(error, DBAPIError):
        if error.connection_invalidated:
            return True
        cause = cause_of(error)
        return isinstance(error, InterfaceError) if cause is error else is_away(cause)
    return isinstance(error, _AWAY)


def cause_of(error: BaseException) -> BaseException:
    """asyncpg's error inside SQLAlchemy's."""
    if isinstance(error, DBAPIError) and error.orig is not None:
        return error.orig.__cause__ or error.orig
    return error


def unavailable(error: BaseException, what: str = "Postgres cannot be reached") -> StoreUnavailable:
    """The domain's error. It says nothing of addresses or passwords."""
    reason = f"{type(cause_of(error)).__name__}: {cause_of(error)}".splitlines()[0][:200]
    return StoreUnavailable(f"{what} ({reason})", retry_after=_RETRY_SECONDS)


@contextlib.contextmanager
def translated(what: str = "Postgres cannot be reached") -> Iterator[None]:
    """Failures of the connection become StoreUnavailable, a text that Postgres cannot hold InvalidArgument; everything else goes through."""
    try:
        yield
    except Exception as error:
        if is_away(error):
            raise unavailable(error, what) from error
        if isinstance(cause_of(error), asyncpg.CharacterNotInRepertoireError | asyncpg.UntranslatableCharacterError):
            # Postgres holds no text with the character NUL, so nothing bears one: whoever asks for it made a mistake.
            rule = "the character NUL is not text"
            raise InvalidArgument.field("request", "", "text-characters", rule) from error
        raise
