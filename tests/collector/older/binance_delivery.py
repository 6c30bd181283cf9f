"""Binance's COIN-M futures: books that hang together by the last number of the update before, sizes in contracts."""

from __future__ import annotations

from typing import Any, Final

from collector.older import Recording


def _symbol(name: str, kind: str, delivery: int, size: int, tick: str) -> dict[str, Any]:
    return {
        "symbol": name,
        "pair": "BTCUSD",
        "contractType": kind,
        "deliveryDate": delivery,
        "onboardDate": 1597042800000,
        "contractStatus": "TRADING",
        "contractSize": size,
        "marginAsset": "BTC",
        "maintMarginPercent": "2.5000",
        "requiredMarginPercent": "5.0000",
        "baseAsset": "BTC",
        "quoteAsset": "USD",
        "pricePrecision": 1,
        "quantityPrecision": 0,
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "equalQtyPrecision": 4,
        "triggerProtect": "0.0500",
        "underlyingType": "COIN",
        "underlyingSubType": [],
        "filters": [
            {"minPrice": "1000", "maxPrice": "4520958", "filterType": "PRICE_FILTER", "tickSize": tick},
            {"stepSize": "1", "filterType": "LOT_SIZE", "maxQty": "1000000", "minQty": "1"},
            {"stepSize": "1", "filterType": "MARKET_LOT_SIZE", "maxQty": "60000", "minQty": "1"},
        ],
        "orderTypes": ["LIMIT", "MARKET", "STOP"],
        "timeInForce": ["GTC", "IOC", "FOK", "GTX"],
    }


def _said(symbol: str, stream: str, **data: Any) -> dict[str, Any]:
    return {"stream": f"{symbol.lower()}@{stream}", "data": {"s": symbol, "ps": "BTCUSD", **data}}


def _depth(first: int, last: int, before: int, bids: Any, asks: Any) -> dict[str, Any]:
    numbers = {"U": first, "u": last, "pu": before}
    return _said(
        "BTCUSD_PERP", "depth@100ms", e="depthUpdate", E=1626992741037, T=1626992741024, **numbers, b=bids, a=asks
    )


RECORDING: Final = Recording(
    of="https://binance-docs.github.io/apidocs/delivery/en/#diff-book-depth-streams",
    at=1626992740,
    lists={
        "https://dapi.binance.com/dapi/v1/exchangeInfo": {
            "rateLimits": [],
            "exchangeFilters": [],
            "symbols": [
                _symbol("BTCUSD_PERP", "PERPETUAL", 4133404800000, 100, "0.1"),
                _symbol("BTCUSD_210924", "CURRENT_QUARTER", 1632470400000, 100, "0.1"),
            ],
            "timezone": "UTC",
        }
    },
    listed={"BTCUSD_PERP": "BTC/USD perpetual", "BTCUSD_210924": "BTC/USD 2021-09-24"},
    ticks={"BTCUSD_PERP": "0.1"},
    lots={"BTCUSD_PERP": "1"},
    asked={
        "https://dapi.binance.com/dapi/v1/depth?symbol=BTCUSD_PERP&limit=1000": {
            "lastUpdateId": 1005,
            "E": 1626992741000,
            "T": 1626992740990,
            "symbol": "BTCUSD_PERP",
            "pair": "BTCUSD",
            "bids": [["32000.0", "100"], ["31999.9", "7"]],
            "asks": [["32000.1", "50"]],
        }
    },
    connections={
        "wss://dstream.binance.com/stream?streams=btcusd_perp@aggTrade/btcusd_perp@depth@100ms/btcusd_perp@bookTicker": [
            # The first is older than the answer, the second holds its number.
            _depth(990, 1001, 980, [["31000.0", "1"]], []),
            _depth(1002, 1010, 1001, [["31999.9", "0"], ["31999.8", "3"]], []),
            _said(
                "BTCUSD_PERP",
                "bookTicker",
                e="bookTicker",
                u=1011,
                b="32000.0",
                B="90",
                a="32000.1",
                A="50",
                T=1626992741100,
                E=1626992741104,
            ),
            # Numbers of one symbol are not without holes: those of all of them count on.
            _depth(1020, 1031, 1010, [], [["32000.1", "0"], ["32000.2", "4"]]),
            _said(
                "BTCUSD_PERP",
                "aggTrade",
                e="aggTrade",
                E=1626992741300,
                a=424951,
                p="32000.2",
                q="4",
                f=606073,
                l=606073,
                T=1626992741295,
                m=False,
            ),
            _said("BTCUSD_210924", "forceOrder", e="forceOrder", E=1626992741300, o={"s": "BTCUSD_210924"}),
            _said("BTCUSD_PERP", "markPrice", e="markPriceUpdate", E=1626992742000, p="32000.15", r="0.0001", T=0),
            _said("BTCUSD", "indexPrice@1s", e="indexPriceUpdate", E=1626992742000, i="BTCUSD", p="32000.11"),
            _said("BTCUSD_PERP", "kline_1m", e="kline", E=1626992742000, k={"s": "BTCUSD_PERP"}),
        ]
    },
    trades=(("BTCUSD_PERP", "32000.2", "4", "buy", 424951, "2021-07-22T22:25:41.295Z"),),
    quotes=(("BTCUSD_PERP", "32000", "90", "32000.1", "50", "2021-07-22T22:25:41.1Z"),),
    updates=3,
    books={"BTCUSD_PERP": ({"32000.0": "100", "31999.8": "3"}, {"32000.2": "4"})},
)
