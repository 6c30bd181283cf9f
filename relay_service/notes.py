"""What the core tells of its inputs besides frames and losses, for whoever keeps them: with these its output can be made once more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from alphapulse.domain.domains import Domain


class Notes(Protocol):
    """Called in the order things happen, before what they bring about is handed on. Every call is cheap: it puts something into memory."""

    def met(self, slots: Sequence[int]) -> None:
        """The first event of each of these slots came."""

    def used(self, domain: Domain, slots: npt.NDArray[np.int32]) -> None:
        """Events of a domain other than the market came of these slots, -1 where they have none. Not kept: the array is valid during the call."""

    def listing(self, slot: int) -> None:
        """The definition of a slot that events came of is new, changed or gone."""

    def venue(self, code: str) -> None:
        """A venue is new, changed or gone."""

    def synthetic(self, name: str, data: bytes, slots: Sequence[int]) -> None:
        """A synthetic was put, changed or not, or is gone: then without data. `slots`: it has, or had."""

    def ticked(self, now_ns: int) -> None:
        """Time passed, changed something, and nothing came of it that would tell of it."""
