"""What was told already: venues that are asked again and again say the same again and again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Told(Generic[K, V]):
    """The last value told of each key, of the keys met last. What one message put in can be taken back, since a message that fails gives nothing."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._values: OrderedDict[K, V] = OrderedDict()
        self._changed: list[tuple[K, V | None]] = []

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: K) -> V | None:
        """What was told of a key last; None for one that was not met, or so long ago that it is forgotten."""
        found = self._values.get(key)
        if found is not None:
            self._values.move_to_end(key)
        return found

    def put(self, key: K, value: V) -> None:
        """Remembers it; beyond the limit the key met longest ago is forgotten."""
        self._changed.append((key, self._values.get(key)))
        self._values[key] = value
        self._values.move_to_end(key)
        if len(self._values) > self._limit:
            self._values.popitem(last=False)

    def clear(self) -> None:
        """Forgets all of it."""
        self._values.clear()
        self._changed.clear()

    def begin(self) -> None:
        """A message begins."""
        self._changed.clear()

    def undo(self) -> None:
        """Takes back what the message put in."""
        for key, before in reversed(self._changed):
            if before is None:
                self._values.pop(key, None)
            else:
                self._values[key] = before
        self._changed.clear()
