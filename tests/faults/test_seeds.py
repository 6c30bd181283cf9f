"""G6-G9: real processes under faults drawn from seeds; every validator, on every seed.

FAULT_SEEDS is how many (200; `make soak`: 1,000) from FAULT_FIRST on, FAULT_SEED a single one, as a failure tells it.
"""

from __future__ import annotations

import os
from typing import Final

import pytest

from faults.plan import draw
from faults.run import play

_BLOCK: Final = 50
_ONE: Final = os.environ.get("FAULT_SEED")
_FIRST: Final = int(_ONE or os.environ.get("FAULT_FIRST", "1"))
_COUNT: Final = 1 if _ONE else int(os.environ.get("FAULT_SEEDS", "200"))
SEEDS: Final = list(range(_FIRST, _FIRST + _COUNT))
BLOCKS: Final = [SEEDS[at : at + _BLOCK] for at in range(0, len(SEEDS), _BLOCK)]


REACHED: Final = {*("resume", "change", "mark", "conflated"), *("QUEUE_FULL", "RELAY_RESTARTED")}
"""What clients of a whole block meet at least: a harness in which nothing happens finds nothing."""
UNDIVIDED: Final = {"SOURCE_RESTARTED"}
"""And those of a market in one piece: where it is divided, one partition is spared in most episodes, and sources with it."""
RARE: Final = {"SOURCE_GAP", "CONNECTION_LOST"}
"""What some client meets in all of the blocks: a connection has to be cut while rows are under way."""
_met: Final[set[str]] = set()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seeds", BLOCKS, ids=lambda block: f"{block[0]}-{block[-1]}")
async def test_nothing_is_lost_doubled_or_disordered_whatever_fails(seeds: list[int]) -> None:
    outcome = await play(seeds, worlds=min(2, len(seeds)))
    assert not outcome.failed, "\n".join(outcome.failed)
    _met.update(outcome.reached)
    wanted = REACHED if draw(seeds[0]).partitions > 1 else REACHED | UNDIVIDED
    assert len(seeds) < _BLOCK or outcome.reached >= wanted, wanted - outcome.reached


@pytest.mark.skipif(_COUNT < 4 * _BLOCK, reason="too few seeds for what is rare")
def test_clients_met_what_is_rare() -> None:
    """After the seeds: what their clients met, all together."""
    assert _met >= RARE, RARE - _met
