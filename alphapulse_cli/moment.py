"""Times as options take them: every form the commands print, and RFC 3339."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

import click

_FORM: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?(Z|[+-][0-9]{2}:?[0-9]{2})?)?",
    re.IGNORECASE,
)


class Moment(click.ParamType):  # type: ignore[type-arg,unused-ignore] # generic in newer releases of click
    """A day (its midnight) or a time, in UTC where it names no zone. Fractions count to the microsecond, as the registry keeps them."""

    name = "time"

    def convert(self, value: str | datetime, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """The time, aware and in UTC."""
        if isinstance(value, datetime):
            return value if value.tzinfo is not None else value.replace(tzinfo=UTC)
        if _FORM.fullmatch(value) is None:
            self.fail(f"{value!r} is not of the form 2024-12-31 or 2024-12-31T23:59:59Z", param, ctx)
        try:
            moment = datetime.fromisoformat(value.upper())
            return moment.astimezone(UTC) if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
        except (ValueError, OverflowError) as error:
            self.fail(f"{value!r} is no time: {error}", param, ctx)
