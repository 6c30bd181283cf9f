"""Listings whose end was announced before announced ends were written when they come: they are due when their symbol ends."""

from __future__ import annotations

from alembic import context, op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

# A listing (kind 2) that is not delisted (status 4), and its own symbols (scheme 14), which end when it does.
_DUE = """
UPDATE "instrument".entity e SET expires_at = LEAST(e.expires_at, ending.at)
FROM (
    SELECT target_id, max(valid_to) AS at FROM "instrument".identifier
    WHERE closed_revision IS NULL AND target_kind = 2 AND scheme = 14
    GROUP BY target_id HAVING bool_and(valid_to IS NOT NULL)
) ending
WHERE e.kind = 2 AND e.entity_id = ending.target_id AND e.revision_to IS NULL AND NOT e.facets @> ARRAY['status:4']
"""


def upgrade() -> None:
    """Of the instrument registry alone."""
    if context.config.attributes["schema"] == "instrument":
        op.get_bind().exec_driver_sql(_DUE)
