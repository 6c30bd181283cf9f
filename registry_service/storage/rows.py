"""Rows of Postgres into the storage's value objects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from registry_service.storage.model import Change, ChangeKind, Entity, EntityKind, IdentifierRow

_KINDS = {int(kind): kind for kind in EntityKind}
_CHANGES = {int(kind): kind for kind in ChangeKind}


def entity(row: Sequence[Any]) -> Entity:
    """From the columns of ENTITY_COLUMNS, in that order."""
    return Entity(
        kind=_KINDS[row[0]],
        entity_id=row[1],
        revision=row[2],
        body=row[3],
        facets=tuple(row[4]),
        name=row[5],
        parent_id=row[6],
        sort_key=row[7],
        expires_at=row[8],
    )


def identifier(row: Sequence[Any]) -> IdentifierRow:
    """From the columns of the table without seq, in that order."""
    return IdentifierRow(
        scheme=row[0],
        value=row[1],
        venue=row[2],
        level=row[3],
        target_kind=_KINDS[row[4]],
        target_id=row[5],
        instrument_id=row[6],
        valid_from=row[7],
        valid_to=row[8],
        source=row[9],
        recorded_revision=row[10],
        closed_revision=row[11],
        shared=row[12],
    )


def change(row: Sequence[Any]) -> Change:
    """From the columns of the change log, in that order."""
    return Change(
        revision=row[0],
        kind=_KINDS[row[1]],
        entity_id=row[2],
        change=_CHANGES[row[3]],
        after=row[4],
        before=row[5],
        facets=tuple(row[6]),
        parent_id=row[7],
        cache_keys=tuple(row[8]),
        actor=row[9],
        request_id=row[10],
        commit_time=row[11],
    )
