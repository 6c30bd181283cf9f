"""One partition as the harness knows it; a market that is not divided is one."""

from __future__ import annotations

from dataclasses import dataclass, field

from faults.history import Sent, Witnessed
from faults.journal import Reading
from faults.plan import FEEDERS, KEYS, TYPES, keys_of
from faults.world import World


@dataclass
class Part:
    """Goes on from one episode to the next."""

    index: int
    relay: str
    keys: frozenset[int]
    """Its listings."""
    reading: Reading
    """Of its witness's journal."""
    sent: Sent
    witnessed: Witnessed = field(default_factory=Witnessed)

    def begin(self) -> None:
        """Another episode."""
        self.absorb()
        self.witnessed.begin()
        self.sent.begin(self.witnessed.before.items())

    def absorb(self) -> None:
        """What the witness saw since."""
        self.witnessed.absorb(self.reading.entries())

    def has(self, last: dict[tuple[int, int], int]) -> bool:
        """Whether the witness has, of its listings among (type, listing), an event of that time or a later one."""
        self.absorb()
        return all(self.witnessed.latest.get(at, 0) >= stamp for at, stamp in last.items() if at[1] in self.keys)

    def moved(self, before: dict[tuple[int, int], int]) -> bool:
        """Whether the witness has of everything something else than before."""
        self.absorb()
        everything = ((kind, key) for kind in TYPES for name in FEEDERS for key in KEYS[name] if key in self.keys)
        return all(self.witnessed.latest.get(at) != before.get(at) for at in everything)


def parts_of(world: World) -> list[Part]:
    """All partitions of a world."""
    count = len(world.relays)
    found = []
    for index, relay in enumerate(world.relays):
        keys = keys_of(index, count)
        found.append(Part(index, relay, keys, Reading(world.witness_journals[relay]), Sent(keys, index)))
    return found
