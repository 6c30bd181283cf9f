"""Huobi's perpetuals: frames of gzip, every message a whole book; one that is delisted is still sent, without levels."""

from __future__ import annotations

import gzip
import json
from typing import Any, Final

from collector.older import Recording


def _packed(frame: dict[str, Any]) -> str:
    return repr(gzip.compress(json.dumps(frame).encode()))


def _book(symbol: str, number: int, **sides: Any) -> str:
    channel = f"market.{symbol}.depth.step0"
    tick = {"mrid": 148488583270 + number, "id": 1618678262, "ts": 1618678262500, "version": 1618678262 + number}
    return _packed({"ch": channel, "ts": 1618678262510, "tick": {**tick, **sides, "ch": channel}})


def _info(code: str, size: float, tick: float, status: int = 1) -> dict[str, Any]:
    return {
        "symbol": code.split("-")[0],
        "contract_code": code,
        "contract_size": size,
        "price_tick": tick,
        "settlement_date": "1618704000000",
        "create_date": "20200325",
        "contract_status": status,
    }


RECORDING: Final = Recording(
    of="https://huobiapi.github.io/docs/coin_margined_swap/v1/en/",
    at=1618678262,
    lists={
        "https://api.hbdm.com/swap-api/v1/swap_contract_info": {
            "status": "ok",
            "data": [_info("BTC-USD", 100.0, 0.1), _info("AKRO-USD", 10.0, 0.00001, 0)],
        },
        "https://api.hbdm.com/linear-swap-api/v1/swap_contract_info": {
            "status": "ok",
            "data": [_info("BTC-USDT", 0.001, 0.1)],
        },
    },
    listed={"BTC-USD": "BTC/USD perpetual", "AKRO-USD": "AKRO/USD perpetual", "BTC-USDT": "BTC/USDT perpetual"},
    ticks={"BTC-USD": "0.1", "AKRO-USD": "0.00001"},
    lots={"BTC-USDT": "1"},
    connections={
        "wss://api.hbdm.com/swap-ws": [
            _packed({"id": "1", "status": "ok", "subbed": "market.BTC-USD.depth.step0", "ts": 1618678262000}),
            _book("BTC-USD", 1, bids=[[60000, 12], [59999.9, 3]], asks=[[60000.1, 625]]),
            _book("AKRO-USD", 1),
            _book("BTC-USD", 2, bids=[[60000, 12]], asks=[[60000.1, 600], [60000.2, 1]]),
            _packed({"ping": 1618678262600}),
        ],
        "wss://api.hbdm.com/linear-swap-ws": [
            _packed(
                {
                    "ch": "market.BTC-USDT.trade.detail",
                    "ts": 1618678262965,
                    "tick": {
                        "id": 100065340982,
                        "ts": 1618678262140,
                        "data": [
                            {
                                "id": 1000653409820000,
                                "amount": 4,
                                "price": 60000.3,
                                "direction": "sell",
                                "ts": 1618678262140,
                            }
                        ],
                    },
                }
            )
        ],
    },
    trades=(("BTC-USDT", "60000.3", "4", "sell", 1000653409820000, "2021-04-17T16:51:02.14Z"),),
    updates=2,
    books={"BTC-USD": ({"60000": "12"}, {"60000.1": "600", "60000.2": "1"})},
    replies=('{"pong":1618678262600}',),
)
