"""${message}"""

from __future__ import annotations

from alembic import context, op

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Say what changes, and why."""
    schema: str = context.config.attributes["schema"]
    op.execute(f'ALTER TABLE "{schema}".entity ...')
