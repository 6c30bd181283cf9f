"""The tables of a registry; in the instrument registry also the identifiers and what keeps them from overlapping.

Identifiers. A row says "target bears (scheme, value) at venue, valid from-to"; what we know now are the rows with
closed_revision null ("open"). Postgres itself refuses, whatever the code above does:

1. Two open rows of one name and one target whose valid times overlap.
   - both without end: they always overlap, so a unique partial index is exact, and cheap (54,000 instruments/s, where one
     exclusion constraint over everything allows 8,600);
   - both with an end: an exclusion constraint over those few rows (btree_gist);
   - one with, one without an end: no index can hold half of each; a trigger on the statement looks for the pair. It locks the
     counter row first, as every writer does, so two transactions cannot miss each other's rows.
2. Two holders of one name of an unambiguous scheme (ISIN, CUSIP, SEDOL, FIGI, CAIP-19, DTI, OCC) at the level of an
   instrument at one time: a unique partial index over open rows without an end. A row marked `shared` is left out: a person
   decided that several bear it. Tickers and venue symbols may have several holders: that is AMBIGUOUS, not an error.
3. Listing keys: the sort_key of current entries is unique a kind, so a collision of hashes cannot pass.
"""

from __future__ import annotations

from alembic import context, op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_COMMON = """
CREATE TABLE "{s}".revision (
    id smallint PRIMARY KEY CHECK (id = 1),
    value bigint NOT NULL CHECK (value >= 0),
    commit_time timestamptz NOT NULL,
    pruned_to bigint NOT NULL DEFAULT 0,
    epoch text NOT NULL
);
INSERT INTO "{s}".revision (id, value, commit_time, epoch)
VALUES (1, 0, '1970-01-01T00:00:00Z', gen_random_uuid()::text);

CREATE TABLE "{s}".entity (
    kind smallint NOT NULL,
    entity_id text COLLATE "C" NOT NULL,
    revision_from bigint NOT NULL,
    revision_to bigint CHECK (revision_to > revision_from),
    body bytea NOT NULL,
    facets text[] NOT NULL,
    name text NOT NULL,
    parent_id text COLLATE "C" NOT NULL,
    sort_key bigint NOT NULL,
    expires_at timestamptz,
    PRIMARY KEY (kind, entity_id, revision_from)
);
CREATE UNIQUE INDEX entity_current ON "{s}".entity (kind, entity_id) WHERE revision_to IS NULL;
CREATE UNIQUE INDEX entity_sort_key ON "{s}".entity (kind, sort_key) WHERE revision_to IS NULL AND sort_key <> 0;
CREATE INDEX entity_replaced ON "{s}".entity (revision_to) WHERE revision_to IS NOT NULL;
CREATE INDEX entity_parent ON "{s}".entity (parent_id, kind) WHERE parent_id <> '';
CREATE INDEX entity_expiry ON "{s}".entity (kind, expires_at) WHERE revision_to IS NULL AND expires_at IS NOT NULL;
CREATE INDEX entity_facets ON "{s}".entity USING gin (facets) WHERE revision_to IS NULL;
CREATE INDEX entity_name ON "{s}".entity USING gin (name {trgm}.gin_trgm_ops) WHERE revision_to IS NULL AND name <> '';

CREATE TABLE "{s}".change_log (
    revision bigint PRIMARY KEY,
    kind smallint NOT NULL,
    entity_id text COLLATE "C" NOT NULL,
    change smallint NOT NULL,
    after bytea NOT NULL,
    before bytea NOT NULL,
    facets text[] NOT NULL,
    parent_id text COLLATE "C" NOT NULL,
    cache_keys text[] NOT NULL,
    actor text NOT NULL,
    request_id text NOT NULL,
    commit_time timestamptz NOT NULL
);
CREATE INDEX change_log_entity ON "{s}".change_log (entity_id, revision);
CREATE INDEX change_log_parent ON "{s}".change_log (parent_id, revision) WHERE parent_id <> '';
CREATE INDEX change_log_time ON "{s}".change_log (commit_time, revision);

CREATE TABLE "{s}".request_log (
    request_id text COLLATE "C" PRIMARY KEY,
    body_hash bytea NOT NULL,
    response bytea NOT NULL,
    revision bigint NOT NULL,
    created_at timestamptz NOT NULL
);
CREATE INDEX request_log_age ON "{s}".request_log (created_at);
"""

_IDENTIFIERS = """
CREATE TABLE "{s}".identifier (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    scheme smallint NOT NULL,
    value text COLLATE "C" NOT NULL,
    venue text COLLATE "C" NOT NULL,
    level smallint NOT NULL,
    target_kind smallint NOT NULL,
    target_id text COLLATE "C" NOT NULL,
    instrument_id text COLLATE "C" NOT NULL,
    valid_from timestamptz,
    valid_to timestamptz,
    source text NOT NULL,
    recorded_revision bigint NOT NULL,
    closed_revision bigint CHECK (closed_revision > recorded_revision),
    shared boolean NOT NULL,
    CONSTRAINT identifier_valid_range CHECK (valid_from < valid_to)
);
CREATE INDEX identifier_value ON "{s}".identifier (scheme, value, venue);
CREATE INDEX identifier_target ON "{s}".identifier (target_id);
CREATE UNIQUE INDEX identifier_current ON "{s}".identifier (scheme, value, venue, target_id)
    WHERE closed_revision IS NULL AND valid_to IS NULL;
CREATE UNIQUE INDEX identifier_one_holder ON "{s}".identifier (scheme, value, venue)
    WHERE closed_revision IS NULL AND valid_to IS NULL AND NOT shared
      AND level IN (2, 3) AND scheme IN (1, 2, 3, 4, 10, 11, 12);
CREATE INDEX identifier_ended ON "{s}".identifier (scheme, value, venue, target_id)
    WHERE closed_revision IS NULL AND valid_to IS NOT NULL;
ALTER TABLE "{s}".identifier ADD CONSTRAINT identifier_no_overlap EXCLUDE USING gist (
    scheme {gist}.gist_int2_ops WITH =, value {gist}.gist_text_ops WITH =, venue {gist}.gist_text_ops WITH =,
    target_id {gist}.gist_text_ops WITH =, tstzrange(valid_from, valid_to) WITH &&
) WHERE (closed_revision IS NULL AND valid_to IS NOT NULL);

CREATE FUNCTION "{s}".refuse_identifier_overlap() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    pair record;
BEGIN
    -- Every writer holds this lock already; one that did not must wait here, and then sees what the others committed.
    PERFORM value FROM "{s}".revision FOR UPDATE;
    SELECT a.scheme, a.value, a.venue, a.target_id INTO pair
    FROM added a JOIN "{s}".identifier b
      ON b.scheme = a.scheme AND b.value = a.value AND b.venue = a.venue AND b.target_id = a.target_id
     AND b.closed_revision IS NULL AND b.valid_to IS NOT NULL
     AND tstzrange(b.valid_from, b.valid_to) && tstzrange(a.valid_from, NULL)
    WHERE a.closed_revision IS NULL AND a.valid_to IS NULL
    LIMIT 1;
    IF NOT FOUND AND EXISTS (SELECT FROM added WHERE valid_to IS NOT NULL AND closed_revision IS NULL) THEN
        SELECT a.scheme, a.value, a.venue, a.target_id INTO pair
        FROM added a JOIN "{s}".identifier b
          ON b.scheme = a.scheme AND b.value = a.value AND b.venue = a.venue AND b.target_id = a.target_id
         AND b.closed_revision IS NULL AND b.valid_to IS NULL
         AND tstzrange(b.valid_from, NULL) && tstzrange(a.valid_from, a.valid_to)
        WHERE a.closed_revision IS NULL AND a.valid_to IS NOT NULL
        LIMIT 1;
    END IF;
    IF FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'exclusion_violation', CONSTRAINT = 'identifier_no_overlap',
            MESSAGE = 'two assertions of one identifier and one holder overlap',
            DETAIL = format('scheme %s, value %s, venue %s, target %s', pair.scheme, pair.value, pair.venue, pair.target_id);
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER identifier_overlap AFTER INSERT ON "{s}".identifier
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION "{s}".refuse_identifier_overlap();
"""


def upgrade() -> None:
    """Everything a registry keeps."""
    schema: str = context.config.attributes["schema"]
    _run("CREATE EXTENSION IF NOT EXISTS pg_trgm WITH SCHEMA public")
    _run(_COMMON, s=schema, trgm=_schema_of("pg_trgm"))
    if schema == "instrument":
        _run("CREATE EXTENSION IF NOT EXISTS btree_gist WITH SCHEMA public")
        _run(_IDENTIFIERS, s=schema, gist=_schema_of("btree_gist"))


def _run(script: str, **names: str) -> None:
    for name, value in names.items():
        script = script.replace("{" + name + "}", value)
    # The driver takes one statement at a time. A function's body holds semicolons, but never one before an empty line.
    for statement in script.split(";\n\n"):
        for part in [statement] if "$$" in statement else statement.split(";\n"):
            if part.strip():
                op.get_bind().exec_driver_sql(part)


def _schema_of(extension: str) -> str:
    """An administrator may have put the extension elsewhere than we would."""
    query = f"SELECT extnamespace::regnamespace::text FROM pg_extension WHERE extname = '{extension}'"  # noqa: S608
    return str(op.get_bind().exec_driver_sql(query).scalar_one())
