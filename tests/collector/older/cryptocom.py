"""Crypto.com, version 2: whole books of 150 levels, numbers without quotes, a heartbeat that wants an answer."""

from __future__ import annotations

from typing import Any, Final

from collector.older import Recording


def said(channel: str, data: list[Any], **more: Any) -> dict[str, Any]:
    told = {"instrument_name": "BTC_USDT", "subscription": f"{channel}.BTC_USDT", "channel": channel, "data": data}
    return {"code": 0, "method": "subscribe", "result": {**told, **more}}


RECORDING: Final = Recording(
    of="https://github.com/bmoscon/cryptofeed/blob/master/cryptofeed/exchanges/cryptodotcom.py",
    at=1637705099,
    lists={
        "https://api.crypto.com/v2/public/get-instruments": {
            "code": 0,
            "method": "public/get-instruments",
            "result": {
                "instruments": [
                    {
                        "instrument_name": "BTC_USDT",
                        "quote_currency": "USDT",
                        "base_currency": "BTC",
                        "price_decimals": 2,
                        "quantity_decimals": 6,
                        "margin_trading_enabled": True,
                    }
                ]
            },
        }
    },
    listed={"BTC_USDT": "BTC/USDT"},
    ticks={"BTC_USDT": "0.01"},
    lots={"BTC_USDT": "0.000001"},
    connections={
        "wss://stream.crypto.com/v2/market": [
            {"id": -1, "method": "subscribe", "code": 0},
            {"id": 1587523073344, "method": "public/heartbeat", "code": 0},
            said(
                "trade",
                [
                    {
                        "dataTime": 1637630445449,
                        "d": 2006341810221954784,
                        "s": "BUY",
                        "p": 56504.25,
                        "q": 0.003802,
                        "t": 1637630445448,
                        "i": "BTC_USDT",
                    },
                    {
                        "dataTime": 1637630445449,
                        "d": 2006341810221954783,
                        "s": "SELL",
                        "p": 56504,
                        "q": 1,
                        "t": 1637630445447,
                        "i": "BTC_USDT",
                    },
                ],
            ),
            said(
                "ticker",
                [{"i": "BTC_USDT", "b": 57689.9, "k": 57690.9, "a": 57691.0, "t": 1637705099140, "v": 46427.152283}],
            ),
            said(
                "book",
                [
                    {
                        "bids": [[57553.03, 0.481606, 2], [57552.47, 0.000418, 1]],
                        "asks": [[57555.44, 0.343236, 1]],
                        "t": 1637705099200,
                    }
                ],
                depth=150,
            ),
            said(
                "book",
                [{"bids": [[57553.03, 0.5, 2]], "asks": [[57555.44, 0.343236, 1]], "t": 1637705099300}],
                depth=150,
            ),
            said("candlestick", [{"t": 1636934400000, "o": 65502.68}], depth=300, interval="14D"),
        ]
    },
    trades=(
        ("BTC_USDT", "56504.25", "0.003802", "buy", 2006341810221954784, "2021-11-23T01:20:45.448Z"),
        ("BTC_USDT", "56504", "1", "sell", 2006341810221954783, "2021-11-23T01:20:45.447Z"),
    ),
    quotes=(("BTC_USDT", "57689.9", None, "57690.9", None, "2021-11-23T22:04:59.14Z"),),
    updates=2,
    books={"BTC_USDT": ({"57553.03": "0.5"}, {"57555.44": "0.343236"})},
    replies=('{"id":1587523073344,"method":"public/respond-heartbeat"}',),
)
