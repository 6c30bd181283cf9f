"""BitMEX. Levels of a book are named by numbers of the venue's; sizes are contracts, on spot units of 10**-n."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from alphapulse.domain.asset_class import AssetClass
from alphapulse.domain.instruments import ListingStatus
from collector_service.compiler import compile_source
from collector_service.spec import (
    TOPICS,
    BookSnapshot,
    BookUpdate,
    Channel,
    Choice,
    Const,
    Contract,
    Dialect,
    Endpoints,
    Has,
    Heartbeat,
    Instruments,
    Iso,
    Levels,
    Limits,
    Line,
    Quote,
    Scaled,
    ScaledBy,
    Side,
    SnapshotUpdates,
    SourceKind,
    SourceSpec,
    Subscribe,
    Trade,
    Verification,
)

_KINDS: Final = {
    "FFWCSX": AssetClass.PERPETUAL,
    "FFWCSF": AssetClass.PERPETUAL,
    "FFSCSX": AssetClass.PERPETUAL,
    "FFCCSX": AssetClass.FUTURE,
}
"""Perpetuals of coins, currencies and stocks, and futures. Not read: indices, calendar spreads, whose price may be below zero, and predictions."""
_DECIMALS: Final = range(13)


def _units(decimals: int) -> dict[str, str]:
    return {"underlyingToPositionMultiplier": f"1{'0' * decimals}"}


def _line(where: dict[str, Any], decimals: int = 0, **fields: Any) -> Line:
    return Line(
        symbol="symbol",
        base="underlying",
        quote="quoteCurrency",
        status=Choice(
            "state",
            {
                "Open": ListingStatus.TRADING,
                "Unlisted": ListingStatus.PENDING,
                "Settled": ListingStatus.DELISTED,
            },
        ),
        tick="tickSize",
        lot=Scaled("lotSize", decimals),
        min_size=Scaled("lotSize", decimals),
        max_size=Scaled("maxOrderQty", decimals),
        extras={"decimals": Const(str(decimals))},
        where=where,
        **fields,
    )


def _contract(where: dict[str, Any], **fields: Any) -> Line:
    contract = Contract(kind=Choice("typ", _KINDS), settle="settlCurrency", expiry=Iso("expiry"), **fields)
    return _line({"typ": tuple(_KINDS), **where}, contract=contract)


_SIZE: Final = ScaledBy("size", "decimals")
_TRADE: Final = Trade(
    symbol="symbol",
    price="price",
    size=_SIZE,
    side=Side("side", buy="Buy", sell="Sell"),
    time=Iso("timestamp"),
    each="data",
)
_QUOTE: Final = Quote(
    symbol="symbol",
    bid="bidPrice?",
    bid_size=ScaledBy("bidSize?", "decimals"),
    ask="askPrice?",
    ask_size=ScaledBy("askSize?", "decimals"),
    time=Iso("timestamp"),
    each="data",
)
_LEVELS: Final = Levels(
    path="data",
    symbol="symbol",
    id="id",
    side=Side("side", buy="Buy", sell="Sell"),
    price="price",
    size=_SIZE,
    # Since 2022.
    time=Iso("timestamp?"),
)
# Until 2023 a level that was told before had no price.
_TOLD: Final = replace(_LEVELS, price="price?", size=ScaledBy("size?", "decimals"))


def _change(levels: Levels) -> BookUpdate:
    return BookUpdate(symbol=Const(""), levels=(levels,))


SPEC: Final = SourceSpec(
    name="BITMEX",
    title="BitMEX",
    kind=SourceKind.EXCHANGE,
    documentation="https://www.bitmex.com/app/wsAPI",
    read_on="2026-11-30",
    terms="Public market data, free to read; redistribution needs BitMEX's consent.",
    verified=frozenset({Verification.RECORDING, Verification.FIXTURE}),
    endpoints=Endpoints(
        "wss://ws.bitmex.com",
        "https://www.bitmex.com",
        "wss://ws.testnet.bitmex.com",
        "https://testnet.bitmex.com",
    ),
    # Subscriptions are not limited; 30 requests a minute without a key, and 20 connections an hour.
    limits=Limits(200, 2.0, 0.4),
    heartbeat=Heartbeat(stale_after_s=30.0, ping="ping", interval_s=5.0),
    codes={"XBT": "BTC", "GWEI": "ETH", "LAMP": "SOL"},
    books=SnapshotUpdates(),
    dialects=(
        Dialect(
            name="realtime",
            kind=(("table", "action"), (Has("error"),), (Has("success"),), (Has("info"),)),
            routes={
                # The last trade of each, known by its time: numbers are UUIDs.
                "trade:partial": replace(_TRADE, repeats=True),
                "trade:insert": _TRADE,
                "quote:partial": _QUOTE,
                "quote:insert": _QUOTE,
                "orderBookL2:partial": BookSnapshot(symbol=Const(""), levels=(_LEVELS,)),
                "orderBookL2:insert": _change(_LEVELS),
                "orderBookL2:update": _change(_TOLD),
                "orderBookL2:delete": _change(replace(_TOLD, size=None)),
            },
            silent=frozenset({"success", "info"}),
            words=frozenset({"pong"}),
            subscribe=Subscribe(
                message={"op": "subscribe", "args": TOPICS},
                channels={
                    Channel.TRADES: "trade:{symbol}",
                    Channel.QUOTES: "quote:{symbol}",
                    Channel.BOOKS: "orderBookL2:{symbol}",
                },
                at_once=50,
                resync=tuple({"op": kind, "args": TOPICS} for kind in ("unsubscribe", "subscribe")),
            ),
            instruments=(
                Instruments(
                    path="/api/v1/instrument/active",
                    lines=(
                        _contract({"isInverse": "true"}, inverse=True, size=Const("1")),
                        *(_contract({"isQuanto": "false", **_units(n)}, size=Const(f"1e-{n}")) for n in _DECIMALS),
                        # What a contract of a quanto is worth is no amount of the base.
                        _contract({}),
                        *(_line({"typ": "IFXXXP", **_units(n)}, n) for n in _DECIMALS),
                    ),
                ),
            ),
            path="/realtime",
        ),
    ),
    notes=(
        "Sizes of derivatives are contracts: of an inverse one a unit of the quote, of a linear one what its terms say of the base.",
        "Sizes on spot are told in units of the base that the list defines, and carried in the base.",
        "A trade's number is a UUID, so it has none here.",
    ),
)
BITMEX: Final = compile_source(SPEC)
