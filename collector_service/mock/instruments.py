"""Instruments of a mock venue: what of its lists streams, how it is spelled there, and the grid of its numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from collector_service.compiler.subscribing import names_of
from collector_service.mock.draft import UnwritableError
from collector_service.mock.events import MockInstrument
from collector_service.mock.foreign import Foreign
from collector_service.mock.listing import Listed
from collector_service.mock.names import price_decimals
from collector_service.mock.numbers import digits_of
from collector_service.mock.plans import amounts_of, records_of
from collector_service.mock.world import Terms
from collector_service.spec.dialect import Dialect

_SIZE_DECIMALS: Final = 4


def instrument(
    listed: Listed,
    spelling: int,
    dialect: Dialect,
    pairs: Mapping[tuple[str, str], Terms],
    foreign: Foreign | None,
) -> MockInstrument | None:
    """What streams of a line, by the spelling that has this number; None where it has no so many. `pairs` are those of the world."""
    entry = listed.entry
    spellings = (entry.symbol, *entry.aliases)
    own = names_of(entry, dialect.subscribe.spelling if dialect.subscribe is not None else "{symbol}")["symbol"]
    if foreign is not None:
        spellings, own = (), foreign.spelling(entry)
    ways = list(dict.fromkeys((*((own,) if own in spellings or not spellings else ()), *spellings)))
    if spelling >= len(ways):
        return None
    terms = pairs.get((entry.base, entry.quote))
    if terms is not None:
        price, size = terms.price_decimals, terms.size_decimals
    else:
        price, size = price_decimals(entry.base, entry.quote), _SIZE_DECIMALS
    for record in records_of(dialect):
        for is_price, amount in amounts_of(record):
            try:
                digits = digits_of(amount, entry.extras)
            except UnwritableError:
                continue  # a record of instruments of another kind
            if digits is not None:
                price, size = (min(price, digits), size) if is_price else (price, min(size, digits))
    made = MockInstrument(entry, ways[spelling], price, size)
    return made if terms is None else replace(made, lots=terms.lots, levels=terms.levels)
