"""Delta Exchange: whole books, trades of before at a subscription, and in the list a future without a day and an option without a strike."""

from __future__ import annotations

from typing import Any, Final

from collector.older import Recording

LAUNCHED: Final = {"launch_time": "2020-11-14T11:55:05Z", "trading_status": "operational", "state": "live"}


def product(symbol: str, kind: str, tick: str, **more: Any) -> dict[str, Any]:
    assets = {
        "underlying_asset": {"symbol": "BTC", "id": 1},
        "quoting_asset": {"symbol": "USDT"},
        "settling_asset": {"symbol": "USDT"},
    }
    told = {
        "symbol": symbol,
        "contract_type": kind,
        "tick_size": tick,
        "contract_value": "0.001",
        "notional_type": "vanilla",
    }
    return {**LAUNCHED, **assets, **told, "strike_price": None, "settlement_time": None, "product_specs": None, **more}


RECORDING: Final = Recording(
    of="https://github.com/bmoscon/cryptofeed/blob/master/cryptofeed/exchanges/delta.py",
    at=1638132618,
    lists={
        "https://api.delta.exchange/v2/products": {
            "success": True,
            "meta": {"after": None, "before": None, "limit": 100, "total_count": 81},
            "result": [
                product(
                    "BTC_USDT",
                    "spot",
                    "0.5",
                    settling_asset=None,
                    contract_value="1",
                    product_specs={"min_order_size": 0.0001, "max_order_size": 2000, "underlying_precision": 6},
                ),
                product("BTCUSDT", "perpetual_futures", "0.5"),
                product(
                    "BTCUSD",
                    "perpetual_futures",
                    "0.5",
                    quoting_asset={"symbol": "USD"},
                    settling_asset={"symbol": "BTC"},
                    notional_type="inverse",
                    contract_value="1",
                ),
                product("BTCUSDT_31Dec", "futures", "0.5", settlement_time="2021-12-31T12:00:00Z"),
                product(
                    "C-BTC-50000-311221",
                    "call_options",
                    "0.5",
                    settlement_time="2021-12-31T12:00:00Z",
                    strike_price="50000",
                ),
                product(
                    "P-BTC-50000-311221",
                    "put_options",
                    "0.5",
                    settlement_time="2021-12-31T12:00:00Z",
                    strike_price="50000",
                ),
                product(
                    "MV-BTC-54500-291121",
                    "move_options",
                    "0.5",
                    settlement_time="2021-11-29T12:00:00Z",
                    strike_price="54500",
                ),
                product("BTCUSDT_SOON", "futures", "0.5"),
                product("C-BTC-SOON", "call_options", "0.5", settlement_time="2021-12-31T12:00:00Z"),
                product("IRS-BN-BTCUSDT", "interest_rate_swaps", "0.0001"),
                product("BTC-SPREAD", "spreads", "0.5"),
            ],
        }
    },
    listed={
        "BTC_USDT": "BTC/USDT",
        "BTCUSDT": "BTC/USDT perpetual",
        "BTCUSD": "BTC/USD perpetual",
        "BTCUSDT_31Dec": "BTC/USDT 2021-12-31",
        "C-BTC-50000-311221": "BTC/USDT 2021-12-31 50000 call",
        "P-BTC-50000-311221": "BTC/USDT 2021-12-31 50000 put",
        "MV-BTC-54500-291121": "BTC-MOVE/USDT 2021-11-29",
    },
    unlisted=("contract.expiry", "contract.strike"),
    ticks={"BTCUSDT": "0.5"},
    lots={"BTC_USDT": "0.000001"},
    connections={
        "wss://socket.delta.exchange": [
            {"channels": [{"name": "l2_orderbook", "symbols": ["BTC_USDT"]}], "type": "subscriptions"},
            {
                "type": "all_trades_snapshot",
                "symbol": "BTCUSDT",
                "trades": [
                    {
                        "buyer_role": "maker",
                        "seller_role": "taker",
                        "size": 53,
                        "price": "54899.5",
                        "timestamp": 1638132610000001,
                    }
                ],
            },
            {
                "buyer_role": "taker",
                "price": "54900.0",
                "product_id": 8320,
                "seller_role": "maker",
                "size": "0.000695",
                "symbol": "BTC_USDT",
                "timestamp": 1638132618257226,
                "type": "all_trades",
            },
            {
                "buy": [
                    {"depth": "0.007755", "limit_price": "55895.5", "size": "0.007755"},
                    {"depth": "1.007755", "limit_price": "55895", "size": "1"},
                ],
                "last_sequence_no": 1638135705586546,
                "last_updated_at": 1638135705559000,
                "product_id": 8320,
                "sell": [{"depth": "0.008855", "limit_price": "55901.5", "size": "0.008855"}],
                "symbol": "BTC_USDT",
                "timestamp": 1638135705586546,
                "type": "l2_orderbook",
            },
            {
                "buy": [{"depth": "0.007755", "limit_price": "55895.5", "size": "0.007755"}],
                "last_sequence_no": 1638135706586546,
                "sell": [{"depth": "3", "limit_price": "55902", "size": "3"}],
                "symbol": "BTC_USDT",
                "timestamp": 1638135706586546,
                "type": "l2_orderbook",
            },
            {
                "candle_start_time": 1638134700000000,
                "close": None,
                "symbol": "BTC_USDT",
                "type": "candlestick_1m",
                "volume": 0,
            },
            {
                "candle_start_time": 1638134700000000,
                "close": None,
                "symbol": "BTC_USDT",
                "type": "candlestick_15m",
                "volume": 0,
            },
        ]
    },
    trades=(
        ("BTCUSDT", "54899.5", "53", "sell", 0, "2021-11-28T20:50:10.000001Z"),
        ("BTC_USDT", "54900.0", "0.000695", "buy", 0, "2021-11-28T20:50:18.257226Z"),
    ),
    updates=2,
    books={"BTC_USDT": ({"55895.5": "0.007755"}, {"55902": "3"})},
)
