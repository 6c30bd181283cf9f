"""The session's fixtures give each test stores of its own."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest
import redis.asyncio


@pytest.mark.parametrize("_", range(2))
async def test_each_test_gets_an_empty_database(database_url: str, _: int) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute("CREATE TABLE only_here (id int)")
    finally:
        await connection.close()


@pytest.mark.parametrize("_", range(17))
async def test_each_test_gets_an_empty_redis(fresh_redis_url: str, _: int) -> None:
    async with redis.asyncio.Redis.from_url(fresh_redis_url) as client:
        assert await client.dbsize() == 0
        await client.set("key", "value")


async def test_a_template_is_copied(database_maker: Any) -> None:
    source = database_maker.create()
    connection = await asyncpg.connect(source)
    await connection.execute("CREATE TABLE copied AS SELECT 7 AS value")
    await connection.close()
    copy = database_maker.create(template=source)
    try:
        connection = await asyncpg.connect(copy)
        assert await connection.fetchval("SELECT value FROM copied") == 7
        await connection.close()
    finally:
        database_maker.drop(copy)
        database_maker.drop(source)
