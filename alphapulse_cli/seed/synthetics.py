"""A few synthetics over the crypto exchanges' bitcoin and ether, to see the evaluator at work.

Their components are ids minted from identity texts, so they can be registered before or after discovery, with the units they will have; they have a
value once their components trade.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from alphapulse.api.synthetic.v1 import synthetic_pb2 as wire
from alphapulse.domain.asset_class import AssetClass
from alphapulse.domain.identity import currency_text, mint_listing_id, pair_text
from alphapulse.domain.ids import InstrumentId

SOURCE: Final = "demonstration"


def pair_id(base: str, quote: str) -> InstrumentId:
    """The id of a coin priced in a coin or in dollars, as discovery mints it."""
    kind = "fiat" if quote in ("USD", "EUR", "GBP") else "crypto"
    base_id = InstrumentId.of(currency_text("crypto", base))
    return InstrumentId.of(pair_text(AssetClass.SPOT_PAIR, base_id, InstrumentId.of(currency_text(kind, quote))))


def listing_id(venue: str, symbol: str, base: str, quote: str) -> str:
    """The id of a listing of such a pair."""
    return mint_listing_id(venue, symbol, pair_id(base, quote)).hex


def synthetics() -> Iterator[wire.Synthetic]:
    """The demonstrations, those that others refer to first."""
    btc_usd, eth_usd = pair_id("BTC", "USD").hex, pair_id("ETH", "USD").hex
    coinbase = listing_id("COINBASE", "BTC-USD", "BTC", "USD")
    kraken = listing_id("KRAKEN", "XBT/USD", "BTC", "USD")
    binance = listing_id("BINANCE", "BTCUSDT", "BTC", "USDT")
    yield _made(
        "BTC-CROSS-MID",
        "Bitcoin in dollars: the mean of the mids of Coinbase and Kraken",
        "(coinbase + kraken) / 2",
        "USD",
        _listing("coinbase", coinbase, "USD"),
        _listing("kraken", kraken, "USD"),
    )
    yield _made(
        "BTC-VENUE-SPREAD",
        "Bitcoin on Kraken over Coinbase, in basis points",
        "(kraken / coinbase - 1) * 10000",
        "bps",
        _listing("kraken", kraken, "USD"),
        _listing("coinbase", coinbase, "USD"),
    )
    yield _made(
        "ETH-BTC-RATIO",
        "Ether in bitcoin, through the dollar",
        "eth / btc",
        "BTC/ETH",
        _instrument("eth", eth_usd, "USD/ETH"),
        _instrument("btc", btc_usd, "USD/BTC"),
    )
    yield _made(
        "USDT-PREMIUM",
        "What a dollar of Tether costs over a dollar, through bitcoin, in basis points",
        "(cross / tether - 1) * 10000",
        "bps",
        # A premium holds dollars against Tether one to one, so both are taken as plain numbers.
        wire.Component(variable="cross", synthetic="BTC-CROSS-MID", price_field=wire.PRICE_FIELD_MID, unit="1"),
        _listing("tether", binance, "1"),
    )


def _made(name: str, description: str, formula: str, unit: str, *components: wire.Component) -> wire.Synthetic:
    return wire.Synthetic(
        name=name, description=description, formula=formula, unit=unit, components=components, source=SOURCE
    )


def _listing(variable: str, listing: str, unit: str) -> wire.Component:
    return wire.Component(variable=variable, listing_id=listing, price_field=wire.PRICE_FIELD_MID, unit=unit)


def _instrument(variable: str, instrument: str, unit: str) -> wire.Component:
    return wire.Component(variable=variable, instrument_id=instrument, price_field=wire.PRICE_FIELD_MID, unit=unit)
