"""Which exchanges of ccxt `venue_figures.py` reads, and which of their fees: the judgement that is in no library.

What stands in ccxt and cannot be is left out here, with the reason beside it. A venue that is not in this table is written by hand or not at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

_SPOT: Final[Mapping[str, str]] = {"SPOT": "trading"}
_PERPETUAL: Final[Mapping[str, str]] = {"PERPETUAL": "trading"}


@dataclass(frozen=True, slots=True)
class Reading:
    """What is read of one exchange."""

    ccxt_id: str
    fees: Mapping[str, str] = field(default_factory=lambda: _SPOT)
    """By product where its fees are in `describe()["fees"]`, with dots; `.` is the top."""
    volume: str = ""
    """The currency that ccxt's tiers count volume in. Empty: it is not known, and only the first tier is taken."""
    currency: str = "USD"
    """The currency of the schedule where no tiers are taken."""
    note: str = ""
    """What to know of the schedule."""
    agrees: str = ""
    """Another page that was read and states the same."""


READINGS: Final[Mapping[str, Reading]] = {
    "ALPACA": Reading("alpaca", {}),
    "APEX": Reading(
        "apex",
        {"PERPETUAL": "swap"},
        agrees="https://apex.exchange/blog/detail/Enhancing-Your-Trading-Experience-on-ApeX-Omni-Fee-Structure-Updates",
    ),
    "ASTER": Reading("aster", _PERPETUAL),
    "BEQUANT": Reading("bequant"),
    "BIGONE": Reading("bigone"),
    "BINANCE": Reading("binance", {}),
    "BINANCE_US": Reading("binanceus", agrees="https://btccontract.de/s/en/Binance+US+BTC+Trading+Fees/18192"),
    "BINGX": Reading(
        "bingx",
        {"SPOT": "spot", "PERPETUAL": "swap"},
        agrees="https://futurestrade.wiki/index.php?title=Understanding_Bing_X_Trading_Fees_Structure",
    ),
    "BITBANK": Reading("bitbank", {}),
    "BITFINEX": Reading("bitfinex", {}),
    "BITFLYER": Reading("bitflyer", currency="JPY"),
    "BITGET": Reading("bitget", {}),
    "BITHUMB": Reading("bithumb", currency="KRW"),
    "BITMART": Reading("bitmart", {}),
    "BITMEX": Reading("bitmex", {}),
    "BITOPRO": Reading("bitopro", currency="TWD"),
    "BITRUE": Reading("bitrue"),
    "BITSO": Reading("bitso", {}),
    "BITSTAMP": Reading("bitstamp", {}),
    "BITTEAM": Reading("bitteam"),
    "BITTRADE": Reading("bittrade", currency="JPY"),
    "BITVAVO": Reading("bitvavo", {}),
    "BLOFIN": Reading("blofin", {"PERPETUAL": "swap"}),
    "BTCTURK": Reading("btcturk", currency="TRY"),
    "BULLISH": Reading("bullish"),
    "BYBIT": Reading("bybit", {}),
    "CEX_IO": Reading("cex", {}),
    "COINBASE": Reading("coinbaseexchange", {}),
    "COINBASEINTERNATIONAL": Reading("coinbaseinternational", _PERPETUAL),
    "COINCHECK": Reading("coincheck", currency="JPY"),
    "COINEX": Reading("coinex", {}),
    "COINMATE": Reading("coinmate", currency="EUR"),
    "COINONE": Reading("coinone", currency="KRW"),
    "COINSPH": Reading("coinsph", {}),
    "CRYPTO_COM": Reading("cryptocom", volume="USD"),
    "DEEPCOIN": Reading("deepcoin"),
    "DELTA_EXCHANGE": Reading("delta", {}),
    "DERIBIT": Reading("deribit", {}),
    "DERIVE": Reading("derive", {}),
    "DIGIFINEX": Reading("digifinex"),
    "DYDX": Reading("dydx", {}),
    "EXMO": Reading("exmo"),
    "FOXBIT": Reading("foxbit", currency="BRL"),
    "GATE": Reading("gate", {}),
    "GEMINI": Reading("gemini", {}),
    "HIBACHI": Reading("hibachi", _PERPETUAL),
    "HITBTC": Reading("hitbtc", {}),
    "HOLLAEX": Reading("hollaex"),
    "HTX": Reading("htx", agrees="https://www.htx.com/p/about/about_detail"),
    "HYPERLIQUID": Reading("hyperliquid", {}),
    "INDEPENDENT_RESERVE": Reading(
        "independentreserve", currency="AUD", agrees="https://www.independentreserve.com/features/leveraged-trading"
    ),
    "INDODAX": Reading("indodax", currency="IDR"),
    "KRAKEN": Reading("kraken", {}),
    "KRAKEN_FUTURES": Reading("krakenfutures", {}),
    "KUCOIN": Reading("kucoin", {}),
    "LATOKEN": Reading("latoken"),
    "LBANK": Reading("lbank"),
    "LIGHTER": Reading(
        "lighter",
        {"PERPETUAL": "."},
        note="accounts of the standard kind",
        agrees="https://docs.mobula.io/perps-fees.md",
    ),
    "LUNO": Reading("luno", {}),
    "MERCADO_BITCOIN": Reading("mercado", currency="BRL"),
    "MEXC": Reading("mexc", {}),
    "MODETRADE": Reading("modetrade", _PERPETUAL),
    "MUDREX": Reading("mudrex", _PERPETUAL),
    "NDAX": Reading("ndax", currency="CAD"),
    "OKX": Reading("okx", {"PERPETUAL": "swap", "FUTURE": "future"}, agrees="https://open-lib.com/5328.html"),
    "PACIFICA": Reading("pacifica", {"PERPETUAL": "swap"}),
    "PARADEX": Reading("paradex", {}),
    "PAYMIUM": Reading("paymium", currency="EUR"),
    "PHEMEX": Reading("phemex", {}),
    "POLONIEX": Reading("poloniex"),
    "UPBIT": Reading("upbit", {}),
    "WHITEBIT": Reading("whitebit", agrees="https://blog.whitebit.com/en/whitebit-trading-fee/"),
    "WOOFIPRO": Reading("woofipro", _PERPETUAL),
    "WOO_X": Reading("woo"),
    "XT": Reading("xt", {"SPOT": "spot"}),
    "ZAIF": Reading("zaif", currency="JPY"),
}
"""By the venue's code. With no fees: pace and bounds alone, as its file has fees from its own page, or for a reason below."""

LEFT_OUT: Final[Mapping[str, str]] = {
    "bit2c": "3% a trade: no order book costs that; the digits are moved",
    "bitbns": "nothing was found to hold its fees against",
    "bitget": "20 basis points where its own pages say 10; 4 for makers of perpetuals where they say 2",
    "bitmart": "its tiers begin otherwise than its fees, and go on as percentages",
    "blockchaincom": "it states tiers and no fee",
    "btcmarkets": "the fees it states are those of some pairs alone",
    "bybit": "the fees are those of contracts years ago",
    "coinex": "10 basis points where its own page says 20",
    "coinsph": "24 basis points and more where its own page says 11 from some volume on",
    "cryptomus": "2% a trade: the digits are moved",
    "delta": "10 and 15 basis points where its own page has 2 to 6",
    "extended": "20 basis points on an exchange of perpetuals",
    "fmfwio": "its tiers begin otherwise than its fees",
    "gate": "20 basis points where its own page says 10; a tier of perpetuals that pays makers 1%: the digits are moved",
    "gateeu": "what it says of Gate, which is another company with other fees",
    "hitbtc": "9 basis points where its own page says 7 for some accounts, 10 and 20 for the rest",
    "kraken": "16 and 26 basis points where its own page says 25 and 40",
    "kucoineu": "what it says of KuCoin, which is another company with other fees",
    "luno": "a fee that its own page has for no country",
    "mexc": "20 basis points where its own pages say 0 and 5",
    "myokx": "what it says of OKX, which is another company with other fees",
    "okxus": "what it says of OKX, which is another company with other fees",
    "p2b": "percentages taken for shares",
    "paradex": "2 basis points where its own page says none for some and others for others",
    "tokocrypto": "75 basis points: the digits are moved",
    "upbit": "the fee of pairs with BTC; that of pairs with KRW is a fifth of it",
    "weex": "10% a trade: a percentage taken for a share",
}
"""Exchanges of ccxt whose fees are not taken, and why."""
