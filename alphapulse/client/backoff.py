"""How long to wait before the next attempt: doubling, capped, jittered so that many clients do not return at once."""

from __future__ import annotations

import random
from dataclasses import dataclass, field


@dataclass(slots=True)
class Backoff:
    """Waits that double from `first` to at most `cap` seconds, each drawn from its upper half. `reset` after a success."""

    first: float = 0.1
    cap: float = 5.0
    _next: float = field(init=False, default=0.0)

    def next(self) -> float:
        """Seconds to wait now."""
        limit = min(self.cap, self._next or self.first)
        self._next = min(self.cap, limit * 2)
        return limit * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing

    def reset(self) -> None:
        """Start again from `first`."""
        self._next = 0.0
