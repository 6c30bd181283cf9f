"""Binance TR, at the addresses of its first years: the list and the books are those of the cloud behind it. The book was asked for with less
depth than we ask for.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from collector.older import Recording
from collector.older.binance_us import RECORDING as BINANCE_US
from collector.older.binance_us import exchange_info, frames, snapshot

RECORDING: Final[Recording] = replace(
    BINANCE_US,
    of="https://www.binance.tr/apidocs/#diff-depth-stream",
    lists={"https://api.binance.me/api/v3/exchangeInfo": exchange_info(("BTCTRY", "BTC", "TRY", "1.00", "TRADING"))},
    listed={"BTCTRY": "BTC/TRY"},
    ticks={"BTCTRY": "1"},
    lots={"BTCTRY": "0.000001"},
    asked={"https://api.binance.me/api/v3/depth?symbol=BTCTRY&limit=500": snapshot()},
    connections={
        "wss://stream-cloud.trbinance.com/stream?streams=btctry@depth@100ms/btctry@aggTrade": frames("BTCTRY")
    },
    trades=tuple(("BTCTRY", *row[1:]) for row in BINANCE_US.trades),
    quotes=tuple(("BTCTRY", *row[1:]) for row in BINANCE_US.quotes),
    books={"BTCTRY": BINANCE_US.books["BTCUSD"]},
)
