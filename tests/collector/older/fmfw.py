"""FMFW.io spoke version 3 already; the best prices were recorded once a second."""

from __future__ import annotations

from typing import Final

from collector.older import Recording

RECORDING: Final = Recording(
    of="https://github.com/bmoscon/cryptofeed/blob/master/cryptofeed/exchanges/fmfw.py",
    at=1633804289,
    lists={
        "https://api.fmfw.io/api/3/public/symbol": {
            "BTCUSDT": {
                "type": "spot",
                "base_currency": "BTC",
                "quote_currency": "USDT",
                "status": "working",
                "quantity_increment": "0.00001",
                "tick_size": "0.01",
                "take_rate": "0.005",
                "make_rate": "0.005",
                "fee_currency": "USDT",
                "margin_trading": False,
            },
            "ETHBTC": {
                "base_currency": "ETH",
                "quote_currency": "BTC",
                "quantity_increment": "0.0001",
                "tick_size": "0.000001",
            },
        }
    },
    listed={"BTCUSDT": "BTC/USDT", "ETHBTC": "ETH/BTC"},
    ticks={"BTCUSDT": "0.01"},
    lots={"ETHBTC": "0.0001"},
    connections={
        "wss://api.fmfw.io/api/3/ws/public": [
            {"jsonrpc": "2.0", "result": {"ch": "orderbook/full", "subscriptions": ["BTCUSDT"]}, "id": 1234},
            {
                "ch": "orderbook/full",
                "snapshot": {
                    "BTCUSDT": {
                        "t": 1633804289001,
                        "s": 100,
                        "a": [["54813.56", "0.82"]],
                        "b": [["54810.31", "0.0066"]],
                    },
                    "ETHBTC": {"t": 1633804289001, "s": 7, "a": [["0.0651", "1"]], "b": [["0.065", "2"]]},
                },
            },
            {
                "ch": "orderbook/full",
                "update": {
                    "BTCUSDT": {"t": 1633804289101, "s": 101, "a": [["54813.56", "0"], ["54814", "1"]], "b": []}
                },
            },
            {
                "ch": "trades",
                "update": {
                    "BTCUSDT": [
                        {"t": 1633803835228, "i": 1633803835228, "p": "54774.60", "q": "0.00004", "s": "buy"},
                        {"t": 1633803835229, "i": 1633803835229, "p": "54774.59", "q": "0.5", "s": "sell"},
                    ]
                },
            },
            {
                "ch": "ticker/1s",
                "data": {
                    "BTCUSDT": {
                        "t": 1633804289795,
                        "a": "54813.56",
                        "A": "0.82000",
                        "b": "54810.31",
                        "B": "0.00660",
                        "o": "54517.48",
                        "c": "54829.88",
                        "L": 1417964345,
                    }
                },
            },
            {"ch": "candles/M1", "snapshot": {"BTCUSDT": [{"t": 1633805940000, "o": "54849.03", "v": "0.00766"}]}},
            {"ch": "candles/M1", "update": {"BTCUSDT": [{"t": 1633805940000, "o": "54849.03", "v": "0.00766"}]}},
        ]
    },
    trades=(
        ("BTCUSDT", "54774.60", "0.00004", "buy", 1633803835228, "2021-10-09T18:23:55.228Z"),
        ("BTCUSDT", "54774.59", "0.5", "sell", 1633803835229, "2021-10-09T18:23:55.229Z"),
    ),
    quotes=(("BTCUSDT", "54810.31", "0.0066", "54813.56", "0.82", "2021-10-09T18:31:29.795Z"),),
    updates=3,
    books={"BTCUSDT": ({"54810.31": "0.0066"}, {"54814": "1"}), "ETHBTC": ({"0.065": "2"}, {"0.0651": "1"})},
)
