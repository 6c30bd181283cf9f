"""Binance's USD-M futures: perpetuals and futures that settle in what they are quoted in."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from alphapulse.domain.asset_class import AssetClass
from alphapulse.domain.instruments import ListingStatus
from collector_service.compiler import compile_source
from collector_service.sources.binance import SPEC as SPOT
from collector_service.spec import (
    BookSnapshot,
    BookUpdate,
    Channel,
    Choice,
    Const,
    Contract,
    Endpoints,
    Instruments,
    Limits,
    Line,
    Millis,
    PreviousId,
    Quote,
    RestSnapshot,
    SourceSpec,
    Trade,
    Verification,
    sides,
)

_SPLIT_SINCE: Final = datetime(2026, 4, 23, tzinfo=UTC)
_SPOT: Final = SPOT.dialects[-1]
_SUBSCRIBE: Final = _SPOT.subscribe
assert _SUBSCRIBE is not None
KINDS: Final = {
    # A perpetual that waits for its trading has no kind yet; a future is listed with one.
    "": AssetClass.PERPETUAL,
    "PERPETUAL": AssetClass.PERPETUAL,
    "PERPETUAL_DELIVERING": AssetClass.PERPETUAL,
    "TRADIFI_PERPETUAL": AssetClass.PERPETUAL,
    **dict.fromkeys(
        (
            "CURRENT_MONTH",
            "NEXT_MONTH",
            "CURRENT_QUARTER",
            "NEXT_QUARTER",
            "CURRENT_QUARTER DELIVERING",
            "NEXT_QUARTER DELIVERING",
        ),
        AssetClass.FUTURE,
    ),
}
STATUS: Final = {
    "TRADING": ListingStatus.TRADING,
    "PENDING_TRADING": ListingStatus.PENDING,
    "DELIVERED": ListingStatus.DELISTED,
    "CLOSE": ListingStatus.DELISTED,
}


def line(status: str, **contract: Any) -> Line:
    """A line of the list, here and in COIN-M's."""
    return replace(
        _SPOT.instruments[0].lines[0],
        status=Choice(status, STATUS),
        min_notional="filters[filterType=MIN_NOTIONAL].notional",
        contract=Contract(
            kind=Choice("contractType", KINDS), settle="marginAsset", expiry=Millis("deliveryDate"), **contract
        ),
    )


LEGACY: Final = replace(
    _SPOT,
    name="combined streams",
    routes={
        "aggTrade": _SPOT.routes["aggTrade"],
        "bookTicker": Quote(
            symbol="data.s", bid="data.b", bid_size="data.B", ask="data.a", ask_size="data.A", time=Millis("data.T")
        ),
        "depth": BookUpdate(
            symbol="data.s",
            levels=sides("data.b", "data.a"),
            first="data.U",
            last="data.u",
            previous="data.pu",
            time=Millis("data.T"),
        ),
    },
    snapshot=RestSnapshot(
        path="/fapi/v1/depth?symbol={symbol}&limit=1000",
        record=BookSnapshot(levels=sides("bids", "asks"), last="lastUpdateId", time=Millis("T")),
    ),
    subscribe=replace(_SUBSCRIBE, channels={**_SUBSCRIBE.channels, Channel.TRADES: "{lower}@aggTrade"}, at_once=100),
    instruments=(Instruments(path="/fapi/v1/exchangeInfo", each="symbols", lines=(line("status", size=Const("1")),)),),
    valid_to=_SPLIT_SINCE,
)
"""The dialect of before the split, which COIN-M still speaks."""
_trade: Final = _SPOT.routes["trade"]
assert isinstance(_trade, Trade)

SPEC: Final = SourceSpec(
    name="BINANCE_FUTURES",
    title="Binance USD-M futures",
    kind=SPOT.kind,
    documentation="https://developers.binance.com/docs/derivatives/usds-margined-futures/websocket-market-streams",
    read_on="2026-11-30",
    terms=SPOT.terms,
    verified=frozenset({Verification.RECORDING, Verification.FIXTURE}),
    endpoints=Endpoints(
        "wss://fstream.binance.com",
        "https://fapi.binance.com",
        "wss://fstream.binancefuture.com",
        "https://testnet.binancefuture.com",
    ),
    # 1,024 streams a connection, three a symbol; 10 messages/s; a snapshot of 1,000 levels costs 20 of the 2,400 a minute that USD-M and
    # COIN-M share.
    limits=Limits(300, 8.0, 0.9, connection_lifetime_s=23.5 * 3600),
    heartbeat=SPOT.heartbeat,
    fiat=SPOT.fiat,
    aliases=("BINANCE_USDM",),
    books=PreviousId(),
    dialects=(
        LEGACY,
        replace(
            LEGACY,
            name="combined streams, public",
            routes={
                **{kind: route for kind, route in LEGACY.routes.items() if kind != "aggTrade"},
                # Fills of the insurance fund and numbers that were spent without a fill (NA) come among the market's own.
                "trade": replace(_trade, where={"data.X": "MARKET"}),
            },
            subscribe=replace(_SUBSCRIBE, at_once=100),
            path="/public/stream",
            valid_from=_SPLIT_SINCE,
            valid_to=_SPOT.valid_to,
        ),
    ),
    notes=(
        "Sizes are in the base.",
        "Since 2026-04-23 a connection has either what the matching engine sends (/public) or what is made of it (/market, aggTrade among it).",
        "The stream trade of /public is not in the documentation's table: single trades, where the older dialect has aggregates.",
    ),
)
BINANCE_FUTURES: Final = compile_source(SPEC)
