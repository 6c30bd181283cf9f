"""Gate's contracts: the side of a trade is the sign of its size, levels are objects, the book is asked for."""

from __future__ import annotations

from typing import Any, Final

from collector.older import Recording


def _contract(name: str, size: str, tick: str, leaving: bool) -> dict[str, Any]:
    return {
        "name": name,
        "type": "direct",
        "quanto_multiplier": size,
        "order_price_round": tick,
        "order_size_min": 1,
        "order_size_max": 1000000,
        "in_delisting": leaving,
        "mark_type": "index",
        "funding_interval": 28800,
        "trade_size": 28530850594,
    }


def _said(channel: str, event: str, result: Any) -> dict[str, Any]:
    return {
        "time": 1687000000,
        "time_ms": 1687000000123,
        "channel": f"futures.{channel}",
        "event": event,
        "error": None,
        "result": result,
    }


def _book(first: int, last: int, bids: list[Any], asks: list[Any]) -> dict[str, Any]:
    sides = {side: [{"p": price, "s": size} for price, size in levels] for side, levels in (("b", bids), ("a", asks))}
    return _said("order_book_update", "update", {"t": 1687000000100, "s": "BTC_USDT", "U": first, "u": last, **sides})


RECORDING: Final = Recording(
    of="https://www.gate.io/docs/developers/futures/ws/en/#order-book-update-notification",
    at=1687000000,
    lists={
        "https://api.gateio.ws/api/v4/futures/usdt/contracts": [
            _contract("BTC_USDT", "0.0001", "0.1", False),
            _contract("ETH_USDT", "0.01", "0.01", False),
        ]
    },
    listed={"BTC_USDT": "BTC/USDT perpetual", "ETH_USDT": "ETH/USDT perpetual"},
    ticks={"BTC_USDT": "0.1", "ETH_USDT": "0.01"},
    lots={"BTC_USDT": "1"},
    asked={
        "https://api.gateio.ws/api/v4/futures/usdt/order_book?contract=BTC_USDT&limit=100&with_id=true": {
            "id": 2517661105,
            "current": 1687000000.523,
            "update": 1687000000.512,
            "asks": [{"p": "26500.1", "s": 100}, {"p": "26500.3", "s": 40}],
            "bids": [{"p": "26500", "s": 150}, {"p": "26499.9", "s": 203}],
        }
    },
    connections={
        "wss://fx-ws.gateio.ws/v4/ws/usdt": [
            _said("order_book_update", "subscribe", {"status": "success"}),
            _said("trades", "subscribe", {"status": "success"}),
            _said("book_ticker", "subscribe", {"status": "success"}),
            _said("tickers", "subscribe", {"status": "success"}),
            _book(2517661090, 2517661104, [["26500", 1]], []),
            _book(2517661105, 2517661110, [["26500", 0]], [["26500.2", 7]]),
            _book(2517661111, 2517661113, [["26499.9", 58794]], [["26500.1", 0]]),
            _said(
                "book_ticker",
                "update",
                {
                    "t": 1687000000379,
                    "u": 2517661113,
                    "s": "BTC_USDT",
                    "b": "26499.9",
                    "B": 58794,
                    "a": "26500.2",
                    "A": 7,
                },
            ),
            _said(
                "trades",
                "update",
                [
                    {
                        "size": -108,
                        "id": 27753479,
                        "create_time": 1687000000,
                        "create_time_ms": 1687000000464,
                        "price": "26499.9",
                        "contract": "BTC_USDT",
                    },
                    {
                        "size": 3,
                        "id": 27753480,
                        "create_time": 1687000000,
                        "create_time_ms": 1687000000465,
                        "price": "1650.55",
                        "contract": "ETH_USDT",
                    },
                ],
            ),
            _said("tickers", "update", [{"contract": "BTC_USDT", "last": "26500", "funding_rate": "-0.000114"}]),
            _said("candlesticks", "update", [{"t": 1687000000, "v": 27, "c": "1", "h": "1", "l": "1", "o": "1"}]),
        ]
    },
    trades=(
        ("BTC_USDT", "26499.9", "108", "sell", 27753479, "2023-06-17T11:06:40.464Z"),
        ("ETH_USDT", "1650.55", "3", "buy", 27753480, "2023-06-17T11:06:40.465Z"),
    ),
    quotes=(("BTC_USDT", "26499.9", "58794", "26500.2", "7", "2023-06-17T11:06:40.379Z"),),
    updates=3,
    books={"BTC_USDT": ({"26499.9": "58794"}, {"26500.2": "7", "26500.3": "40"})},
)
