"""What an export wrote, and what it could not."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from alphapulse.api.instrument.v1 import instrument_service_pb2 as service

SHOWN: Final = 1_000

OnPage = Callable[[int, int], None]
"""Called after each page with the entries done so far, and how many there are in all."""


@dataclass(slots=True)
class Exported:
    """What was written."""

    entries: int = 0
    listings: int = 0
    revision_token: str = ""
    """Names the revision all of it is of."""
    left_out: list[str] = field(default_factory=list)
    """Listings that the shape asked for cannot hold, and instruments that were merged into others, and why; at most 1,000 are told."""
    left_out_count: int = 0

    def count(self, page: Iterable[service.InstrumentEntry]) -> None:
        """Adds a page that was written."""
        for entry in page:
            self.entries += 1
            self.listings += len(entry.listings)

    def leave_out(self, what: str, why: str) -> None:
        """Adds a listing that was not."""
        self.left_out_count += 1
        if len(self.left_out) < SHOWN:
            self.left_out.append(f"{what}: {why}")
