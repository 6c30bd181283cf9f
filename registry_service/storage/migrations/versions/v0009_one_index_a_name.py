"""A name that one holder bears alone stands in one unique index, not in two.

`identifier_one_holder` refuses a second open row of such a name whoever bears it, so the rows it covers need no place in
`identifier_current`, which refuses a second one of the same holder: that was a sixth of what a registration cost Postgres. Two
rows of one name and holder of which only one is covered (the other is shared, or at another level) stand in different indexes:
the trigger looks for such a pair.
"""

from __future__ import annotations

from alembic import context, op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_COVERED = "NOT {x}shared AND {x}level IN (2, 3) AND {x}scheme IN (1, 2, 3, 4, 10, 11, 12)"
"""The rows that `identifier_one_holder` covers, apart from being open and without end."""
_SAME = "b.scheme = a.scheme AND b.value = a.value AND b.venue = a.venue AND b.target_id = a.target_id"

_STATEMENTS = (
    'DROP INDEX "instrument".identifier_current',
    f"""
    CREATE UNIQUE INDEX identifier_current ON "instrument".identifier (scheme, value, venue, target_id)
    WHERE closed_revision IS NULL AND valid_to IS NULL AND NOT ({_COVERED.format(x="")})
    """,
    # A plan is kept for as long as the session lives, from when the table was small or held rows of one sort alone: a row that
    # is added must be looked up by its name whatever the planner supposes, so each pair is sought below it (LATERAL, OFFSET 0).
    f"""
    CREATE OR REPLACE FUNCTION "instrument".refuse_identifier_overlap() RETURNS trigger LANGUAGE plpgsql
    SET enable_seqscan = off AS $$
    DECLARE
        pair record;
    BEGIN
        -- Every writer holds this lock already; one that did not must wait here, and then sees what the others committed.
        PERFORM value FROM "instrument".revision FOR UPDATE;
        SELECT a.scheme, a.value, a.venue, a.target_id INTO pair FROM added a CROSS JOIN LATERAL (
            SELECT FROM "instrument".identifier b WHERE {_SAME}
             AND b.closed_revision IS NULL AND b.valid_to IS NOT NULL
             AND tstzrange(b.valid_from, b.valid_to) && tstzrange(a.valid_from, NULL) OFFSET 0
        ) other WHERE a.closed_revision IS NULL AND a.valid_to IS NULL LIMIT 1;
        IF NOT FOUND AND EXISTS (SELECT FROM added WHERE valid_to IS NOT NULL AND closed_revision IS NULL) THEN
            SELECT a.scheme, a.value, a.venue, a.target_id INTO pair FROM added a CROSS JOIN LATERAL (
                SELECT FROM "instrument".identifier b WHERE {_SAME}
                 AND b.closed_revision IS NULL AND b.valid_to IS NULL
                 AND tstzrange(b.valid_from, NULL) && tstzrange(a.valid_from, a.valid_to) OFFSET 0
            ) other WHERE a.closed_revision IS NULL AND a.valid_to IS NOT NULL LIMIT 1;
        END IF;
        IF NOT FOUND THEN
            SELECT a.scheme, a.value, a.venue, a.target_id INTO pair FROM added a CROSS JOIN LATERAL (
                SELECT FROM "instrument".identifier b WHERE {_SAME}
                 AND b.closed_revision IS NULL AND b.valid_to IS NULL AND NOT ({_COVERED.format(x="b.")}) OFFSET 0
            ) other WHERE a.closed_revision IS NULL AND a.valid_to IS NULL AND {_COVERED.format(x="a.")} LIMIT 1;
        END IF;
        IF NOT FOUND THEN
            SELECT a.scheme, a.value, a.venue, a.target_id INTO pair FROM added a CROSS JOIN LATERAL (
                SELECT FROM "instrument".identifier b WHERE {_SAME}
                 AND b.closed_revision IS NULL AND b.valid_to IS NULL AND {_COVERED.format(x="b.")} OFFSET 0
            ) other WHERE a.closed_revision IS NULL AND a.valid_to IS NULL AND NOT ({_COVERED.format(x="a.")}) LIMIT 1;
        END IF;
        IF FOUND THEN
            RAISE EXCEPTION USING
                ERRCODE = 'exclusion_violation', CONSTRAINT = 'identifier_no_overlap',
                MESSAGE = 'two assertions of one identifier and one holder overlap',
                DETAIL = format('scheme %s, value %s, venue %s, target %s', pair.scheme, pair.value, pair.venue, pair.target_id);
        END IF;
        RETURN NULL;
    END $$
    """,  # noqa: S608 - of our own constants alone
)


def upgrade() -> None:
    """Of the instrument registry alone."""
    if context.config.attributes["schema"] == "instrument":
        for statement in _STATEMENTS:
            op.get_bind().exec_driver_sql(statement)
