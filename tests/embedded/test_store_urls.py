"""Addresses: a password is never shown, and each client gets the form it wants."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphapulse.embedded import (
    StoreUnreachableError,
    asyncpg_url,
    external_postgres,
    redacted,
    sqlalchemy_url,
    with_database,
)

WORDS = st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1, max_size=20)
SCHEMES = st.sampled_from(["postgres", "postgresql", "postgresql+asyncpg"])


@given(scheme=SCHEMES, user=WORDS, password=WORDS, port=st.integers(1, 65535), database=WORDS)
def test_a_password_is_never_shown(scheme: str, user: str, password: str, port: int, database: str) -> None:
    shown = redacted(f"{scheme}://{user}:!{password}!@127.0.0.1:{port}/{database}")
    assert shown == f"{scheme}://{user}:***@127.0.0.1:{port}/{database}"


@given(scheme=SCHEMES, rest=WORDS)
def test_the_forms_convert_into_each_other(scheme: str, rest: str) -> None:
    url = f"{scheme}://{rest}"
    assert sqlalchemy_url(url) == f"postgresql+asyncpg://{rest}"
    assert asyncpg_url(sqlalchemy_url(url)) == asyncpg_url(url) == f"postgresql://{rest}"


@given(database=st.text(min_size=1, max_size=20))
def test_another_database_of_the_same_server_keeps_the_rest(database: str) -> None:
    url = with_database("postgresql://u:p@127.0.0.1:5432/first?ssl=disable", database)
    assert url.startswith("postgresql://u:p@127.0.0.1:5432/")
    assert url.endswith("?ssl=disable")
    assert with_database(url, "first") == "postgresql://u:p@127.0.0.1:5432/first?ssl=disable"


@pytest.mark.parametrize("url", ["", "alphapulse", "mysql://u:secret@h/d", "redis://:secret@h/0"])
def test_what_is_no_postgres_url_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ValueError, match=r"must start with postgresql://") as caught:
        sqlalchemy_url(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:sec/ret@127.0.0.1:1/db",
        "postgresql://user:sec?ret@127.0.0.1:1/db",
        "postgresql://user:sec#ret@127.0.0.1:1/db",
        "postgresql://user:sec[ret@127.0.0.1:1/db",
        "postgresql://user:sec@ret@127.0.0.1:1/db",
        "postgresql://user:sec\nret@127.0.0.1:1/db",
        "postgresql://127.0.0.1:1/db?user=u&password=secret&sslmode=disable",
        "mysql://user:sec/ret@127.0.0.1:1/db",
    ],
)
def test_no_error_shows_a_password_however_it_is_written(url: str) -> None:
    with pytest.raises(StoreUnreachableError) as caught:
        external_postgres(url).start()
    for shown in (redacted(url), str(caught.value)):
        assert "sec" not in shown
        assert "ret@" not in shown


@given(password=st.text())
def test_a_password_of_any_characters_is_redacted(password: str) -> None:
    assert redacted(f"postgresql://user:{password}@127.0.0.1:1/db") == "postgresql://user:***@127.0.0.1:1/db"
