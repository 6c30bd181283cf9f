"""The names of trading calendars, known without the packages that have them: importing those takes seconds.

`data/calendar_names.json` holds the names with the versions they were read from. Where other versions are installed the packages are asked.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Final

from alphapulse.domain.errors import FieldViolation
from registry_service.venue.calendar_packages import every_name, versions
from registry_service.venue.convert import wire

NAMES: Final = Path(__file__).parent / "data" / "calendar_names.json"
_NEAR: Final = 3


@cache
def known_names() -> frozenset[str]:
    """Every calendar a venue can name. The first call blocks, for seconds where the names of the installed versions are not at hand."""
    held = json.loads(NAMES.read_text("utf-8"))
    return frozenset(held["names"]) if held["versions"] == versions() else every_name()


async def names_at_hand(venues: Iterable[wire.Venue]) -> None:
    """Reads the names, where a venue names a calendar: in a thread, since a package may have to be imported for them."""
    if any(one.calendar for one in venues):
        await asyncio.to_thread(known_names)


def calendar_violation(name: str, field: str) -> FieldViolation | None:
    """What is wrong with the name of a calendar: that no package knows it. Well formed it is already."""
    if not name or name in known_names():
        return None
    return FieldViolation(field, name, "calendar-unknown", f"no package has a calendar of this name{_near(name)}")


def _near(name: str) -> str:
    """The names that may be meant: spelled alike, whatever the capitals."""
    folded: dict[str, str] = {}
    for one in sorted(known_names()):
        folded.setdefault(one.casefold(), one)
    found = [folded[one] for one in get_close_matches(name.casefold(), folded, n=_NEAR, cutoff=0.6)]
    return f"; near it: {', '.join(found)}" if found else ""
