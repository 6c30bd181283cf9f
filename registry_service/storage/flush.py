"""A group's staging into Postgres: a handful of bulk statements, whatever the number of operations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from alphapulse.domain.errors import Internal
from registry_service.storage import copying
from registry_service.storage.rendering import Rendered

FailAt = Callable[[str], None]
"""Called with the name of each step before it is taken; a test may end the process there."""


@dataclass(frozen=True, slots=True)
class RequestRow:
    """What a replay answers."""

    request_id: str
    body_hash: bytes
    response: bytes
    revision: int


async def write(
    connection: asyncpg.Connection, schema: str, rendered: Rendered, requests: Sequence[RequestRow], fail_at: FailAt
) -> None:
    """Every statement of the group but the commit; the counter last."""
    await _write_entities(connection, schema, rendered, fail_at)
    await _write_identifiers(connection, schema, rendered, fail_at)
    fail_at("change_log")
    await _copy(connection, schema, "change_log", copying.CHANGE, rendered.log)
    fail_at("request_log")
    if requests:
        await _write_requests(connection, schema, requests, rendered.now)
    fail_at("counter")
    if rendered.changes or requests:
        raised = f'UPDATE "{schema}".revision SET value = $1, commit_time = $2'  # noqa: S608
        await connection.execute(raised, rendered.revision, rendered.now)


async def _write_entities(connection: asyncpg.Connection, schema: str, rendered: Rendered, fail_at: FailAt) -> None:
    fail_at("ends")
    ends = rendered.ends
    if ends:
        await connection.execute(
            f'UPDATE "{schema}".entity e SET revision_to = u.revision '  # noqa: S608
            "FROM unnest($1::smallint[], $2::text[], $3::bigint[]) u(kind, id, revision) "
            'WHERE e.kind = u.kind AND e.entity_id = u.id COLLATE "C" AND e.revision_to IS NULL',
            [int(kind) for kind, _ in ends],
            [entity_id for _, entity_id in ends],
            list(ends.values()),
        )
    fail_at("entities")
    await _copy(connection, schema, "entity", copying.ENTITY, rendered.entities)


async def _write_identifiers(connection: asyncpg.Connection, schema: str, rendered: Rendered, fail_at: FailAt) -> None:
    fail_at("identifier_ends")
    closed = rendered.closed
    if closed:
        done = await connection.execute(
            f'UPDATE "{schema}".identifier i SET closed_revision = u.closed '  # noqa: S608
            "FROM unnest($1::smallint[], $2::text[], $3::text[], $4::smallint[], $5::text[], $6::bigint[], "
            "$7::timestamptz[], $8::timestamptz[], $9::bigint[]) "
            "u(scheme, value, venue, level, target, recorded, valid_from, valid_to, closed) "
            'WHERE i.scheme = u.scheme AND i.value = u.value COLLATE "C" AND i.venue = u.venue COLLATE "C" '
            'AND i.level = u.level AND i.target_id = u.target COLLATE "C" AND i.recorded_revision = u.recorded '
            "AND i.valid_from IS NOT DISTINCT FROM u.valid_from AND i.valid_to IS NOT DISTINCT FROM u.valid_to "
            "AND i.closed_revision IS NULL",
            *zip(
                *(
                    (
                        *(row.scheme, row.value, row.venue, row.level, row.target_id, row.recorded_revision),
                        *(row.valid_from, row.valid_to, revision),
                    )
                    for row, revision in closed
                ),
                strict=True,
            ),
        )
        if done != f"UPDATE {len(closed)}":
            raise Internal(f"{len(closed)} assertions were to be closed and Postgres says {done}")
    fail_at("identifiers")
    await _copy(connection, schema, "identifier", copying.IDENTIFIER, rendered.identifiers)


async def _copy(
    connection: asyncpg.Connection, schema: str, table: str, columns: Sequence[str], rows: Sequence[bytes]
) -> None:
    if any(rows):
        source = copying.framed(rows)
        await connection.copy_to_table(table, schema_name=schema, columns=columns, source=source, format="binary")


async def _write_requests(
    connection: asyncpg.Connection, schema: str, requests: Sequence[RequestRow], now: datetime
) -> None:
    # An id older than the replay window may come again: its row is then replaced.
    await connection.execute(
        f'INSERT INTO "{schema}".request_log (request_id, body_hash, response, revision, created_at) '  # noqa: S608
        "SELECT u.id, u.hash, u.response, u.revision, $5 "
        "FROM unnest($1::text[], $2::bytea[], $3::bytea[], $4::bigint[]) u(id, hash, response, revision) "
        "ON CONFLICT (request_id) DO UPDATE SET body_hash = excluded.body_hash, response = excluded.response, "
        "revision = excluded.revision, created_at = excluded.created_at",
        [row.request_id for row in requests],
        [row.body_hash for row in requests],
        [row.response for row in requests],
        [row.revision for row in requests],
        now,
    )
