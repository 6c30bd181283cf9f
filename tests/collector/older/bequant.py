"""Bequant spoke as HitBTC did, and lists pairs for brokers beside those for everybody. Several connections may have asked for the same pairs:
the snapshot of the later one can be older than what the earlier one has told since.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from collector.older.hitbtc import PAIR, level, said
from collector.older.hitbtc import RECORDING as HITBTC

ADDRESS: Final = "wss://api.bequant.io/api/2/ws/public"
FRAMES: Final = HITBTC.connections["wss://api.hitbtc.com/api/2/ws/public"]
SNAPSHOT: Final = said(
    "snapshotOrderbook",
    ask=[level("0.054588", "0.245")],
    bid=[level("0.054557", "0.076"), level("0.054558", "0.500")],
    sequence=8073828,
    timestamp="2021-11-19T05:00:28.700Z",
)


def bids(sequence: int, size: str) -> dict[str, Any]:
    """The best bid changes."""
    return said(
        "updateOrderbook",
        ask=[],
        bid=[level("0.054558", size)],
        sequence=sequence,
        timestamp="2021-11-19T05:00:29.100Z",
    )


RECORDING: Final = replace(
    HITBTC,
    lists={"https://api.bequant.io/api/2/public/symbol": [PAIR, {**PAIR, "id": "ETHBTC_BQX"}]},
    listed={"ETHBTC": "ETH/BTC", "ETHBTC_BQX": "ETH/BTC"},
    ticks={"ETHBTC_BQX": "0.000001"},
    connections={
        ADDRESS: [*FRAMES, bids(8073829, "0.4"), bids(8073830, "0.3"), FRAMES[0], bids(8073831, "0.2")],
        f"{ADDRESS} again": [*[FRAMES[0]] * len(FRAMES), FRAMES[0], FRAMES[0], SNAPSHOT, bids(8073829, "0.4")],
        f"{ADDRESS} and again": [*[FRAMES[0]] * len(FRAMES), *(bids(number, "0.4") for number in (8073829, 8073830))],
    },
    updates=5,
    books={"ETHBTC": ({"0.054558": "0.2", "0.054557": "0.076"}, {"0.054588": "0.245"})},
)
