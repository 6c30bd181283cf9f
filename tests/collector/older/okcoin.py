"""Okcoin: version 3 in frames of raw deflate, and version 5 as text, both with checksums."""

from __future__ import annotations

import json
import zlib
from itertools import zip_longest
from typing import Any, Final

from collector.older import Recording


def _packed(frame: dict[str, Any]) -> str:
    machine = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return repr(machine.compress(json.dumps(frame).encode()) + machine.flush())


def _checksum(bids: list[list[str]], asks: list[list[str]]) -> int:
    """Bid and ask in turn; a number with a sign."""
    levels = [level for pair in zip_longest(bids, asks) for level in pair if level is not None]
    found = zlib.crc32(":".join(part for level in levels for part in level[:2]).encode())
    return found - 2**32 if found >= 2**31 else found


_BIDS: Final = [["60000.1", "0.5", "0", "1"], ["59999", "1.20", "0", "2"]]
_ASKS: Final = [["60000.5", "0.25", "0", "1"]]
_LATER: Final = [["60000.4", "0.1", "0", "1"], *_ASKS]


def _book(action: str, bids: Any, asks: Any, checksum: int) -> dict[str, Any]:
    data = {
        "instrument_id": "BTC-USD",
        "bids": bids,
        "asks": asks,
        "timestamp": "2021-04-17T16:51:02.712Z",
        "checksum": checksum,
    }
    return {"table": "spot/depth_l2_tbt", "action": action, "data": [data]}


RECORDING: Final = Recording(
    of="https://github.com/okcoin-com/V3-Open-API-SDK",
    at=1618678262,
    lists={
        "https://www.okcoin.com/api/spot/v3/instruments": [
            {
                "base_currency": "BTC",
                "category": "1",
                "instrument_id": "BTC-USD",
                "min_size": "0.0001",
                "quote_currency": "USD",
                "size_increment": "0.00000001",
                "tick_size": "0.01",
            }
        ],
        "https://www.okcoin.com/api/v5/public/instruments?instType=SPOT": {
            "code": "0",
            "data": [
                {
                    "instType": "SPOT",
                    "instId": "ETH-USD",
                    "baseCcy": "ETH",
                    "quoteCcy": "USD",
                    "tickSz": "0.01",
                    "state": "live",
                }
            ],
        },
    },
    listed={"BTC-USD": "BTC/USD", "ETH-USD": "ETH/USD"},
    ticks={"BTC-USD": "0.01", "ETH-USD": "0.01"},
    lots={"BTC-USD": "0.00000001"},
    connections={
        "wss://real.okcoin.com:8443/ws/v3": [
            _packed({"event": "subscribe", "channel": "spot/trade:BTC-USD"}),
            _packed(_book("partial", _BIDS, _ASKS, _checksum(_BIDS, _ASKS))),
            _packed(_book("update", [], _LATER[:1], _checksum(_BIDS, _LATER))),
            _packed(_book("update", [["59999", "0", "0", "0"]], [], _checksum(_BIDS[:1], _LATER))),
            _packed(
                {
                    "table": "spot/trade",
                    "data": [
                        {
                            "instrument_id": "BTC-USD",
                            "price": "60000.5",
                            "side": "buy",
                            "size": "0.01",
                            "timestamp": "2021-04-17T16:51:02.389Z",
                            "trade_id": "12104473",
                        }
                    ],
                }
            ),
            _packed(
                {
                    "table": "spot/ticker",
                    "data": [
                        {
                            "instrument_id": "BTC-USD",
                            "last": "60000.5",
                            "best_bid": "60000.1",
                            "best_ask": "60000.4",
                            "best_bid_size": "0.5",
                            "best_ask_size": "0.1",
                            "timestamp": "2021-04-17T16:51:02.5Z",
                        }
                    ],
                }
            ),
            '{"arg":{"channel":"trades","instId":"ETH-USD"},"data":[{"instId":"ETH-USD","tradeId":"7","px":"2000","sz":"1","side":"sell","ts":"1618678262000"}]}',
        ]
    },
    trades=(
        ("BTC-USD", "60000.5", "0.01", "buy", 12104473, "2021-04-17T16:51:02.389Z"),
        ("ETH-USD", "2000", "1", "sell", 7, "2021-04-17T16:51:02Z"),
    ),
    quotes=(("BTC-USD", "60000.1", "0.5", "60000.4", "0.1", "2021-04-17T16:51:02.5Z"),),
    updates=3,
    books={"BTC-USD": ({"60000.1": "0.5"}, {"60000.4": "0.1", "60000.5": "0.25"})},
)
