"""The messages that an exchange of ccxt becomes, told as those of any venue: what follows a transport is the same for all sources."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from alphapulse.domain.asset_class import AssetClass
from alphapulse.domain.instruments import ListingStatus
from collector_service.emitter import Emitter
from collector_service.spec import (
    CHANNEL,
    BookSnapshot,
    Channel,
    Choice,
    Contract,
    Dialect,
    Hook,
    Instruments,
    Line,
    Millis,
    Quote,
    Side,
    Subscribe,
    Trade,
    sides,
)

MARKETS: Final = "/markets"
TRADES_LOST: Final = "TRADES_MISSED"
"""More trades than an answer holds came about between two requests."""
_LINE: Final[dict[str, Any]] = {
    "symbol": "name",
    "base": "base",
    "quote": "quote",
    "status": Choice("active", {"true": ListingStatus.TRADING, "": ListingStatus.TRADING}, ListingStatus.HALTED),
    "tick": "tick",
    "lot": "lot",
    "min_size": "min_size",
    "max_size": "max_size",
    "min_notional": "min_notional",
    "aliases": ("unified",),
    "extras": {"unified": "unified"},
}
_INVERSE: Final = Choice("inverse", {"true": True, "false": False}, False)


def _contract(kind: str, terms: Contract) -> Line:
    return Line(**_LINE, contract=terms, where={"type": kind})


INSTRUMENTS: Final = Instruments(
    path=MARKETS,
    lines=(
        Line(**_LINE, where={"type": "spot"}),
        _contract("swap", Contract(kind=AssetClass.PERPETUAL, settle="settle", size="size", inverse=_INVERSE)),
        _contract(
            "future",
            Contract(kind=AssetClass.FUTURE, settle="settle", size="size", inverse=_INVERSE, expiry=Millis("expiry")),
        ),
        _contract(
            "option",
            Contract(
                kind=AssetClass.OPTION,
                settle="settle",
                size="size",
                expiry=Millis("expiry"),
                strike="strike",
                right=Choice("right", {"call": "call", "put": "put"}),
            ),
        ),
    ),
)


def _lost(message: Any, out: Emitter) -> None:
    out.gaps.append((message["reason"], message["symbol"]))


def dialect_of(channels: Iterable[Channel]) -> Dialect:
    """The dialect of an exchange that gives these channels."""
    return Dialect(
        name="ccxt's unified structures",
        kind=(("kind",),),
        routes={
            "trades": Trade(
                symbol="^symbol",
                price="price",
                size="amount",
                side=Side("side?"),
                trade_id="id?",
                time=Millis("time?"),
                each="trades",
            ),
            "quote": Quote(
                symbol="symbol",
                bid="bid?",
                ask="ask?",
                bid_size="bid_size?",
                ask_size="ask_size?",
                time=Millis("time?"),
            ),
            "book": BookSnapshot(symbol="symbol", levels=sides("bids", "asks"), time=Millis("time?")),
            # What only the transport can know: a loss is no record.
            "lost": Hook(msgspec.json.decode, _lost),
        },
        subscribe=Subscribe(
            message={"channel": CHANNEL, "symbol": "{unified}"}, channels={one: one.value for one in channels}
        ),
        instruments=(INSTRUMENTS,),
    )
