"""Phemex: spot pairs, and contracts of two generations. Those of the first, and spot, are sent as whole numbers of a scale; those of the
second (`PerpetualV2`) have channels of their own and plain numbers.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from alphapulse.domain.asset_class import AssetClass
from alphapulse.domain.instruments import ListingStatus
from collector_service.compiler import compile_source
from collector_service.spec import (
    NUMBER,
    SYMBOL,
    TOPIC,
    BookSnapshot,
    BookUpdate,
    Channel,
    Choice,
    Const,
    Contract,
    Decimals,
    Dialect,
    Endpoints,
    Has,
    Heartbeat,
    Instruments,
    Limits,
    Line,
    Nanos,
    ScaledBy,
    Side,
    SnapshotUpdates,
    SourceKind,
    SourceSpec,
    Subscribe,
    Text,
    Trade,
    Verification,
    sides,
)

_SECOND_SINCE: Final = datetime(2022, 11, 1, tzinfo=UTC)
_STATUS: Final = Choice("status", {"Listed": ListingStatus.TRADING, "Delisted": ListingStatus.DELISTED})
_TRADE: Final = Trade(
    symbol="^symbol",
    price=ScaledBy("[2]", "price_scale"),
    size=ScaledBy("[3]", "size_scale"),
    side=Side("[1]", buy="Buy", sell="Sell"),
    time=Nanos("[0]"),
    each="trades",
    newest_first=True,
)
_PLAIN_TRADE: Final = replace(_TRADE, price="[2]", size="[3]", each="trades_p")


def _book(path: str, **amounts: Any) -> dict[str, Any]:
    levels = sides(f"{path}.bids", f"{path}.asks", **amounts)
    return {"symbol": "symbol", "levels": levels, "last": "sequence", "time": Nanos("timestamp")}


_SCALED: Final = _book("book", price=ScaledBy("[0]", "price_scale"), size=ScaledBy("[1]", "size_scale"))
_PLAIN: Final = _book("orderbook_p")


def _line(kind: str, **more: Any) -> Line:
    return Line(
        symbol="symbol",
        base=Text("displaySymbol", split=(" / ", 0)),
        quote="quoteCurrency",
        status=_STATUS,
        tick=("tickSize", Decimals("pricePrecision")),
        where={"type": kind},
        **more,
    )


_SPOT: Final = _line(
    "Spot",
    lot=Decimals("baseQtyPrecision"),
    extras={"price_scale": Const("8"), "size_scale": Const("8"), "generation": Const("")},
)
_FIRST: Final = _line(
    "Perpetual",
    lot="lotSize",
    max_size="maxOrderQty",
    contract=Contract(
        kind=AssetClass.PERPETUAL,
        settle="settleCurrency",
        size="contractSize",
        inverse=Choice("contractUnderlyingAssets", {"USD": True}),
    ),
    extras={"price_scale": "priceScale", "size_scale": Const("0"), "generation": Const("")},
)
_SECOND: Final = _line(
    "PerpetualV2",
    lot="qtyStepSize",
    max_size="maxOrderQtyRq",
    min_notional="minOrderValueRv",
    contract=Contract(kind=AssetClass.PERPETUAL, settle="settleCurrency", size=Const("1")),
    extras={"generation": Const("_p")},
)
_SUBSCRIBE: Final = Subscribe(
    message={"id": NUMBER, "method": TOPIC, "params": [SYMBOL]},
    channels={Channel.TRADES: "trade{generation}.subscribe", Channel.BOOKS: "orderbook{generation}.subscribe"},
    # To unsubscribe from one book is to unsubscribe from all; a subscription sends the snapshot again.
    resync=({"id": NUMBER, "method": TOPIC, "params": [SYMBOL]},),
)
_OF_FIRST: Final[dict[str, Any]] = {
    "trades:incremental": _TRADE,
    "book:snapshot": BookSnapshot(**_SCALED),
    "book:incremental": BookUpdate(**_SCALED),
}

SPEC: Final = SourceSpec(
    name="PHEMEX",
    title="Phemex",
    kind=SourceKind.EXCHANGE,
    documentation="https://github.com/phemex/phemex-api-docs/blob/master/Public-Hedged-Perpetual-API.md",
    read_on="2026-11-30",
    terms="Public market data, free to read; redistribution needs Phemex's consent.",
    verified=frozenset({Verification.RECORDING, Verification.FIXTURE}),
    endpoints=Endpoints(
        "wss://ws.phemex.com",
        "https://api.phemex.com",
        "wss://testnet-api.phemex.com",
        "https://testnet-api.phemex.com",
    ),
    # 20 subscriptions a connection and 20 messages a second; 5 connections; 100 requests a minute.
    limits=Limits(10, 20.0, 1.5),
    # The venue closes after 30 seconds without a ping.
    heartbeat=Heartbeat(stale_after_s=30.0, ping='{"id":0,"method":"server.ping","params":[]}', interval_s=5.0),
    fiat=frozenset({"BRL", "EUR", "GBP", "TRY", "USD"}),
    books=SnapshotUpdates(),
    dialects=(
        Dialect(
            name="first generation",
            kind=((Has("book"), "type"), (Has("trades"), "type"), (Has("kline"),), (Has("error"),), (Has("result"),)),
            routes={"trades:snapshot": _TRADE, **_OF_FIRST},
            silent=frozenset({"kline", "result"}),
            subscribe=_SUBSCRIBE,
            instruments=(
                Instruments(path="/exchange/public/cfg/v2/products", each="data.products", lines=(_SPOT, _FIRST)),
            ),
            path="/ws",
            valid_to=_SECOND_SINCE,
        ),
        Dialect(
            name="both generations",
            kind=(
                (Has("orderbook_p"), "type"),
                (Has("trades_p"), "type"),
                (Has("book"), "type"),
                (Has("trades"), "type"),
                (Has("error"),),
                (Has("result"),),
            ),
            routes={
                **_OF_FIRST,
                "trades_p:incremental": _PLAIN_TRADE,
                "orderbook_p:snapshot": BookSnapshot(**_PLAIN),
                "orderbook_p:incremental": BookUpdate(**_PLAIN),
            },
            # Past trades are history, not events of now.
            silent=frozenset({"trades:snapshot", "trades_p:snapshot", "result"}),
            subscribe=_SUBSCRIBE,
            instruments=(
                Instruments(
                    path="/public/products",
                    each=("data.products", "data.perpProductsV2"),
                    lines=(_SPOT, _FIRST, _SECOND),
                ),
            ),
            valid_from=_SECOND_SINCE,
        ),
    ),
    notes=(
        "Sizes of contracts of the first generation are contracts, of the size that the list tells; of the second they are base units.",
        "Trades have no number; there is no channel of quotes that has sizes.",
    ),
)
PHEMEX: Final = compile_source(SPEC)
