"""Compile, or load from the cache, what egress runs: the first frame must not wait for a compiler."""

from __future__ import annotations

import numpy as np

from alphapulse.records import QUOTE
from relay_service.egress.conflation import Conflater, Sampler
from relay_service.egress.rows import Selected
from relay_service.kernel.compiled import kernels
from relay_service.results import RowGroup
from relay_service.subscriptions.hits import Divider
from relay_service.subscriptions.matches import MatchTable


def warm_up() -> None:
    """Call each compiled function once with the types it is used with."""
    slots = np.zeros(1, np.int32)
    table, allowed = MatchTable(), np.ones(1, np.uint64)
    table.set(0, slots, True)
    group = RowGroup(QUOTE.event_type, QUOTE.new(1).view(np.uint8), slots, 1)
    divider = Divider()
    divider.resize(64)
    divider.divide(table, allowed, slots, None, (None,) * 64)
    divider.gather(group, slots)
    logged = np.frombuffer(
        group.raw.tobytes(), np.uint8
    )  # rows of a log are read-only, which is another type to the compiler
    divider.gather(group._replace(raw=logged), slots)
    kernels().first_seen(slots, np.zeros(1, np.uint8), slots.copy())
    selected = Selected(group, None, 0)
    Conflater().put(selected)
    Sampler(1).pick(selected)
