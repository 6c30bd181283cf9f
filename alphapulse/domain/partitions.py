"""Partitions: the market is divided among relays by what is traded, so that all listings of one instrument are at one relay.

A listing's home is the key of its instrument (the first 64 bits of its id); of a listing whose instrument nobody knows it is the listing's own key.
The partition of a home is the remainder of the unsigned 64-bit number by the count: ids are cut from SHA-256, so that divides them evenly, and every
language computes it alike. With another count nearly every listing has another partition.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Self

from alphapulse.domain.errors import InvalidArgument

MAX_PARTITIONS: Final = 64
"""Partitions there may be."""
_KEYS: Final = 1 << 64
_TEXT: Final = re.compile(r"(0|[1-9][0-9]?)/([1-9][0-9]?)")
_RULE: Final = f"k/n: n partitions, 1 to {MAX_PARTITIONS}, of which this is k, from 0 to n - 1"


def partition_of(home: int, count: int) -> int:
    """The partition, from 0 to `count` - 1, of a home: an unsigned number of 64 bits.

    >>> partition_of(0x0123456789ABCDEF, 1), partition_of(0x0123456789ABCDEF, 3), partition_of(2**64 - 1, 64)
    (0, 0, 63)
    """
    if not 0 <= home < _KEYS:
        raise ValueError(f"home={home}: not an unsigned number of 64 bits")
    if not 1 <= count <= MAX_PARTITIONS:
        raise ValueError(f"count={count}: there are 1 to {MAX_PARTITIONS} partitions")
    return home % count


@dataclass(frozen=True, slots=True)
class Partition:
    """One of `count` partitions."""

    index: int = 0
    """From 0."""
    count: int = 1
    """1: there is no other."""

    def __post_init__(self) -> None:
        if not 1 <= self.count <= MAX_PARTITIONS or not 0 <= self.index < self.count:
            raise InvalidArgument.field("partition", str(self), "partition", _RULE)

    @classmethod
    def parse(cls, text: str) -> Self:
        """From "k/n". InvalidArgument for anything else."""
        told = _TEXT.fullmatch(text)
        if told is None:
            raise InvalidArgument.field("partition", text, "partition", _RULE)
        return cls(int(told[1]), int(told[2]))

    @property
    def is_whole(self) -> bool:
        """Whether it is all there is."""
        return self.count == 1

    def holds(self, home: int) -> bool:
        """Whether a home belongs to it."""
        return partition_of(home, self.count) == self.index

    def name_of(self, relay: str) -> str:
        """The name of this partition's log and relay among those of one name, such as `relay/0of2`; the name itself where there is one partition."""
        return relay if self.is_whole else f"{relay}/{self.index}of{self.count}"

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"
