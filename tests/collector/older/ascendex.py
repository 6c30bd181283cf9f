"""AscendEX: updates that come before the snapshot, and are in it already."""

from __future__ import annotations

from typing import Final

from collector.older import Recording

RECORDING: Final = Recording(
    of="https://ascendex.github.io/ascendex-pro-api/#ws-orderbook-snapshot",
    at=1608760026,
    lists={
        "https://ascendex.com/api/pro/v1/products": {
            "code": 0,
            "data": [
                {
                    "symbol": "BTC/USDT",
                    "displayName": "BTC/USDT",
                    "domain": "USDS",
                    "baseAsset": "BTC",
                    "quoteAsset": "USDT",
                    "status": "Normal",
                    "minNotional": "5",
                    "maxNotional": "600000",
                    "marginTradable": True,
                    "commissionType": "Quote",
                    "commissionReserveRate": "0.001",
                    "tickSize": "0.01",
                    "lotSize": "0.00001",
                },
                {
                    "symbol": "ASD/USDT",
                    "baseAsset": "ASD",
                    "quoteAsset": "USDT",
                    "status": "NoTrading",
                    "tickSize": "0.000001",
                },
            ],
        }
    },
    listed={"BTC/USDT": "BTC/USDT", "ASD/USDT": "ASD/USDT"},
    ticks={"BTC/USDT": "0.01"},
    lots={"BTC/USDT": "0.00001"},
    connections={
        "wss://ascendex.com/1/api/pro/v1/stream": [
            {"m": "connected", "type": "unauth"},
            {"m": "sub", "ch": "trades:BTC/USDT", "code": 0},
            {
                "m": "trades",
                "symbol": "BTC/USDT",
                "data": [
                    {"p": "23169.76", "q": "0.00899", "ts": 1608760026461, "bm": False, "seqnum": 72057614186183012},
                    {"p": "23169.75", "q": "0.01", "ts": 1608760026462, "bm": True, "seqnum": 72057614186183013},
                ],
            },
            {
                "m": "depth",
                "symbol": "BTC/USDT",
                "data": {"ts": 1608760026470, "seqnum": 4, "asks": [["23170", "1"]], "bids": []},
            },
            {
                "m": "depth-snapshot",
                "symbol": "BTC/USDT",
                "data": {
                    "ts": 1608760026480,
                    "seqnum": 4,
                    "asks": [["23170", "1"]],
                    "bids": [["23169.7", "2"], ["23169", "3"]],
                },
            },
            {"m": "ping", "hp": 3},
            {
                "m": "depth",
                "symbol": "BTC/USDT",
                "data": {
                    "ts": 1608760026490,
                    "seqnum": 5,
                    "asks": [["23170", "0"], ["23171", "4"]],
                    "bids": [["23169", "0"]],
                },
            },
        ]
    },
    trades=(
        ("BTC/USDT", "23169.76", "0.00899", "buy", 72057614186183012, "2020-12-23T21:47:06.461Z"),
        ("BTC/USDT", "23169.75", "0.01", "sell", 72057614186183013, "2020-12-23T21:47:06.462Z"),
    ),
    updates=2,
    books={"BTC/USDT": ({"23169.7": "2"}, {"23171": "4"})},
    replies=('{"op":"pong"}',),
)
