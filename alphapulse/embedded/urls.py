"""The forms in which the address of a store is needed."""

from __future__ import annotations

from urllib.parse import quote, urlsplit, urlunsplit

_POSTGRES_SCHEMES = frozenset({"postgres", "postgresql", "postgresql+asyncpg"})


def sqlalchemy_url(database_url: str) -> str:
    """`postgresql://...` as SQLAlchemy wants it for asyncpg: `postgresql+asyncpg://...`.

    Raises ValueError when the URL is not one of Postgres.
    """
    return _with_scheme(database_url, "postgresql+asyncpg")


def asyncpg_url(database_url: str) -> str:
    """The same address as asyncpg and libpq want it: `postgresql://...`.

    Raises ValueError when the URL is not one of Postgres.
    """
    return _with_scheme(database_url, "postgresql")


def with_database(database_url: str, database: str) -> str:
    """The same server, another database."""
    return urlunsplit(urlsplit(database_url)._replace(path="/" + quote(database, safe="")))


def redacted(url: str) -> str:
    """The URL with its password replaced by `***`: what may be printed or logged."""
    parts = urlsplit(url)
    if parts.password is None:
        return url
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{parts.username or ''}:***@{host}"))


def _with_scheme(url: str, scheme: str) -> str:
    found, separator, rest = url.partition("://")
    if not separator or found not in _POSTGRES_SCHEMES:
        raise ValueError(f"database URL {redacted(url)!r}: must start with postgresql://")
    return f"{scheme}://{rest}"
