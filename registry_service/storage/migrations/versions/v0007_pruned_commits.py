"""Commits whose change-log rows were pruned: when each was, so that known_at answers the same for ever."""

from __future__ import annotations

from alembic import context, op

revision = "0007"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """One small row a commit, written when its rows are deleted."""
    schema: str = context.config.attributes["schema"]
    op.get_bind().exec_driver_sql(
        f"""
        CREATE TABLE "{schema}".pruned_commit (
            commit_time timestamptz PRIMARY KEY,
            revision bigint NOT NULL
        )
        """
    )
