"""The truth of one registry: Postgres, the answers cached before it, and the change log behind it.

- `model`: the interface the slices write against (`Store`, `WriteSession`, `AnswerCache`) and its value objects.
- `postgres`: `PostgresStore`, the implementation; `reads`, `writer`, `session`, `flush` are its parts.
- `schema`: the tables, one Postgres schema a service; `migrations` brings them up to date at start; `pruning` shortens the logs.
- `cache`: `TieredCache`, process LRU before Redis before the loader.

A write, seen from a slice:

    async def operation(session: WriteSession) -> bytes:
        held = await session.get(EntityKind.VENUE, [venue_id])
        revision = session.next_revision()
        session.put(Entity(EntityKind.VENUE, venue_id, body, revision), ChangeKind.CREATED, cache_keys=[f"mic:{mic}"])
        return response

    outcome = await store.write(operation, actor="...", request_id="...", request_body=request_bytes)

Not here: what entries mean (the slices), protobuf, gRPC, and watching (`registry_service.watch`).
"""

from registry_service.storage.model import (
    AnswerCache,
    CachedAnswer,
    Change,
    ChangeKind,
    Entity,
    EntityKind,
    IdentifierKey,
    IdentifierRow,
    Loader,
    Operation,
    Query,
    SearchMatch,
    Store,
    WriteOutcome,
    WriteSession,
)

__all__ = [
    "AnswerCache",
    "CachedAnswer",
    "Change",
    "ChangeKind",
    "Entity",
    "EntityKind",
    "IdentifierKey",
    "IdentifierRow",
    "Loader",
    "Operation",
    "Query",
    "SearchMatch",
    "Store",
    "WriteOutcome",
    "WriteSession",
]
