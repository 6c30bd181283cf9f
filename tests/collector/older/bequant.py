"""Bequant spoke as HitBTC did, and lists pairs for brokers beside those for everybody."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from collector.older.hitbtc import PAIR
from collector.older.hitbtc import RECORDING as HITBTC

RECORDING: Final = replace(
    HITBTC,
    lists={"https://api.bequant.io/api/2/public/symbol": [PAIR, {**PAIR, "id": "ETHBTC_BQX"}]},
    listed={"ETHBTC": "ETH/BTC", "ETHBTC_BQX": "ETH/BTC"},
    ticks={"ETHBTC_BQX": "0.000001"},
    connections={"wss://api.bequant.io/api/2/ws/public": HITBTC.connections["wss://api.hitbtc.com/api/2/ws/public"]},
)
