"""One file a venue: the value that describes it, data first. How a source runs is not decided here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from alphapulse.domain.errors import NotFound
from collector_service.ccxt_adapter.catalogue import adapted
from collector_service.databento_adapter.catalogue import databento_sources
from collector_service.source import Source
from collector_service.sources.alpaca import ALPACA
from collector_service.sources.alpaca_news import ALPACA_NEWS
from collector_service.sources.alpha_vantage import ALPHA_VANTAGE
from collector_service.sources.ascendex import ASCENDEX
from collector_service.sources.ascendex_futures import ASCENDEX_FUTURES
from collector_service.sources.bank_of_canada import BANK_OF_CANADA
from collector_service.sources.bequant import BEQUANT
from collector_service.sources.binance import BINANCE
from collector_service.sources.binance_delivery import BINANCE_DELIVERY
from collector_service.sources.binance_futures import BINANCE_FUTURES
from collector_service.sources.binance_tr import BINANCE_TR
from collector_service.sources.binance_us import BINANCE_US
from collector_service.sources.bitcom import BITCOM
from collector_service.sources.bitfinex import BITFINEX
from collector_service.sources.bitflyer import BITFLYER
from collector_service.sources.bitget import BITGET
from collector_service.sources.bithumb import BITHUMB
from collector_service.sources.bitmex import BITMEX
from collector_service.sources.bitstamp import BITSTAMP
from collector_service.sources.bitvavo import BITVAVO
from collector_service.sources.blockchain import BLOCKCHAIN
from collector_service.sources.bybit import BYBIT
from collector_service.sources.bybit_spot import BYBIT_SPOT
from collector_service.sources.central_banks import ECB_PRESS, FEDERAL_RESERVE
from collector_service.sources.chains import CHAIN_SOURCES
from collector_service.sources.coinbase import COINBASE
from collector_service.sources.cryptocom import CRYPTOCOM
from collector_service.sources.delta import DELTA
from collector_service.sources.deribit import DERIBIT
from collector_service.sources.dydx import DYDX
from collector_service.sources.ecb import ECB
from collector_service.sources.edgar import SEC_EDGAR
from collector_service.sources.eodhd import EODHD
from collector_service.sources.fear_greed import FEAR_GREED
from collector_service.sources.finnhub import FINNHUB
from collector_service.sources.finnhub_calendar import FINNHUB_CALENDAR
from collector_service.sources.fmfw import FMFW
from collector_service.sources.fred import FRED
from collector_service.sources.fred_releases import FRED_RELEASES
from collector_service.sources.gateio import GATEIO
from collector_service.sources.gateio_futures import GATEIO_FUTURES
from collector_service.sources.gdelt import GDELT
from collector_service.sources.gemini import GEMINI
from collector_service.sources.hitbtc import HITBTC
from collector_service.sources.huobi import HUOBI
from collector_service.sources.huobi_swap import HUOBI_SWAP
from collector_service.sources.hyperliquid import HYPERLIQUID
from collector_service.sources.independent_reserve import INDEPENDENT_RESERVE
from collector_service.sources.kraken import KRAKEN
from collector_service.sources.kraken_futures import KRAKEN_FUTURES
from collector_service.sources.kucoin import KUCOIN
from collector_service.sources.massive import MASSIVE
from collector_service.sources.nasdaq_data_link import NASDAQ_DATA_LINK
from collector_service.sources.nyfed import NYFED
from collector_service.sources.okcoin import OKCOIN
from collector_service.sources.okx import OKX
from collector_service.sources.phemex import PHEMEX
from collector_service.sources.poloniex import POLONIEX
from collector_service.sources.probit import PROBIT
from collector_service.sources.reddit import REDDIT
from collector_service.sources.solana import SOLANA
from collector_service.sources.tiingo import TIINGO
from collector_service.sources.tradovate import TRADOVATE
from collector_service.sources.twelve_data import TWELVE_DATA
from collector_service.sources.upbit import UPBIT
from collector_service.sources.us_treasury import US_TREASURY
from collector_service.sources.world_bank import WORLD_BANK
from collector_service.tws_adapter.catalogue import interactive_brokers


def _by_name(specs: Iterable[Source]) -> Mapping[str, Source]:
    return MappingProxyType({spec.name: spec for spec in specs})


def _plain(name: str) -> str:
    return "".join(filter(str.isalnum, name)).upper()


NATIVE: Final = _by_name(
    (
        ALPACA,
        ASCENDEX,
        ASCENDEX_FUTURES,
        BEQUANT,
        BANK_OF_CANADA,
        BINANCE,
        BITCOM,
        BITGET,
        BITHUMB,
        BITSTAMP,
        BITVAVO,
        BLOCKCHAIN,
        BYBIT,
        BYBIT_SPOT,
        BINANCE_DELIVERY,
        BINANCE_FUTURES,
        BINANCE_TR,
        BINANCE_US,
        BITFINEX,
        BITFLYER,
        BITMEX,
        COINBASE,
        CRYPTOCOM,
        DELTA,
        DERIBIT,
        DYDX,
        ECB,
        EODHD,
        FINNHUB,
        FMFW,
        FEAR_GREED,
        FRED,
        GATEIO,
        GATEIO_FUTURES,
        GEMINI,
        HUOBI,
        HUOBI_SWAP,
        KRAKEN,
        KRAKEN_FUTURES,
        KUCOIN,
        MASSIVE,
        NASDAQ_DATA_LINK,
        OKCOIN,
        OKX,
        PHEMEX,
        POLONIEX,
        TIINGO,
        TRADOVATE,
        TWELVE_DATA,
        UPBIT,
        HITBTC,
        HYPERLIQUID,
        INDEPENDENT_RESERVE,
        PROBIT,
        NYFED,
        US_TREASURY,
        WORLD_BANK,
        ALPACA_NEWS,
        ALPHA_VANTAGE,
        ECB_PRESS,
        FEDERAL_RESERVE,
        FINNHUB_CALENDAR,
        FRED_RELEASES,
        GDELT,
        REDDIT,
        SEC_EDGAR,
        *CHAIN_SOURCES,
        SOLANA,
    )
)
"""The sources that are told here, by name."""
BROKERS: Final = _by_name((*databento_sources(), interactive_brokers()))
"""The sources that a vendor's own client library reads."""
SOURCES: Final = _by_name((*NATIVE.values(), *BROKERS.values(), *adapted({*NATIVE, *BROKERS})))
"""Every source there is, by name: these, and the exchanges that ccxt reads."""


def source_named(name: str) -> Source:
    """The source of a name, in capitals or not, with points, hyphens or underscores. Raises NotFound, which lists the names there are."""
    return named_in(SOURCES, name)


def named_in(sources: Mapping[str, Source], name: str) -> Source:
    """The same among other sources than these."""
    wanted, alias = _plain(name), None
    for source in sources.values():
        if _plain(source.name) == wanted:
            return source
        if source.spec is not None and wanted in map(_plain, source.spec.aliases):
            alias = source
    if alias is None:
        raise NotFound(f"no source is called {name!r}; there are {', '.join(sorted(sources))}")
    return alias
