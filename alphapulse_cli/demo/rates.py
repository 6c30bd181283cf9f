"""Events a second of each source, from two readings."""

from __future__ import annotations

import time
from collections.abc import Mapping


class Rates:
    """Counts seen at times, as rates between the last two."""

    def __init__(self) -> None:
        self._at = time.monotonic()
        self._counts: dict[str, int] = {}
        self.per_second: dict[str, float] = {}

    def take(self, counts: Mapping[str, int]) -> None:
        """The counts as they are now."""
        now = time.monotonic()
        elapsed = now - self._at
        if elapsed < 0.2:
            return
        self.per_second = {k: max(0, n - self._counts.get(k, 0)) / elapsed for k, n in counts.items()}
        self._at, self._counts = now, dict(counts)
