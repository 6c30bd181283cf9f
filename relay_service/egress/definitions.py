"""Which definitions a subscriber has: each goes out before its listing's first event, and again when it changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import numpy.typing as npt

from relay_service.egress.envelope import definitions
from relay_service.egress.items import MAX_BATCH_BYTES
from relay_service.egress.rows import Selected
from relay_service.kernel.compiled import kernels

Slots = npt.NDArray[np.int32]


class DefinitionLedger:
    """Marks by slot what was sent. `read` gives a slot's serialized ListingDefinition, empty where there is none."""

    def __init__(self, read: Callable[[int], bytes], slot_count: Callable[[], int]) -> None:
        self._read = read
        self._slot_count = slot_count
        self._sent = np.zeros(1024, np.uint8)

    def lacks(self, selected: Selected) -> bool:
        """Whether a definition may have to go before these rows: for a single row it is looked up, for more it is taken for granted."""
        if selected.count != 1 or selected.other_slots is not None:
            return True
        slot = selected.slots.item()
        return slot >= self._sent.size or not (slot < 0 or self._sent[slot])

    def missing(self, selected: Selected) -> tuple[Slots, list[bytes]]:
        """(slots, definitions) that have to go before these rows; marked as sent. `forget` takes it back."""
        self._reserve()
        fresh = np.empty(2 * selected.count, np.int32)
        first_seen = kernels().first_seen
        found = first_seen(selected.slots, self._sent, fresh)
        others = selected.other_slots
        if others is not None:
            found += first_seen(others, self._sent, fresh[found:])
        slots = fresh[:found]
        return slots, [entry for slot in slots.tolist() if (entry := self._read(slot))]

    def forget(self, slots: Slots) -> None:
        """They were not sent after all."""
        self._sent[slots] = 0

    def changed(self, slots: Slots, may_send: bool) -> list[bytes]:
        """The new definitions of those of these slots that were sent before; where they may not be sent now, they go with the next event."""
        self._reserve()
        held = slots[self._sent[slots] != 0]
        if not may_send:
            self.forget(held)
            return []
        return [entry for slot in held.tolist() if (entry := self._read(slot))]

    def _reserve(self) -> None:
        count = self._slot_count()
        if count > self._sent.size:
            more = np.zeros(max(count, 2 * self._sent.size) - self._sent.size, np.uint8)
            self._sent = np.concatenate((self._sent, more))


def messages(entries: Iterable[bytes]) -> Iterator[bytes]:
    """Serialized SubscribeResponses with these definitions, each of about a mebibyte at most."""
    held: list[bytes] = []
    size = 0
    for entry in entries:
        if held and size + len(entry) > MAX_BATCH_BYTES:
            yield definitions(held)
            held, size = [], 0
        held.append(entry)
        size += len(entry)
    if held:
        yield definitions(held)
