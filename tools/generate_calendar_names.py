"""Writes the names of the trading calendars that the installed packages have to where the venue registry reads them. Run by `make docs`."""

from __future__ import annotations

import json

from registry_service.venue.calendar_names import NAMES
from registry_service.venue.calendar_packages import every_name, versions


def text() -> str:
    """The file's text."""
    return json.dumps({"versions": versions(), "names": sorted(every_name())}, indent=1) + "\n"


if __name__ == "__main__":
    NAMES.write_text(text(), encoding="utf-8")
