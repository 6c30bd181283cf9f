"""Many names are looked up a scheme at a time instead of one by one: a batch of registrations asks for thousands.

A list of values that an index is searched for is sorted and walked through once (`value = ANY`), which costs a third of a look-up for each.
But a planner that takes the table for a small one, as after a start, would read all of it instead, and a plan is kept for as long as
its session lives: so the question is a function, which may forbid that for itself.
"""

from __future__ import annotations

from alembic import context, op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_ALONE = (
    "i.closed_revision IS NULL AND i.valid_to IS NULL AND NOT i.shared "
    "AND i.level IN (2, 3) AND i.scheme IN (1, 2, 3, 4, 10, 11, 12)"
)
"""The rows of `identifier_one_holder`; every other is in `identifier_other`."""
_NAMED = """
    SELECT i.* FROM "instrument".identifier i
    WHERE i.scheme = schemes[at] AND i.value = ANY (wanted COLLATE "C") AND i.closed_revision IS NULL AND """

_FUNCTION = f"""
CREATE OR REPLACE FUNCTION "instrument".assertions_named(schemes smallint[], names text[])
RETURNS SETOF "instrument".identifier LANGUAGE plpgsql STABLE SET enable_seqscan = off AS $$
DECLARE
    wanted text[];
BEGIN
    -- names: of each scheme its values, between them the unit separator of ASCII.
    FOR at IN 1 .. cardinality(schemes) LOOP
        wanted := string_to_array(names[at], chr(31));
        RETURN QUERY {_NAMED} {_ALONE} UNION ALL {_NAMED} NOT ({_ALONE});
    END LOOP;
END $$
"""


def upgrade() -> None:
    """Of the instrument registry alone."""
    if context.config.attributes["schema"] == "instrument":
        op.get_bind().exec_driver_sql(_FUNCTION)
