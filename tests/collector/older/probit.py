"""ProBit: a first message of both kinds, an order at the market in it, and levels that go."""

from __future__ import annotations

from typing import Any, Final

from collector.older import Recording

SAID: Final = {"channel": "marketdata", "market_id": "ETH-BTC", "status": "ok", "lag": 0}


def trade(number: int, price: str, quantity: str, side: str, time: str) -> dict[str, Any]:
    return {
        "id": f"ETH-BTC:{number}",
        "price": price,
        "quantity": quantity,
        "time": time,
        "side": side,
        "tick_direction": "down",
    }


def level(side: str, price: str, quantity: str) -> dict[str, str]:
    return {"side": side, "price": price, "quantity": quantity}


RECORDING: Final = Recording(
    of="https://docs-en.probit.com/reference/marketdata",
    at=1643578106,
    lists={
        "https://api.probit.com/api/exchange/v1/market": {
            "data": [
                {
                    "id": "ETH-BTC",
                    "base_currency_id": "ETH",
                    "quote_currency_id": "BTC",
                    "min_price": "0.00000001",
                    "max_price": "9999999999999999",
                    "price_increment": "0.000001",
                    "min_quantity": "0.0001",
                    "max_quantity": "9999999999999999",
                    "quantity_precision": 8,
                    "min_cost": "0.0001",
                    "max_cost": "9999999999999999",
                    "cost_precision": 8,
                    "taker_fee_rate": "0.2",
                    "maker_fee_rate": "0.2",
                    "show_in_ui": True,
                    "closed": False,
                },
                {"id": "OLD-BTC", "base_currency_id": "OLD", "quote_currency_id": "BTC", "closed": True},
            ]
        }
    },
    listed={"ETH-BTC": "ETH/BTC", "OLD-BTC": "OLD/BTC"},
    ticks={"ETH-BTC": "0.000001"},
    lots={"ETH-BTC": "0.00000001"},
    connections={
        "wss://api.probit.com/api/exchange/v1/ws": [
            {
                **SAID,
                "recent_trades": [
                    trade(4429182, "0.028229", "3.117", "buy", "2020-11-01T03:59:06.277Z"),
                    trade(4429183, "0.028227", "1.793", "sell", "2020-11-01T03:59:14.528Z"),
                ],
                "order_books": [
                    level("buy", "0.0165", "0.47"),
                    level("buy", "0", "14656.177"),
                    level("sell", "6400", "0.001"),
                ],
                "reset": True,
            },
            {**SAID, "recent_trades": [trade(4429282, "0.028235", "2.203", "buy", "2020-11-01T04:22:15.117Z")]},
            {
                **SAID,
                "order_books": [
                    level("buy", "0.0281", "48.541"),
                    level("sell", "6400", "0"),
                    level("sell", "0.0283", "1"),
                ],
            },
            {**SAID, "order_books": [level("buy", "0.0165", "0"), level("buy", "0", "0")], "reset": False},
        ]
    },
    trades=(
        ("ETH-BTC", "0.028229", "3.117", "buy", 4429182, "2020-11-01T03:59:06.277Z"),
        ("ETH-BTC", "0.028227", "1.793", "sell", 4429183, "2020-11-01T03:59:14.528Z"),
        ("ETH-BTC", "0.028235", "2.203", "buy", 4429282, "2020-11-01T04:22:15.117Z"),
    ),
    updates=3,
    books={"ETH-BTC": ({"0.0281": "48.541"}, {"0.0283": "1"})},
)
