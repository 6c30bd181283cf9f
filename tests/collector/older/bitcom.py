"""Bit.com: spot and derivatives over two connections, the list of each currency asked for by itself, and that of what settles in dollars."""

from __future__ import annotations

from typing import Any, Final

from collector.older import Recording

BOOK: Final = {"instrument_id": "BTC-PERPETUAL"}


def derivative(symbol: str, category: str, **more: Any) -> dict[str, Any]:
    told = {
        "instrument_id": symbol,
        "category": category,
        "base_currency": "BTC",
        "quote_currency": "USD",
        "created_at": 1639000000000,
        "strike_price": "",
        "option_type": "",
        "expiration_at": 1640332800000,
        "price_step": "0.50000000",
        "size_step": "10.00000000",
        "min_size": "10.00000000",
        "contract_size": "1.00000000",
        "contract_size_currency": "USD",
        "active": True,
        "status": "online",
    }
    return {**told, **more}


IN_DOLLARS: Final[dict[str, Any]] = {
    "quote_currency": "USDT",
    "expiration_at": 4102444800000,
    "price_step": "0.01000000",
    "size_step": "0.00010000",
    "min_size": "0.00010000",
    "contract_size": "",
    "contract_size_currency": "BTC",
}


def said(channel: str, data: Any) -> dict[str, Any]:
    return {"channel": channel, "timestamp": 1639083660346, "data": data}


RECORDING: Final = Recording(
    of="https://github.com/bmoscon/cryptofeed/blob/master/cryptofeed/exchanges/bitdotcom.py",
    at=1639083660,
    lists={
        "https://spot-api.bit.com/spot/v1/instruments": {
            "code": 0,
            "message": "",
            "data": [
                {
                    "pair": "BTC-USDT",
                    "base_currency": "BTC",
                    "quote_currency": "USDT",
                    "price_step": "0.01",
                    "qty_step": "0.0001",
                    "qty_min": "0.001",
                }
            ],
        },
        "https://betaapi.bitexch.dev/v1/currencies": {"code": 0, "message": "", "data": {"currencies": ["BTC", "BCH"]}},
        "https://betaapi.bitexch.dev/v1/instruments?currency=BTC&active=true": {
            "code": 0,
            "message": "",
            "data": [
                derivative("BTC-PERPETUAL", "future", expiration_at=4102444800000),
                derivative("BTC-24DEC21", "future"),
                derivative(
                    "BTC-24DEC21-40000-P",
                    "option",
                    strike_price="40000.00000000",
                    option_type="put",
                    price_step="0.00050000",
                    size_step="0.10000000",
                    contract_size_currency="BTC",
                ),
            ],
        },
        "https://betaapi.bitexch.dev/v1/instruments?currency=BCH&active=true": {
            "code": 0,
            "message": "",
            "data": [derivative("BCH-PERPETUAL", "future", base_currency="BCH")],
        },
        "https://api.bit.com/linear/v1/instruments?currency=USDT&active=true": {
            "code": 0,
            "message": "",
            "data": [
                derivative("BTC-USDT-PERPETUAL", "future", **IN_DOLLARS),
                derivative(
                    "BTC-USDT-24DEC21-40000-C",
                    "option",
                    **{**IN_DOLLARS, "expiration_at": 1640332800000, "strike_price": "40000", "option_type": "call"},
                ),
            ],
        },
    },
    listed={
        "BTC-USDT": "BTC/USDT",
        "BTC-PERPETUAL": "BTC/USD perpetual",
        "BTC-24DEC21": "BTC/USD 2021-12-24",
        "BTC-24DEC21-40000-P": "BTC/USD 2021-12-24 40000 put",
        "BCH-PERPETUAL": "BCH/USD perpetual",
        "BTC-USDT-PERPETUAL": "BTC/USDT perpetual",
        "BTC-USDT-24DEC21-40000-C": "BTC/USDT 2021-12-24 40000 call",
    },
    ticks={"BTC-USDT": "0.01", "BTC-24DEC21-40000-P": "0.0005"},
    lots={"BTC-USDT": "0.0001", "BTC-PERPETUAL": "10", "BTC-USDT-PERPETUAL": "0.0001"},
    connections={
        "wss://spot-ws.bit.com": [
            said("subscription", {"code": 0, "subscription": ["depth"]}),
            said(
                "depth",
                {
                    "type": "snapshot",
                    "pair": "BTC-USDT",
                    "sequence": 5,
                    "bids": [["47763.00", "0.5"]],
                    "asks": [["47768.00", "1"]],
                },
            ),
            said(
                "trade",
                [
                    {
                        "trade_id": "11",
                        "pair": "BTC-USDT",
                        "price": "47768.00",
                        "qty": "0.1",
                        "side": "buy",
                        "created_at": 1639083660345,
                    }
                ],
            ),
        ],
        "wss://ws.bit.com": [
            said(
                "depth",
                {
                    **BOOK,
                    "type": "snapshot",
                    "sequence": 1639042602148589825,
                    "bids": [["47763.00000000", "20000.00000000"], ["47762.50000000", "6260.00000000"]],
                    "asks": [["47768.00000000", "10000.00000000"], ["47874.00000000", "20000.00000000"]],
                },
            ),
            said(
                "depth",
                {
                    **BOOK,
                    "type": "update",
                    "sequence": 1639042602148589826,
                    "prev_sequence": 1639042602148589825,
                    "changes": [["sell", "47874.00000000", "0.00000000"], ["buy", "47763.00000000", "7"]],
                },
            ),
            said(
                "trade",
                [
                    {
                        "trade_id": "7016884324",
                        "instrument_id": "BTC-PERPETUAL",
                        "price": "47482.50000000",
                        "qty": "6000.00000000",
                        "side": "sell",
                        "sigma": "0.00000000",
                        "is_block_trade": False,
                        "created_at": 1639080717195,
                    }
                ],
            ),
            said(
                "trade",
                [
                    {
                        "trade_id": "23",
                        "instrument_id": "BTC-USDT-PERPETUAL",
                        "price": "47490.50000000",
                        "qty": "0.00250000",
                        "side": "buy",
                        "created_at": 1639080717196,
                    }
                ],
            ),
            said(
                "ticker",
                {
                    "time": 1639083660346,
                    "instrument_id": "BTC-PERPETUAL",
                    "best_bid": "4155.85000000",
                    "best_ask": "4155.90000000",
                    "best_bid_qty": "2000.00000000",
                    "best_ask_qty": "3000.00000000",
                },
            ),
            said(
                "ticker",
                {
                    "instrument_id": "BTC-24DEC21-40000-P",
                    "best_bid": "",
                    "best_ask": "0.01",
                    "best_bid_qty": "",
                    "best_ask_qty": "1",
                },
            ),
        ],
    },
    trades=(
        ("BTC-USDT", "47768.00", "0.1", "buy", 11, "2021-12-09T21:01:00.345Z"),
        ("BTC-PERPETUAL", "47482.50000000", "6000.00000000", "sell", 7016884324, "2021-12-09T20:11:57.195Z"),
        ("BTC-USDT-PERPETUAL", "47490.50000000", "0.00250000", "buy", 23, "2021-12-09T20:11:57.196Z"),
    ),
    quotes=(("BTC-PERPETUAL", "4155.85", "2000", "4155.9", "3000", "2021-12-09T21:01:00.346Z"),),
    updates=3,
    books={
        "BTC-USDT": ({"47763": "0.5"}, {"47768": "1"}),
        "BTC-PERPETUAL": ({"47763": "7", "47762.5": "6260"}, {"47768": "10000"}),
    },
)
