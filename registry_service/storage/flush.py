"""A group's staging into Postgres: a handful of bulk statements, whatever the number of operations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import asyncpg

from alphapulse.domain.errors import Internal
from registry_service.storage import copying
from registry_service.storage.model import Change, ChangeKind, Entity, EntityKind
from registry_service.storage.reads import Reads
from registry_service.storage.session import GroupState
from registry_service.storage.staging import EntityKey, StagedVersion

_made: Final = tuple.__new__
"""Makes a named tuple in half the time; its fields in the order of the class."""
FailAt = Callable[[str], None]
"""Called with the name of each step before it is taken; a test may end the process there."""


@dataclass(frozen=True, slots=True)
class RequestRow:
    """What a replay answers."""

    request_id: str
    body_hash: bytes
    response: bytes
    revision: int


async def changes_of(group: GroupState, reads: Reads) -> list[Change]:
    """The change log rows of the group. Raises Internal where a put says CREATED of what exists, or UPDATED of what does
    not."""
    await _read_missing(group, reads)
    latest: dict[EntityKey, Entity | None] = {}
    changes = []
    for version in group.staged.versions:
        key = (version.entity.kind, version.entity.entity_id)
        before = latest.get(key) or group.before(key)
        latest[key] = version.entity
        changes.append(_change(version, before, group.now))
    return changes


async def write(
    connection: asyncpg.Connection,
    schema: str,
    group: GroupState,
    changes: Sequence[Change],
    requests: Sequence[RequestRow],
    fail_at: FailAt,
) -> None:
    """Every statement of the group but the commit; the counter last."""
    await _write_entities(connection, schema, group, fail_at)
    await _write_identifiers(connection, schema, group, fail_at)
    fail_at("change_log")
    if changes:
        await _copy(connection, schema, "change_log", copying.CHANGE, copying.change_rows(changes))
    fail_at("request_log")
    if requests:
        await _write_requests(connection, schema, requests, group.now)
    fail_at("counter")
    if changes or requests:
        raised = f'UPDATE "{schema}".revision SET value = $1, commit_time = $2'  # noqa: S608
        await connection.execute(raised, group.revision, group.now)


async def _write_entities(connection: asyncpg.Connection, schema: str, group: GroupState, fail_at: FailAt) -> None:
    following: dict[EntityKey, int] = {}
    records = []
    # From the last to the first, so that each version knows the one that replaces it.
    for version in reversed(group.staged.versions):
        entity = version.entity
        key = (entity.kind, entity.entity_id)
        records.append((entity, following.get(key)))
        following[key] = entity.revision
    ends = {key: revision for key, revision in following.items() if group.before(key) is not None}
    fail_at("ends")
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
    if records:
        records.reverse()
        await _copy(connection, schema, "entity", copying.ENTITY, copying.entity_rows(records))


async def _write_identifiers(connection: asyncpg.Connection, schema: str, group: GroupState, fail_at: FailAt) -> None:
    fail_at("identifier_ends")
    closed = list(group.staged.closed.values())
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
    # One that was asserted and closed by one revision nobody could ever have known.
    rows = [row for row in group.staged.asserted.values() if row.closed_revision != row.recorded_revision]
    if rows:
        await _copy(connection, schema, "identifier", copying.IDENTIFIER, copying.identifier_rows(rows))


async def _copy(
    connection: asyncpg.Connection, schema: str, table: str, columns: Sequence[str], rows: memoryview
) -> None:
    await connection.copy_to_table(table, schema_name=schema, columns=columns, source=rows, format="binary")


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


async def _read_missing(group: GroupState, reads: Reads) -> None:
    """The committed versions of entries that were put without having been read."""
    missing: dict[EntityKind, dict[str, None]] = {}
    for version in group.staged.versions:
        key = (version.entity.kind, version.entity.entity_id)
        if not group.is_known(key):
            missing.setdefault(version.entity.kind, {})[version.entity.entity_id] = None
    for kind, ids in missing.items():
        read = await reads.get(group.connection, kind, list(ids), None)
        for entity_id in ids:
            group.committed[kind, entity_id] = read.get(entity_id)


def _change(version: StagedVersion, before: Entity | None, now: datetime) -> Change:
    entity = version.entity
    if (version.change is ChangeKind.CREATED) != (before is None):
        state = "does not exist" if before is None else "exists"
        raise Internal(f"{version.change.name} of {entity.kind.name} {entity.entity_id!r}, which {state}")
    # Both sides: a watcher also has to hear of what leaves its filter.
    facets = tuple(sorted({*entity.facets, *before.facets})) if before else entity.facets
    what = (entity.revision, entity.kind, entity.entity_id, version.change, entity.body)
    earlier = before.body if before else b""
    who = (version.actor, version.request_id, now)
    return _made(Change, (*what, earlier, facets, entity.parent_id, version.cache_keys, *who))
