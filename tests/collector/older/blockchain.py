"""Blockchain.com: all channels on one connection, level 3 among them, numbered together."""

from __future__ import annotations

from typing import Final

from collector.older import Recording

RECORDING: Final = Recording(
    of="https://github.com/bmoscon/cryptofeed/blob/master/cryptofeed/exchanges/blockchain.py",
    at=1643578106,
    lists={
        "https://api.blockchain.com/mercury-gateway/v1/instruments": [
            {"symbol": "BTC-USD", "status": "open"},
            {"symbol": "ETH-BTC", "status": "close"},
        ]
    },
    listed={"BTC-USD": "BTC/USD", "ETH-BTC": "ETH/BTC"},
    connections={
        "wss://ws.blockchain.info/mercury-gateway/v1/ws": [
            {"seqnum": 0, "event": "subscribed", "channel": "l3", "symbol": "BTC-USD"},
            {
                "seqnum": 1,
                "event": "snapshot",
                "channel": "l3",
                "symbol": "BTC-USD",
                "bids": [{"id": "1234", "px": 8723.45, "qty": 1.1}],
                "asks": [],
            },
            {"seqnum": 2, "event": "subscribed", "channel": "l2", "symbol": "BTC-USD"},
            {
                "seqnum": 3,
                "event": "snapshot",
                "channel": "l2",
                "symbol": "BTC-USD",
                "bids": [{"px": 8723.45, "qty": 1.45, "num": 2}, {"px": 8124.45, "qty": 123.45, "num": 1}],
                "asks": [{"px": 8730.0, "qty": 1.55, "num": 2}, {"px": 8904.45, "qty": 8.5e-05, "num": 2}],
            },
            {"seqnum": 4, "event": "subscribed", "channel": "trades", "symbol": "BTC-USD"},
            {
                "seqnum": 5,
                "event": "updated",
                "channel": "l3",
                "symbol": "BTC-USD",
                "bids": [{"id": "1234", "px": 8723.45, "qty": 0}],
                "asks": [],
            },
            {
                "seqnum": 6,
                "event": "updated",
                "channel": "l2",
                "symbol": "BTC-USD",
                "bids": [{"px": 8723.45, "qty": 0.0, "num": 0}],
                "asks": [],
            },
            {
                "seqnum": 21,
                "event": "updated",
                "channel": "trades",
                "symbol": "BTC-USD",
                "timestamp": "2019-08-13T11:30:06.100140Z",
                "side": "sell",
                "qty": 8.5e-05,
                "price": 11252.4,
                "trade_id": "12884909920",
            },
        ]
    },
    trades=(("BTC-USD", "11252.4", "0.000085", "sell", 12884909920, "2019-08-13T11:30:06.10014Z"),),
    updates=2,
    books={"BTC-USD": ({"8124.45": "123.45"}, {"8730": "1.55", "8904.45": "0.000085"})},
)
