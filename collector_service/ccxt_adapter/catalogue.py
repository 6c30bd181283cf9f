"""The sources that ccxt reads: every exchange of it that has no source of its own here.

A source bears ccxt's id in capitals (MEXC, not CCXT_MEXC), or the code that the venue registry knows it by: who reads an exchange is no part of its
name. When it gets a source of its own here, whoever asks for it keeps its name, and its listings keep their ids, save those that `messages.named`
has to call by ccxt's symbol.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Final

import msgspec

from collector_service.ccxt_adapter.dialect import dialect_of
from collector_service.ccxt_adapter.exchange import open_exchange
from collector_service.ccxt_adapter.transport import CcxtTransport
from collector_service.compiler import compile_source
from collector_service.source import Source
from collector_service.spec import (
    Channel,
    Endpoints,
    Heartbeat,
    Limits,
    SnapshotOnly,
    SourceKind,
    SourceSpec,
    Verification,
)
from collector_service.transport.base import Transport

TABLE: Final = Path(__file__).with_name("exchanges.json")
NATIVE: Final[Mapping[str, tuple[str, ...]]] = {
    "alpaca": ("ALPACA",),
    "bequant": ("BEQUANT",),
    "binance": ("BINANCE",),
    "binancecoinm": ("BINANCE_DELIVERY",),
    "binanceus": ("BINANCE_US",),
    "binanceusdm": ("BINANCE_FUTURES",),
    "bitfinex": ("BITFINEX",),
    "bitflyer": ("BITFLYER",),
    "bitget": ("BITGET",),
    "bithumb": ("BITHUMB",),
    "bitmex": ("BITMEX",),
    "bitstamp": ("BITSTAMP",),
    "bitvavo": ("BITVAVO",),
    "blockchaincom": ("BLOCKCHAIN",),
    "bybit": ("BYBIT", "BYBIT_SPOT"),
    # One venue that has two interfaces.
    "coinbase": ("COINBASE",),
    "coinbaseexchange": ("COINBASE",),
    "cryptocom": ("CRYPTOCOM",),
    "delta": ("DELTA",),
    "deribit": ("DERIBIT",),
    "dydx": ("DYDX",),
    "fmfwio": ("FMFW",),
    "gate": ("GATEIO", "GATEIO_FUTURES"),
    "gemini": ("GEMINI",),
    "hitbtc": ("HITBTC",),
    "htx": ("HUOBI", "HUOBI_SWAP"),
    "hyperliquid": ("HYPERLIQUID",),
    "independentreserve": ("INDEPENDENT_RESERVE",),
    "kraken": ("KRAKEN",),
    "krakenfutures": ("KRAKEN_FUTURES",),
    "kucoin": ("KUCOIN",),
    "okx": ("OKX",),
    "phemex": ("PHEMEX",),
    "poloniex": ("POLONIEX",),
    "upbit": ("UPBIT",),
}
"""By ccxt's id the sources here that read the same exchange."""
VENUES: Final[Mapping[str, str]] = {
    "btcmarkets": "BTC_MARKETS",
    "cex": "CEX_IO",
    "mercado": "MERCADO_BITCOIN",
    "woo": "WOO_X",
}
"""By ccxt's id the venue registry's code, where it is not the id in capitals."""
ALL_SYMBOLS: Final = 1_000_000
"""ccxt opens the sockets that it needs: to the runner it is one connection."""
NOTES: Final[tuple[str, ...]] = (
    (
        "Numbers keep their digits where ccxt reads them from text; of a JSON number on a stream the shortest decimal of its float is taken: "
        "exact up to 15 digits, without trailing zeros."
    ),
    "Sizes of derivatives are as ccxt gives them, contracts mostly; books are the best 100 levels a side, compared whole.",
    "Keys, where it asks for any, are in the environment as NAME_API_KEY, NAME_API_SECRET, NAME_API_PASSWORD and NAME_API_UID.",
)


class Exchange(msgspec.Struct, frozen=True):
    """What `exchanges.json` has of an exchange."""

    id: str
    title: str
    documentation: str
    streamed: tuple[str, ...]
    """Channels that ccxt.pro has a stream of."""
    polled: tuple[str, ...]
    """Channels that are asked for again and again."""
    requests_per_second: float
    read_on: str
    """The release of ccxt, and its day."""
    dex: bool = False
    """Whether it is decentralised."""

    @property
    def name(self) -> str:
        """Its name as a source, and its venue's code."""
        return VENUES.get(self.id, self.id.upper())

    @property
    def channels(self) -> tuple[Channel, ...]:
        """All that it gives, in the usual order."""
        return tuple(one for one in Channel if one.value in (*self.streamed, *self.polled))


def exchanges() -> tuple[Exchange, ...]:
    """Every exchange of ccxt, by its id."""
    return msgspec.json.decode(TABLE.read_bytes(), type=tuple[Exchange, ...])


def adapted(named: Iterable[str] = ()) -> tuple[Source, ...]:
    """A source for each exchange that has none of its own; `named` are the names that are taken."""
    taken = frozenset(named)
    return tuple(_source(one) for one in exchanges() if one.id not in NATIVE and one.name not in taken)


def adapter_of(source: Source) -> Exchange | None:
    """What the table has of a source that ccxt reads; None for another one."""
    if source.spec is None or Verification.ADAPTER not in source.spec.verified:
        return None
    return next((one for one in exchanges() if one.name == source.name), None)


def _source(exchange: Exchange) -> Source:
    model = _model(exchange.channels)
    assert model.spec is not None
    endpoints = Endpoints(f"ccxt.pro.{exchange.id}" if exchange.streamed else "", f"ccxt.async_support.{exchange.id}")
    notes = NOTES
    if exchange.polled:
        notes = (*notes, f"Polled, since ccxt has no stream of them: {', '.join(exchange.polled)}.")
    limits = Limits(ALL_SYMBOLS, 10.0, exchange.requests_per_second)
    spec = replace(
        model.spec,
        name=exchange.name,
        title=exchange.title,
        aliases=(exchange.id.upper(),) if exchange.id in VENUES else (),
        documentation=exchange.documentation,
        read_on=exchange.read_on,
        endpoints=endpoints,
        limits=limits,
        notes=notes,
    )
    return replace(
        model,
        name=spec.name,
        venue=spec.name,
        endpoints=endpoints,
        limits=limits,
        quirks=notes,
        spec=spec,
        reach=partial(_reach, exchange.id),
    )


def _reach(exchange_id: str, source: Source, secrets: Mapping[str, str]) -> Transport:
    return CcxtTransport(partial(open_exchange, exchange_id, source.name, secrets))


@lru_cache
def _model(channels: tuple[Channel, ...]) -> Source:
    """What exchanges with the same channels have in common; compiled once."""
    return compile_source(
        SourceSpec(
            name="CCXT",
            title="ccxt",
            kind=SourceKind.EXCHANGE,
            documentation="https://docs.ccxt.com/",
            read_on="2026-11-30",
            terms="Those of the exchange, which are not told here: read them before you use its data.",
            verified=frozenset({Verification.ADAPTER}),
            endpoints=Endpoints("", ""),
            limits=Limits(ALL_SYMBOLS, 10.0, 1.0),
            heartbeat=Heartbeat(stale_after_s=60.0),
            dialects=(dialect_of(channels),),
            books=SnapshotOnly(),
        )
    )
