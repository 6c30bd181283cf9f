"""The forms in which the address of a store is needed."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote, urlsplit, urlunsplit

_CREDENTIALS: Final = re.compile(r"([^:/@]*://[^:@/]*):.*@", re.DOTALL)
_PASSWORD_OPTION: Final = re.compile(r"([?&](?:password|sslpassword|passfile)=)[^&#]*", re.IGNORECASE)
_POSTGRES_SCHEMES = frozenset({"postgres", "postgresql", "postgresql+asyncpg"})


class UrlError(ValueError):
    """A URL that is not one of the store; its text holds no password."""


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
    """The URL with its password replaced by `***`: what may be printed or logged.

    A URL that cannot be read, such as one whose password holds a bare `/` or `@`, shows nothing of the password either.
    """
    # Up to the last @: a password may hold what ends the host of a well-formed URL.
    found = _CREDENTIALS.match(url)
    if found is not None:
        url = f"{found[1]}:***@{url[found.end() :]}"
    return _PASSWORD_OPTION.sub(r"\1***", url)


def _with_scheme(url: str, scheme: str) -> str:
    found, separator, rest = url.partition("://")
    if not separator or found not in _POSTGRES_SCHEMES:
        raise UrlError(f"database URL {redacted(url)!r}: must start with postgresql://")
    return f"{scheme}://{rest}"
