"""Reads what the strategy says about itself: JSON lines of signals and figures that its runner appends to a file."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Any

import msgspec


class StrategyFeed:
    """Follows the file; each life of the strategy's process counts from zero, so earlier lives are added up."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._rest = b""
        self._lives: list[dict[str, Any]] = []
        self.signals = 0
        self.recent: deque[dict[str, Any]] = deque(maxlen=6)
        self.opportunities: deque[dict[str, Any]] = deque(maxlen=6)
        self.synthetics: dict[str, dict[str, Any]] = {}

    def read(self) -> None:
        """Takes what was appended since the last call."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            return
        self._offset += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            if line:
                self._take(msgspec.json.decode(line))

    def _take(self, line: dict[str, Any]) -> None:
        kind = line.get("kind")
        if kind == "started":
            self._lives.append({})
        elif kind == "signal":
            self.signals += 1
            self.recent.append(line)
        elif kind == "opportunity":
            self.opportunities.append(line)
        elif kind == "synthetic":
            self.synthetics[str(line.get("name") or line.get("listing_key"))] = line
        elif kind == "stats":
            if not self._lives:
                self._lives.append({})
            self._lives[-1] = line

    def total(self, name: str) -> int:
        """A count over all lives."""
        return sum(int(life.get(name, 0)) for life in self._lives)

    def totals_of(self, name: str) -> dict[str, int]:
        """Counts by key over all lives."""
        sums: dict[str, int] = {}
        for life in self._lives:
            for key, count in life.get(name, {}).items():
                sums[key] = sums.get(key, 0) + int(count)
        return sums

    def latest(self, name: str) -> Any:
        """A figure of the life that runs now."""
        return self._lives[-1].get(name) if self._lives else None
