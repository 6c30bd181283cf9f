"""Massive, Polygon.io until October 2025: consolidated trades and quotes of shares and funds of the United States."""

from __future__ import annotations

from typing import Final

from alphapulse.domain.asset_class import AssetClass
from alphapulse.domain.instruments import ListingStatus
from collector_service.compiler import compile_source
from collector_service.spec import (
    Channel,
    Choice,
    Const,
    Dialect,
    Endpoints,
    Heartbeat,
    Instruments,
    Limits,
    Line,
    Millis,
    Quote,
    Security,
    SourceKind,
    SourceSpec,
    Subscribe,
    Trade,
    Verification,
)

_KINDS: Final = {
    **dict.fromkeys(("CS", "ADRC", "GDR", "NYRS", "OS"), AssetClass.EQUITY),
    **dict.fromkeys(("ETF", "ETN", "ETV", "ETS"), AssetClass.ETF),
}
_KEY: Final = "{secret:MASSIVE_API_KEY}"
_REFUSED: Final = ("auth_failed", "auth_timeout", "max_connections", "error")

SPEC: Final = SourceSpec(
    name="MASSIVE",
    title="Massive (Polygon.io)",
    kind=SourceKind.TRADITIONAL,
    documentation="https://massive.com/docs/websocket/stocks/overview",
    read_on="2026-11-30",
    terms="With a paid plan, for the subscriber's own use; redistribution is not allowed.",
    verified=frozenset({Verification.FIXTURE}),
    endpoints=Endpoints(
        "wss://socket.massive.com", "https://api.massive.com", headers=(("Authorization", f"Bearer {_KEY}"),)
    ),
    # An account has one connection.
    limits=Limits(50_000, 5.0, 5.0),
    heartbeat=Heartbeat(stale_after_s=24 * 3600.0),
    aliases=("POLYGON_IO", "POLYGON"),
    dialects=(
        Dialect(
            name="stocks",
            kind=(("ev", "status"),),
            many=True,
            routes={
                "T": Trade(symbol="sym", price="p", size="s", trade_id="i", time=Millis("t")),
                # An empty side is a price of 0, or absent.
                "Q": Quote(symbol="sym", bid="bp?", bid_size="bs?", ask="ap?", ask_size="as?", time=Millis("t")),
            },
            silent=frozenset({"status:connected", "status:success"}),
            errors=frozenset(f"status:{one}" for one in _REFUSED),
            subscribe=Subscribe(
                first=({"action": "auth", "params": _KEY},),
                after="status:auth_success",
                message={"action": "subscribe", "params": "{topics}"},
                channels={Channel.TRADES: "T.{symbol}", Channel.QUOTES: "Q.{symbol}"},
                at_once=500,
            ),
            instruments=(
                Instruments(
                    path="/v3/reference/tickers?market=stocks&active=true&limit=1000",
                    each="results",
                    next="next_url",
                    lines=(
                        Line(
                            symbol="ticker",
                            quote="currency_name",
                            status=Choice("active", {"true": ListingStatus.TRADING}),
                            security=Security(
                                name="name",
                                kind=Choice("type", dict(_KINDS)),
                                mic="primary_exchange",
                                country=Const("US"),
                                share_class_figi="share_class_figi",
                                composite_figi="composite_figi",
                            ),
                            where={"type": tuple(_KINDS)},
                        ),
                    ),
                ),
            ),
            path="/stocks",
        ),
    ),
    notes=(
        "Preferred shares, warrants, units, rights and funds that are not traded on exchanges are passed over.",
        "Sizes are shares; of a trade of less than one share the whole part is read.",
        "Without trade or quote a day long, as on a weekend, the connection is made anew.",
    ),
)
MASSIVE: Final = compile_source(SPEC)
