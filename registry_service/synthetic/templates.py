"""Formulas that are asked for again and again, with open components."""

from __future__ import annotations

from registry_service.synthetic.convert import service


def templates() -> list[service.SyntheticTemplate]:
    """The templates, by name."""
    return [
        service.SyntheticTemplate(name=name, description=description, formula=formula, variables=variables)
        for name, description, formula, variables in sorted(_TEMPLATES)
    ]


_TEMPLATES: list[tuple[str, str, str, dict[str, str]]] = [
    (
        "basis",
        "A future or perpetual over its underlying, in basis points",
        "(future / spot - 1) * 10000",
        {"future": "the future or perpetual", "spot": "its underlying"},
    ),
    (
        "butterfly",
        "Three expiries of one series: the wings less twice the body",
        "near - 2 * middle + far",
        {"near": "the first expiry", "middle": "the second", "far": "the third"},
    ),
    (
        "calendar-spread",
        "A later expiry of a series less an earlier one",
        "far - near",
        {"far": "the later expiry", "near": "the earlier expiry"},
    ),
    (
        "crack-spread-3-2-1",
        "Three barrels of crude made into two of gasoline and one of distillate, in dollars a barrel",
        "(2 * 42 * gasoline + 42 * distillate - 3 * crude) / 3",
        {"gasoline": "dollars a gallon", "distillate": "dollars a gallon", "crude": "dollars a barrel"},
    ),
    (
        "cross-rate",
        "One asset in another, through a third that both are priced in",
        "base / quote",
        {"base": "the asset, in the third", "quote": "the other asset, in the third"},
    ),
    (
        "cross-venue-mid",
        "The mean of one instrument's mids on two venues",
        "(a + b) / 2",
        {"a": "its listing on one venue", "b": "its listing on another"},
    ),
    (
        "cross-venue-spread",
        "One instrument on a venue over the same on another, in basis points",
        "(a / b - 1) * 10000",
        {"a": "its listing on one venue", "b": "its listing on another"},
    ),
    (
        "dollar-index",
        "The US dollar index of ICE Futures: 50.14348112 and the six weights it publishes",
        "50.14348112 * eurusd**-0.576 * usdjpy**0.136 * gbpusd**-0.119 * usdcad**0.091 * usdsek**0.042 * usdchf**0.036",
        {
            "eurusd": "EUR/USD",
            "usdjpy": "USD/JPY",
            "gbpusd": "GBP/USD",
            "usdcad": "USD/CAD",
            "usdsek": "USD/SEK",
            "usdchf": "USD/CHF",
        },
    ),
    (
        "triangle",
        "What is left of one unit after three trades in a circle, in basis points",
        "(ab * bc / ac - 1) * 10000",
        {"ab": "a priced in b", "bc": "b priced in c", "ac": "a priced in c"},
    ),
]
