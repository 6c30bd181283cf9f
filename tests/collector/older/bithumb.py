"""Bithumb, version 1.2: the list is that of the tickers, with a date among them; times are Korea's."""

from __future__ import annotations

from typing import Final

from collector.older import Recording

TICKER: Final = {"opening_price": "0.05153399", "closing_price": "0.05145144", "units_traded": "6.5"}

RECORDING: Final = Recording(
    of="https://apidocs.bithumb.com/v1.2.0/reference/빗썸-거래소-정보-수신",
    at=1643578106,
    lists={
        "https://api.bithumb.com/public/ticker/ALL_BTC": {
            "status": "0000",
            "data": {"ETH": TICKER, "date": "1643578100000"},
        },
        "https://api.bithumb.com/public/ticker/ALL_KRW": {
            "status": "0000",
            "data": {"BTC": TICKER, "ETH": TICKER, "GONE": [], "date": "1643578100000"},
        },
    },
    listed={"ETH_BTC": "ETH/BTC", "BTC_KRW": "BTC/KRW", "ETH_KRW": "ETH/KRW"},
    connections={
        "wss://pubwss.bithumb.com/pub/ws": [
            {"status": "0000", "resmsg": "Connected Successfully"},
            {"status": "0000", "resmsg": "Filter Registered Successfully"},
            {
                "type": "transaction",
                "content": {
                    "list": [
                        {
                            "symbol": "BTC_KRW",
                            "buySellGb": "1",
                            "contPrice": "10579000",
                            "contQty": "0.01",
                            "contAmt": "105790.00",
                            "contDtm": "2020-01-29 12:24:18.830039",
                            "updn": "dn",
                        },
                        {
                            "symbol": "ETH_BTC",
                            "buySellGb": "2",
                            "contPrice": "0.05145144",
                            "contQty": "2",
                            "contAmt": "0.10290288",
                            "contDtm": "2020-01-30 08:00:00.000000",
                            "updn": "up",
                        },
                    ]
                },
            },
        ]
    },
    trades=(
        ("BTC_KRW", "10579000", "0.01", "sell", 0, "2020-01-29T03:24:18.830039Z"),
        ("ETH_BTC", "0.05145144", "2", "buy", 0, "2020-01-29T23:00:00Z"),
    ),
)
