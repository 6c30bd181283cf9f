"""The tables of one registry as SQLAlchemy sees them. Indexes, constraints and triggers are in the migrations, which
alone create anything; a test holds that both agree on the columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import BigInteger, Boolean, Column, Date, DateTime, LargeBinary, MetaData, SmallInteger, Table, Text
from sqlalchemy.dialects.postgresql import ARRAY

SERVICES: Final = ("instrument", "venue", "synthetic")
"""The schemas; also the names of the services."""


@dataclass(frozen=True, slots=True)
class Tables:
    """The tables of one schema."""

    schema: str
    revision: Table
    entity: Table
    change_log: Table
    request_log: Table
    pruned_commit: Table
    identifier: Table | None
    """Of the instrument registry only."""


def tables(service: str) -> Tables:
    """The tables of a service. Raises ValueError for a name that is none of SERVICES."""
    if service not in SERVICES:
        raise ValueError(f"service {service!r}: expected one of {', '.join(SERVICES)}")
    metadata = MetaData(schema=service)
    return Tables(
        schema=service,
        revision=_revision(metadata),
        entity=_entity(metadata),
        change_log=_change_log(metadata),
        request_log=_request_log(metadata),
        pruned_commit=_pruned_commit(metadata),
        identifier=_identifier(metadata) if service == "instrument" else None,
    )


def _revision(metadata: MetaData) -> Table:
    """One row: the counter that every write transaction locks first and raises last."""
    return Table(
        "revision",
        metadata,
        Column("id", SmallInteger, primary_key=True),
        Column("value", BigInteger, nullable=False),
        Column("commit_time", DateTime(timezone=True), nullable=False),
        Column("pruned_to", BigInteger, nullable=False),
        Column("epoch", Text, nullable=False),
    )


def _entity(metadata: MetaData) -> Table:
    """Every version of every entry; revision_to is the revision that replaced it, null for the current one."""
    return Table(
        "entity",
        metadata,
        Column("kind", SmallInteger, nullable=False),
        Column("entity_id", Text(collation="C"), nullable=False),
        Column("revision_from", BigInteger, primary_key=True),
        Column("revision_to", BigInteger),
        Column("body", LargeBinary, nullable=False),
        Column("facets", ARRAY(Text), nullable=False),
        Column("name", Text, nullable=False),
        Column("parent_id", Text(collation="C"), nullable=False),
        Column("sort_key", BigInteger, nullable=False),
        Column("expires_at", DateTime(timezone=True)),
    )


def _change_log(metadata: MetaData) -> Table:
    return Table(
        "change_log",
        metadata,
        Column("revision", BigInteger, primary_key=True),
        Column("kind", SmallInteger, nullable=False),
        Column("entity_id", Text(collation="C"), nullable=False),
        Column("change", SmallInteger, nullable=False),
        Column("after", LargeBinary, nullable=False),
        Column("before", LargeBinary, nullable=False),
        Column("facets", ARRAY(Text), nullable=False),
        Column("parent_id", Text(collation="C"), nullable=False),
        Column("cache_keys", ARRAY(Text), nullable=False),
        Column("actor", Text, nullable=False),
        Column("request_id", Text, nullable=False),
        Column("commit_time", DateTime(timezone=True), nullable=False),
    )


def _request_log(metadata: MetaData) -> Table:
    return Table(
        "request_log",
        metadata,
        Column("request_id", Text(collation="C"), primary_key=True),
        Column("body_hash", LargeBinary, nullable=False),
        Column("response", LargeBinary, nullable=False),
        Column("revision", BigInteger, nullable=False),
        Column("created_at", DateTime(timezone=True), nullable=False),
    )


def _pruned_commit(metadata: MetaData) -> Table:
    """The last revision of each commit whose rows of the change log were pruned."""
    return Table(
        "pruned_commit",
        metadata,
        Column("commit_time", DateTime(timezone=True), primary_key=True),
        Column("revision", BigInteger, nullable=False),
    )


def _identifier(metadata: MetaData) -> Table:
    """Assertions: only ever added, or closed by setting closed_revision once. `seq` numbers them; Postgres gives it."""
    return Table(
        "identifier",
        metadata,
        Column("seq", BigInteger, nullable=False),
        Column("scheme", SmallInteger, nullable=False),
        Column("value", Text(collation="C"), nullable=False),
        Column("venue", Text(collation="C"), nullable=False),
        Column("level", SmallInteger, nullable=False),
        Column("target_kind", SmallInteger, nullable=False),
        Column("target_id", Text(collation="C"), nullable=False),
        Column("instrument_id", Text(collation="C"), nullable=False),
        Column("valid_from", DateTime(timezone=True)),
        Column("valid_to", DateTime(timezone=True)),
        Column("source", Text, nullable=False),
        Column("recorded_revision", BigInteger, nullable=False),
        Column("closed_revision", BigInteger),
        Column("shared", Boolean, nullable=False),
    )


def calendar_tables(metadata: MetaData | None = None) -> tuple[Table, Table]:
    """(calendar, calendar_session) of the venue registry: what each trading calendar was built from, and its days."""
    metadata = metadata if metadata is not None else MetaData(schema="venue")
    calendar = Table(
        "calendar",
        metadata,
        Column("name", Text(collation="C"), primary_key=True),
        Column("source", Text, nullable=False),
        Column("time_zone", Text, nullable=False),
        Column("first_date", Date, nullable=False),
        Column("last_date", Date, nullable=False),
        Column("built_for", Date, nullable=False),
        Column("built_at", DateTime(timezone=True), nullable=False),
    )
    session = Table(
        "calendar_session",
        metadata,
        Column("seq", BigInteger, primary_key=True),
        Column("calendar", Text(collation="C"), nullable=False),
        Column("session_date", Date, nullable=False),
        Column("open_time", DateTime(timezone=True), nullable=False),
        Column("close_time", DateTime(timezone=True), nullable=False),
        Column("break_start", DateTime(timezone=True)),
        Column("break_end", DateTime(timezone=True)),
        Column("pre_open", DateTime(timezone=True)),
        Column("post_close", DateTime(timezone=True)),
        Column("late_open", Boolean, nullable=False),
        Column("early_close", Boolean, nullable=False),
        Column("closed", Boolean, nullable=False),
        Column("source", Text, nullable=False),
        Column("recorded_at", DateTime(timezone=True)),
        Column("closed_at", DateTime(timezone=True)),
    )
    return calendar, session
