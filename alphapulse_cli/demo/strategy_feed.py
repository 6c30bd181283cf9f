"""Reads what the strategy says about itself: the JSON lines its runner appends to a file (`docs/sdk.md` describes them)."""

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
        self.started = False
        """The strategy has said that its subscription holds."""
        self.signals = 0
        self.recent: deque[dict[str, Any]] = deque(maxlen=6)

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
        match line["type"]:
            case "start":
                self.started = True
                self._lives.append({})
            case "signal":
                self.signals += 1
                self.recent.append(line)
            case "stats" | "stop" if self._lives:
                self._lives[-1] = line

    def total(self, name: str) -> int:
        """A count over all lives."""
        return sum(int(life.get(name, 0)) for life in self._lives)

    def events(self) -> dict[str, int]:
        """Events received, by type, over all lives."""
        sums: dict[str, int] = {}
        for life in self._lives:
            for kind, count in life.get("events", {}).items():
                sums[kind.lower()] = sums.get(kind.lower(), 0) + int(count)
        return sums

    def latency_us(self) -> dict[str, dict[str, float]]:
        """Of the life that runs now, by hop."""
        found: dict[str, dict[str, float]] = self._lives[-1].get("latency_us", {}) if self._lives else {}
        return found
