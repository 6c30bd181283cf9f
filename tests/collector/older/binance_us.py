"""Binance.US: spot, in combined streams; the book is asked for, and older updates are in it."""

from __future__ import annotations

from typing import Any, Final

from collector.older import Recording

MARKETS: Final = (("BTCUSD", "BTC", "USD", "0.01", "TRADING"), ("ETHBTC", "ETH", "BTC", "0.000001", "BREAK"))


def market(symbol: str, base: str, quote: str, tick: str, status: str) -> dict[str, Any]:
    return {
        "symbol": symbol,
        "status": status,
        "baseAsset": base,
        "baseAssetPrecision": 8,
        "quoteAsset": quote,
        "quotePrecision": 4,
        "quoteAssetPrecision": 4,
        "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET"],
        "icebergAllowed": True,
        "ocoAllowed": True,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": "100000.0000", "tickSize": tick},
            {"filterType": "PERCENT_PRICE", "multiplierUp": "5", "multiplierDown": "0.2", "avgPriceMins": 5},
            {"filterType": "LOT_SIZE", "minQty": "0.00000100", "maxQty": "9000.00000000", "stepSize": "0.00000100"},
            {"filterType": "MIN_NOTIONAL", "minNotional": "10.0000", "applyToMarket": True, "avgPriceMins": 5},
            {"filterType": "MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders": 5},
        ],
        "permissions": ["SPOT"],
    }


def exchange_info(*markets: tuple[str, str, str, str, str]) -> dict[str, Any]:
    symbols = [market(*one) for one in markets]
    return {"timezone": "UTC", "serverTime": 1633998512000, "rateLimits": [], "exchangeFilters": [], "symbols": symbols}


def snapshot() -> dict[str, Any]:
    """What was asked for after the first update."""
    return {
        "lastUpdateId": 160,
        "bids": [["57000.1000", "0.50000000"], ["57000.0000", "1.20000000"]],
        "asks": [["57010.0000", "0.25000000"]],
    }


def frames(symbol: str) -> list[dict[str, Any]]:
    """Four updates, of which the first is in the snapshot and the second begins in it; what else was subscribed to."""

    def said(stream: str, **data: Any) -> dict[str, Any]:
        return {"stream": f"{symbol.lower()}@{stream}", "data": {"s": symbol, **data}}

    def depth(first: int, last: int, bids: list[list[str]], asks: list[list[str]]) -> dict[str, Any]:
        return said("depth@100ms", e="depthUpdate", E=1633998512068, U=first, u=last, b=bids, a=asks)

    return [
        depth(150, 157, [["56000.0000", "9.00000000"]], []),
        depth(158, 162, [["57000.1000", "0.00000000"]], [["57009.0000", "0.10000000"]]),
        depth(163, 163, [], [["57010.0000", "0.00000000"]]),
        said("bookTicker", u=164, b="57000.0000", B="1.20000000", a="57009.0000", A="0.10000000"),
        said(
            "aggTrade",
            e="aggTrade",
            E=1633998512400,
            a=12345,
            p="57009.0000",
            q="0.01000000",
            f=100,
            l=105,
            T=1633998512398,
            m=False,
            M=True,
        ),
        said(
            "aggTrade",
            e="aggTrade",
            E=1633998512401,
            a=12346,
            p="57000.0000",
            q="0.20000000",
            f=106,
            l=106,
            T=1633998512399,
            m=True,
            M=True,
        ),
        said("kline_1m", e="kline", E=1633998512500, k={"s": symbol, "i": "1m", "o": "57000.0000", "x": False}),
        depth(164, 165, [["57000.0000", "1.00000000"]], []),
    ]


RECORDING: Final = Recording(
    of="https://docs.binance.us/#websocket-streams",
    at=1633998512,
    lists={"https://api.binance.us/api/v3/exchangeInfo": exchange_info(*MARKETS)},
    listed={"BTCUSD": "BTC/USD", "ETHBTC": "ETH/BTC"},
    ticks={"BTCUSD": "0.01", "ETHBTC": "0.000001"},
    lots={"BTCUSD": "0.000001"},
    asked={"https://api.binance.us/api/v3/depth?symbol=BTCUSD&limit=1000": snapshot()},
    connections={
        "wss://stream.binance.us:9443/stream?streams=btcusd@depth@100ms/btcusd@aggTrade/btcusd@bookTicker": frames(
            "BTCUSD"
        )
    },
    trades=(
        ("BTCUSD", "57009.0000", "0.01000000", "buy", 12345, "2021-10-12T00:28:32.398Z"),
        ("BTCUSD", "57000.0000", "0.20000000", "sell", 12346, "2021-10-12T00:28:32.399Z"),
    ),
    quotes=(("BTCUSD", "57000", "1.2", "57009", "0.1", None),),
    updates=4,
    books={"BTCUSD": ({"57000": "1"}, {"57009": "0.1"})},
)
