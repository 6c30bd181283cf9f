"""A row stands in the fewest indexes that find it and keep its rules: 17 places of an index a registration become 6.

- `entity`: a revision writes one version, so the number of the revision is the key; what is current is found by `entity_current`, what
  was replaced by `entity_past`, and none stands in both.
- `change_log`: who asks for the changes of an entry goes by its versions, each of which has its revision; who asks for a moment bisects,
  because commit times rise with revisions.
- `identifier`: a name that one holder bears alone is found in `identifier_one_holder`, which refuses a second one; every other row in
  `identifier_other` by its name and in `identifier_target` by who bears it (whoever wants the former of a holder knows their names).
  `seq` numbers the rows and finds none, so it needs no index; replication tells rows apart by all their columns.

The trigger looks for the partner of a row that is covered by `identifier_one_holder` once, among the others of its name.
"""

from __future__ import annotations

from alembic import context, op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_ENTRIES = (
    'ALTER TABLE "{s}".entity DROP CONSTRAINT IF EXISTS entity_pkey',
    'ALTER TABLE "{s}".entity ADD CONSTRAINT entity_pkey PRIMARY KEY (revision_from)',
    'CREATE INDEX IF NOT EXISTS entity_past ON "{s}".entity (kind, entity_id, revision_from) WHERE revision_to IS NOT NULL',
    'DROP INDEX IF EXISTS "{s}".change_log_entity',
    'DROP INDEX IF EXISTS "{s}".change_log_parent',
    'DROP INDEX IF EXISTS "{s}".change_log_time',
)

_ALONE = (
    "{x}closed_revision IS NULL AND {x}valid_to IS NULL AND NOT {x}shared "
    "AND {x}level IN (2, 3) AND {x}scheme IN (1, 2, 3, 4, 10, 11, 12)"
)
"""The rows of `identifier_one_holder`."""
_SAME = "b.scheme = a.scheme AND b.value = a.value AND b.venue = a.venue AND b.target_id = a.target_id"
_OPEN = "{x}closed_revision IS NULL AND {x}valid_to IS NULL"
_ENDED = "{x}closed_revision IS NULL AND {x}valid_to IS NOT NULL"

_IDENTIFIERS = (
    'DROP INDEX IF EXISTS "instrument".identifier_value',
    'DROP INDEX IF EXISTS "instrument".identifier_target',
    'ALTER TABLE "instrument".identifier DROP CONSTRAINT IF EXISTS identifier_pkey',
    'ALTER TABLE "instrument".identifier REPLICA IDENTITY FULL',
    f'CREATE INDEX IF NOT EXISTS identifier_other ON "instrument".identifier (scheme, value, venue) WHERE NOT ({_ALONE.format(x="")})',
    f'CREATE INDEX IF NOT EXISTS identifier_target ON "instrument".identifier (target_id) WHERE NOT ({_ALONE.format(x="")})',
    # A plan is kept for as long as the session lives, from when the table was small or held rows of one sort alone: a row that
    # is added must be looked up by its name whatever the planner supposes, so each pair is sought below it (LATERAL, OFFSET 0).
    f"""
    CREATE OR REPLACE FUNCTION "instrument".refuse_identifier_overlap() RETURNS trigger LANGUAGE plpgsql
    SET enable_seqscan = off AS $$
    DECLARE
        pair record;
        uncovered boolean;
    BEGIN
        -- Every writer holds this lock already; one that did not must wait here, and then sees what the others committed.
        PERFORM value FROM "instrument".revision FOR UPDATE;
        -- One that is covered against every other row of its name that is open; two that are covered the index refuses.
        SELECT a.scheme, a.value, a.venue, a.target_id INTO pair FROM added a CROSS JOIN LATERAL (
            SELECT FROM "instrument".identifier b WHERE {_SAME} AND b.closed_revision IS NULL
             AND (b.valid_to IS NULL OR tstzrange(b.valid_from, b.valid_to) && tstzrange(a.valid_from, NULL))
             AND NOT ({_ALONE.format(x="b.")}) OFFSET 0
        ) other WHERE {_ALONE.format(x="a.")} LIMIT 1;
        IF NOT FOUND THEN
            SELECT EXISTS (SELECT FROM added a WHERE a.closed_revision IS NULL AND NOT ({_ALONE.format(x="a.")})) INTO uncovered;
            IF NOT uncovered THEN
                RETURN NULL;
            END IF;
            -- Of the others those without end against what has one, and against what is covered.
            SELECT a.scheme, a.value, a.venue, a.target_id INTO pair FROM added a CROSS JOIN LATERAL (
                SELECT FROM "instrument".identifier b WHERE {_SAME} AND {_ENDED.format(x="b.")}
                 AND tstzrange(b.valid_from, b.valid_to) && tstzrange(a.valid_from, NULL) OFFSET 0
            ) other WHERE {_OPEN.format(x="a.")} AND NOT ({_ALONE.format(x="a.")}) LIMIT 1;
        END IF;
        IF NOT FOUND THEN
            SELECT a.scheme, a.value, a.venue, a.target_id INTO pair FROM added a CROSS JOIN LATERAL (
                SELECT FROM "instrument".identifier b WHERE {_SAME} AND {_ALONE.format(x="b.")} OFFSET 0
            ) other WHERE {_OPEN.format(x="a.")} AND NOT ({_ALONE.format(x="a.")}) LIMIT 1;
        END IF;
        -- Those with an end against what has none; two with an end the exclusion constraint refuses.
        IF NOT FOUND THEN
            SELECT a.scheme, a.value, a.venue, a.target_id INTO pair FROM added a CROSS JOIN LATERAL (
                SELECT FROM "instrument".identifier b WHERE {_SAME} AND {_ALONE.format(x="b.")}
                 AND tstzrange(b.valid_from, NULL) && tstzrange(a.valid_from, a.valid_to) OFFSET 0
            ) other WHERE {_ENDED.format(x="a.")} LIMIT 1;
        END IF;
        IF NOT FOUND THEN
            SELECT a.scheme, a.value, a.venue, a.target_id INTO pair FROM added a CROSS JOIN LATERAL (
                SELECT FROM "instrument".identifier b WHERE {_SAME} AND {_OPEN.format(x="b.")} AND NOT ({_ALONE.format(x="b.")})
                 AND tstzrange(b.valid_from, NULL) && tstzrange(a.valid_from, a.valid_to) OFFSET 0
            ) other WHERE {_ENDED.format(x="a.")} LIMIT 1;
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
    """The first part everywhere, the second of the instrument registry alone."""
    schema: str = context.config.attributes["schema"]
    for statement in _ENTRIES:
        op.get_bind().exec_driver_sql(statement.replace("{s}", schema))
    if schema == "instrument":
        for statement in _IDENTIFIERS:
            op.get_bind().exec_driver_sql(statement)
