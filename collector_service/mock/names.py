"""What the instruments of a mock venue are called, and how fine their prices are."""

from __future__ import annotations

from typing import Final

PAIRS: Final = (
    ("BTC", "USDT"), ("ETH", "USDT"), ("BTC", "USD"), ("ETH", "USD"), ("BTC", "USDC"), ("ETH", "USDC"), ("ETH", "BTC"), ("BTC", "EUR"),
    ("ETH", "EUR"),
    ("BTC", "KRW"), ("ETH", "KRW"), ("BTC", "JPY"), ("ETH", "JPY"), ("BTC", "AUD"), ("ETH", "AUD"), ("BTC", "GBP"), ("BTC", "TRY"), ("BTC", "BRL"),
    ("BTC", "IDR"), ("BTC", "MXN"), ("BTC", "INR"), ("BTC", "ZAR"), ("BTC", "THB"), ("BTC", "SGD"), ("BTC", "USDE"), ("EUR", "USD"),
    ("EUR", "GBP"), ("EUR", "JPY"), ("SOL", "USDC"),
)  # fmt: skip
"""What is tried, in this turn: a pattern of a list may take no other quote currency."""
STYLES: Final = (
    "{base}{quote}", "{base}-{quote}", "{base}_{quote}", "{base}/{quote}", "{base}:{quote}", "{lbase}{lquote}", "{lbase}_{lquote}",
    "{lbase}-{lquote}",
)  # fmt: skip
"""How a symbol may be spelled."""
QUOTES: Final = ("USD", "XXX", "EUR")
TICKERS: Final = ("MOCK", "TEST", "DEMO", "FAKE")
"""Of what is no pair."""
_PRICE_DECIMALS: Final = 2
_FINER: Final = {"BTC": 5}


def price_decimals(base: str, quote: str) -> int:
    """Decimals of a pair's prices: more where they are small."""
    return _FINER.get(quote, 4 if base == "EUR" else _PRICE_DECIMALS)
