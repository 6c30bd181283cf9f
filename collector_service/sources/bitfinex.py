"""Bitfinex. Its arrays are named by a number of the connection, told when a channel is subscribed to; the sign of an amount is its side.

A pair is `BTCUSD`, with a colon where a code is longer than three letters (`AAVE:USD`); in requests a `t` stands before it. A perpetual's codes
end with `F0`.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from alphapulse.domain.asset_class import AssetClass
from collector_service.compiler import compile_source
from collector_service.spec import (
    SYMBOL,
    TOPIC,
    BookSnapshot,
    BookUpdate,
    Channel,
    Const,
    Contract,
    Dialect,
    Endpoints,
    Heartbeat,
    Instruments,
    Join,
    Learn,
    Learned,
    Levels,
    Limits,
    Line,
    Magnitude,
    Match,
    Millis,
    Nested,
    Quote,
    SignedSide,
    SnapshotUpdates,
    SourceKind,
    SourceSpec,
    Subscribe,
    Told,
    Trade,
    Verification,
)

_CODES: Final = {
    "AAA": "TESTAAA", "ALG": "ALGO", "AMP": "AMPL", "ATO": "ATOM", "BBB": "TESTBBB", "BCHABC": "XEC", "BCHN": "BCH", "DAT": "DATA",
    "DOG": "MDOGE", "DSH": "DASH", "EDO": "PNT", "EUS": "EURS", "EUT": "EURT", "HTX": "HT", "IDX": "ID", "IOT": "IOTA", "IQX": "IQ",
    "LUNA": "LUNC", "LUNA2": "LUNA", "MNA": "MANA", "OMN": "OMNI", "PAS": "PASS", "QSH": "QASH", "QTM": "QTUM", "RBT": "RBTC",
    "SNG": "SNGLS", "STJ": "STORJ", "TERRAUST": "USTC", "TSD": "TUSD", "UDC": "USDC", "UST": "USDT", "VSY": "VSYS", "WAX": "WAXP",
    "WBT": "WBTC", "XCH": "XCHF", "YGG": "YEED", "YYW": "YOYOW", "ZBT": "ZB",
}  # fmt: skip
_LIMITS_SINCE: Final = datetime(2022, 1, 1, tzinfo=UTC)


def _trade(at: str = "", **fields: Any) -> Trade:
    amount = f"{at}[2]"
    return Trade(
        symbol=Learned("^[0]"),
        price=f"{at}[3]",
        size=Magnitude(amount),
        side=SignedSide(amount),
        trade_id=f"{at}[0]",
        time=Millis(f"{at}[1]"),
        **fields,
    )


def _levels(path: str, at: str = "") -> tuple[Levels, ...]:
    amount = f"{at}[2]"
    return (
        Levels(path=path, side=SignedSide(amount), price=f"{at}[0]", size=Magnitude(amount), gone={f"{at}[1]": "0"}),
    )


def _spot(pair: str, **rules: Any) -> Line:
    return Line(
        symbol=pair,
        base=Match(pair, "([^:]{3}(?=[^:]{3}$)|[^:]+(?=:)).+"),
        quote=Match(pair, ".*?([^:]{3}|(?<=:)[^:]+)"),
        aliases=(Join((Const("t"), pair)),),
        lot=Const("0.00000001"),
        **rules,
    )


def _perpetual(pair: str, **rules: Any) -> Line:
    return replace(
        _spot(pair, **rules),
        base=Match(pair, "(.+)F0:.+F0"),
        quote=Match(pair, ".+F0:(.+)F0"),
        contract=Contract(kind=AssetClass.PERPETUAL, settle=Match(pair, ".+F0:(.+)F0"), size=Const("1")),
    )


def _list(path: str, line: Line) -> Instruments:
    return Instruments(path=f"/v2/conf/{path}", each="[0]", lines=(line,))


_SIZES: Final = {"min_size": "[1][3]", "max_size": "[1][4]"}
_NOW: Final = Dialect(
    name="version 2",
    kind=(("event", "channel"), (Learned("[0]"), "[1]", Nested("[1]")), ("[1]",)),
    routes={
        **{
            f"subscribed:{channel}": Learn(key="chanId", channel=channel, symbol="pair")
            for channel in ("ticker", "trades", "book")
        },
        # The sizes of a ticker are sums of the 25 best levels.
        "ticker": Quote(symbol=Learned("[0]"), bid="[1][0]", ask="[1][2]"),
        "trades:many": _trade(each="[1]", repeats=True, newest_first=True),
        "trades:te": _trade("[2]"),
        "book:many": BookSnapshot(symbol=Learned("[0]"), levels=_levels("[1]")),
        "book": BookUpdate(symbol=Learned("[0]"), levels=_levels(".", "[1]")),
    },
    # A tu repeats the te before it.
    silent=frozenset({"info", "conf", "pong", "unsubscribed", "hb", "ticker:hb", "trades:hb", "book:hb", "trades:tu"}),
    errors=frozenset({"error", "error:ticker", "error:trades", "error:book"}),
    subscribe=Subscribe(
        message={"event": "subscribe", ...: TOPIC},
        channels={
            Channel.TRADES: {"channel": "trades", "symbol": SYMBOL},
            Channel.QUOTES: {"channel": "ticker", "symbol": SYMBOL},
            Channel.BOOKS: {"channel": "book", "symbol": SYMBOL, "prec": "P0", "freq": "F0", "len": "250"},
        },
        spelling="t{symbol}",
        resync=({"event": "unsubscribe", "chanId": Told("book")}, {"event": "subscribe", ...: TOPIC}),
        leave=tuple({"event": "unsubscribe", "chanId": Told(channel)} for channel in ("trades", "ticker", "book")),
    ),
    instruments=(
        _list("pub:info:pair", _spot("[0]", **_SIZES)),
        _list("pub:info:pair:futures", _perpetual("[0]", **_SIZES)),
    ),
    path="/ws/2",
    valid_from=_LIMITS_SINCE,
)

SPEC: Final = SourceSpec(
    name="BITFINEX",
    title="Bitfinex",
    kind=SourceKind.EXCHANGE,
    documentation="https://docs.bitfinex.com/docs/ws-general",
    read_on="2026-11-30",
    terms="Public market data, free to read; redistribution needs Bitfinex's consent.",
    verified=frozenset({Verification.RECORDING, Verification.FIXTURE}),
    endpoints=Endpoints("wss://api-pub.bitfinex.com", "https://api-pub.bitfinex.com"),
    # 25 channels a connection, three a symbol; 20 connections and, of a list, 30 requests a minute.
    limits=Limits(8, 5.0, 0.4),
    # Each channel has a heartbeat every 15 seconds.
    heartbeat=Heartbeat(stale_after_s=35.0, ping='{"event":"ping"}'),
    codes=_CODES,
    books=SnapshotUpdates(),
    dialects=(
        # The frames are the same; what was recorded of the lists are those of names alone.
        replace(
            _NOW,
            name="version 2, lists of names",
            instruments=(
                _list("pub:list:pair:exchange", _spot(".")),
                _list("pub:list:pair:future", _perpetual(".")),
            ),
            valid_from=datetime(1970, 1, 1, tzinfo=UTC),
            valid_to=_LIMITS_SINCE,
        ),
        _NOW,
    ),
    notes=(
        "Sizes are in the base, of perpetuals too.",
        "TESTBTC, TESTUSD and their like are traded on paper.",
        "A price has five significant digits, so there is no tick.",
        "A channel is left by the number that the connection gave it.",
        "A subscription to trades begins with the last 30, the newest first: those that were given already are passed over.",
    ),
)
BITFINEX: Final = compile_source(SPEC)
