"""Trading calendars of the venue registry: what each was built from, and its days.

A day's row is only ever added, or closed when a newer version of its package says otherwise, so that what was known earlier can
still be told. recorded_at is null where nothing else was ever known of the day.
"""

from __future__ import annotations

from alembic import context, op

revision = "0003"
down_revision = "0001"
branch_labels = None
depends_on = None

_STATEMENTS = (
    """
    CREATE TABLE "venue".calendar (
        name text COLLATE "C" PRIMARY KEY,
        source text NOT NULL,
        time_zone text NOT NULL,
        first_date date NOT NULL,
        last_date date NOT NULL CHECK (last_date >= first_date),
        built_for date NOT NULL,
        built_at timestamptz NOT NULL
    )
    """,
    """
    CREATE TABLE "venue".calendar_session (
        seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        calendar text COLLATE "C" NOT NULL REFERENCES "venue".calendar (name),
        session_date date NOT NULL,
        open_time timestamptz NOT NULL,
        close_time timestamptz NOT NULL CHECK (close_time > open_time),
        break_start timestamptz,
        break_end timestamptz,
        pre_open timestamptz CHECK (pre_open < open_time),
        post_close timestamptz CHECK (post_close > close_time),
        late_open boolean NOT NULL,
        early_close boolean NOT NULL,
        closed boolean NOT NULL,
        source text NOT NULL,
        recorded_at timestamptz,
        closed_at timestamptz CHECK (closed_at > recorded_at),
        CHECK ((break_start IS NULL) = (break_end IS NULL)),
        CHECK (break_start IS NULL OR (open_time < break_start AND break_start < break_end AND break_end < close_time))
    )
    """,
    """
    CREATE UNIQUE INDEX calendar_session_current ON "venue".calendar_session (calendar, session_date) WHERE closed_at IS NULL
    """,
    """
    CREATE INDEX calendar_session_day ON "venue".calendar_session (calendar, session_date)
    """,
)


def upgrade() -> None:
    """The two tables, in the schema of the venue registry alone."""
    if context.config.attributes["schema"] != "venue":
        return
    for statement in _STATEMENTS:
        op.get_bind().exec_driver_sql(statement)
