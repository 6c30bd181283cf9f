"""Independent Reserve: two lists whose pairs are the listings, trades by pair, and orders one by one beside them."""

from __future__ import annotations

from typing import Final

from collector.older import Recording

ORDER: Final = {"OrderType": "LimitOffer", "OrderGuid": "22a72137-9829-4e6c-b265-a38714256877"}

RECORDING: Final = Recording(
    of="https://github.com/bmoscon/cryptofeed/blob/master/cryptofeed/exchanges/independent_reserve.py",
    at=1643578106,
    lists={
        "https://api.independentreserve.com/Public/GetValidPrimaryCurrencyCodes": ["Xbt", "Eth"],
        "https://api.independentreserve.com/Public/GetValidSecondaryCurrencyCodes": ["Aud", "Usd"],
    },
    listed={"xbt-aud": "BTC/AUD", "xbt-usd": "BTC/USD", "eth-aud": "ETH/AUD", "eth-usd": "ETH/USD"},
    connections={
        "wss://websockets.independentreserve.com": [
            {"Data": ["orderbook-xbt", "ticker-eth-aud"], "Time": 1643578106000, "Event": "Subscriptions"},
            {
                "Channel": "ticker-eth-aud",
                "Nonce": 78,
                "Data": {
                    "TradeGuid": "6d1c2e90-592a-409c-a8d8-58b2d25e0b0b",
                    "Pair": "eth-aud",
                    "TradeDate": "2022-01-31T19:28:26.5525730+11:00",
                    "Price": 3650.81,
                    "Volume": 0.543,
                    "BidGuid": "0430e003-c35e-410e-85f5-f0bb5c40193b",
                    "OfferGuid": "559c1dd2-e681-4efc-b49b-14a07c069de4",
                    "Side": "Sell",
                },
                "Time": 1643578106584,
                "Event": "Trade",
            },
            {
                "Channel": "orderbook-xbt",
                "Nonce": 65606,
                "Data": {**ORDER, "Price": {"aud": 51833.41, "usd": 37191.23}, "Volume": 0.09},
                "Time": 1643931382903,
                "Event": "NewOrder",
            },
            {
                "Channel": "orderbook-xbt",
                "Nonce": 65607,
                "Data": {**ORDER, "Volume": 0.01},
                "Time": 1643931382904,
                "Event": "OrderChanged",
            },
            {
                "Channel": "orderbook-xbt",
                "Nonce": 65608,
                "Data": ORDER,
                "Time": 1643931382905,
                "Event": "OrderCanceled",
            },
            {"Time": 1643578107000, "Event": "Heartbeat"},
        ]
    },
    trades=(("eth-aud", "3650.81", "0.543", "sell", 0, "2022-01-31T08:28:26.552573Z"),),
)
