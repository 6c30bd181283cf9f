"""HitBTC, version 2. An answer that repeats a number holds nothing new."""

from __future__ import annotations

from typing import Any, Final

from collector.older import Recording

PAIR: Final = {
    "id": "ETHBTC",
    "baseCurrency": "ETH",
    "quoteCurrency": "BTC",
    "quantityIncrement": "0.0001",
    "tickSize": "0.000001",
    "takeLiquidityRate": "0.0025",
    "provideLiquidityRate": "0.001",
    "feeCurrency": "BTC",
}


def said(method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "method": method, "params": {**params, "symbol": "ETHBTC"}}


def level(price: str, size: str) -> dict[str, str]:
    return {"price": price, "size": size}


FRAMES: Final = [
    {"jsonrpc": "2.0", "result": True, "id": "9ed0b8c6"},
    said(
        "snapshotOrderbook",
        ask=[level("0.054588", "0.245"), level("0.054590", "1.000")],
        bid=[level("0.054558", "0.500"), level("0.054557", "0.076")],
        sequence=8073827,
        timestamp="2021-11-19T05:00:28.193Z",
    ),
    said(
        "updateOrderbook",
        ask=[level("0.054590", "0.000"), level("0.054591", "0.000")],
        bid=[level("0.054504", "0.000")],
        sequence=8073828,
        timestamp="2021-11-19T05:00:28.700Z",
    ),
    said(
        "updateOrderbook", ask=[], bid=[level("0.054558", "9")], sequence=8073828, timestamp="2021-11-19T05:00:28.700Z"
    ),
    said(
        "ticker",
        ask="0.054464",
        bid="0.054463",
        last="0.054463",
        open="0.057133",
        low="0.053615",
        high="0.057559",
        volume="33068.346",
        volumeQuote="1832.687530809",
        timestamp="2021-11-19T05:00:44.941Z",
    ),
    said(
        "snapshotTrades",
        data=[
            {
                "id": 54469456,
                "price": "0.054656",
                "quantity": "0.057",
                "side": "buy",
                "timestamp": "2021-11-19T05:00:21.582Z",
            },
            {
                "id": 54469697,
                "price": "0.054656",
                "quantity": "0.092",
                "side": "buy",
                "timestamp": "2021-11-19T05:00:25.041Z",
            },
        ],
    ),
    said(
        "updateTrades",
        data=[
            {
                "id": 54469813,
                "price": "0.054670",
                "quantity": "0.183",
                "side": "sell",
                "timestamp": "2021-11-19T05:00:25.041Z",
            }
        ],
    ),
    said("snapshotCandles", data=[], period="M30"),
    said("updateCandles", data=[], period="M30"),
]
TRADES: Final = (
    ("ETHBTC", "0.054656", "0.057", "buy", 54469456, "2021-11-19T05:00:21.582Z"),
    ("ETHBTC", "0.054656", "0.092", "buy", 54469697, "2021-11-19T05:00:25.041Z"),
    ("ETHBTC", "0.054670", "0.183", "sell", 54469813, "2021-11-19T05:00:25.041Z"),
)
QUOTES: Final = (("ETHBTC", "0.054463", None, "0.054464", None, "2021-11-19T05:00:44.941Z"),)

RECORDING: Final = Recording(
    of="https://github.com/bmoscon/cryptofeed/blob/master/cryptofeed/exchanges/bequant.py",
    at=1637298026,
    lists={
        "https://api.hitbtc.com/api/2/public/symbol": [
            PAIR,
            {**PAIR, "id": "BTCUSD", "baseCurrency": "BTC", "quoteCurrency": "USD", "tickSize": "0.01"},
            {**PAIR, "id": "BTCUSDB", "baseCurrency": "BTC", "quoteCurrency": "USDB"},
        ]
    },
    listed={"ETHBTC": "ETH/BTC", "BTCUSD": "BTC/USDT", "BTCUSDB": "BTC/USD"},
    ticks={"ETHBTC": "0.000001", "BTCUSD": "0.01"},
    lots={"ETHBTC": "0.0001"},
    connections={"wss://api.hitbtc.com/api/2/ws/public": FRAMES},
    trades=TRADES,
    quotes=QUOTES,
    updates=2,
    books={"ETHBTC": ({"0.054558": "0.500", "0.054557": "0.076"}, {"0.054588": "0.245"})},
)
