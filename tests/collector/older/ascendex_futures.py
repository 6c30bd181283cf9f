"""AscendEX's futures."""

from __future__ import annotations

from typing import Final

from collector.older import Recording

RECORDING: Final = Recording(
    of="https://ascendex.github.io/ascendex-futures-pro-api-v2/#futures-contracts-info",
    at=1643931382,
    lists={
        "https://ascendex.com/api/pro/v2/futures/contract": {
            "code": 0,
            "data": [
                {
                    "symbol": "BTC-PERP",
                    "status": "Normal",
                    "displayName": "BTCUSDT",
                    "settlementAsset": "USDT",
                    "underlying": "BTC/USDT",
                    "tradingStartTime": 1579701600000,
                    "priceFilter": {"minPrice": "0.25", "maxPrice": "1000000", "tickSize": "0.25"},
                    "lotSizeFilter": {"minQty": "0.0001", "maxQty": "1000000000", "lotSize": "0.0001"},
                    "marginRequirements": [],
                }
            ],
        }
    },
    listed={"BTC-PERP": "BTC/USDT perpetual"},
    ticks={"BTC-PERP": "0.25"},
    lots={"BTC-PERP": "0.0001"},
    connections={
        "wss://ascendex.com:443/api/pro/v2/stream": [
            {"m": "connected", "type": "unauth"},
            {"m": "sub", "ch": "depth:BTC-PERP", "code": 0},
            {
                "m": "depth-snapshot",
                "symbol": "BTC-PERP",
                "data": {
                    "ts": 1643931382100,
                    "seqnum": 2097965,
                    "asks": [["37191.25", "0.5"]],
                    "bids": [["37190", "0.25"]],
                },
            },
            {
                "m": "depth",
                "symbol": "BTC-PERP",
                "data": {"ts": 1643931382200, "seqnum": 2097966, "asks": [], "bids": [["37190.75", "1"]]},
            },
            {
                "m": "trades",
                "symbol": "BTC-PERP",
                "data": [{"p": "37190.75", "q": "0.1", "ts": 1643931382300, "bm": True, "seqnum": 144115188077966308}],
            },
        ]
    },
    trades=(("BTC-PERP", "37190.75", "0.1", "sell", 144115188077966308, "2022-02-03T23:36:22.3Z"),),
    updates=2,
    books={"BTC-PERP": ({"37190.75": "1", "37190": "0.25"}, {"37191.25": "0.5"})},
)
