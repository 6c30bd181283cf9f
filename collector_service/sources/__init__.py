"""One file a venue: the value that describes it, data first. How a source runs is not decided here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from alphapulse.domain.errors import NotFound
from collector_service.source import Source
from collector_service.sources.bank_of_canada import BANK_OF_CANADA
from collector_service.sources.binance import BINANCE
from collector_service.sources.bitget import BITGET
from collector_service.sources.bitstamp import BITSTAMP
from collector_service.sources.bybit import BYBIT
from collector_service.sources.coinbase import COINBASE
from collector_service.sources.deribit import DERIBIT
from collector_service.sources.dydx import DYDX
from collector_service.sources.ecb import ECB
from collector_service.sources.fear_greed import FEAR_GREED
from collector_service.sources.fred import FRED
from collector_service.sources.gateio import GATEIO
from collector_service.sources.gateio_futures import GATEIO_FUTURES
from collector_service.sources.gemini import GEMINI
from collector_service.sources.kraken import KRAKEN
from collector_service.sources.nyfed import NYFED
from collector_service.sources.us_treasury import US_TREASURY
from collector_service.sources.world_bank import WORLD_BANK


def _by_name(specs: Iterable[Source]) -> Mapping[str, Source]:
    return MappingProxyType({spec.name: spec for spec in specs})


def _plain(name: str) -> str:
    return "".join(filter(str.isalnum, name)).upper()


SOURCES: Final = _by_name(
    (
        BANK_OF_CANADA,
        BINANCE,
        BITGET,
        BITSTAMP,
        BYBIT,
        COINBASE,
        DERIBIT,
        DYDX,
        ECB,
        FEAR_GREED,
        FRED,
        GATEIO,
        GATEIO_FUTURES,
        GEMINI,
        KRAKEN,
        NYFED,
        US_TREASURY,
        WORLD_BANK,
    )
)
"""Every source there is, by name."""
_NAMES: Final = {
    _plain(known): name
    for name, source in SOURCES.items()
    for known in (*(source.spec.aliases if source.spec is not None else ()), name)
}


def source_named(name: str) -> Source:
    """The source of a name, in capitals or not, with points, hyphens or underscores. Raises NotFound, which lists the names there are."""
    found = _NAMES.get(_plain(name))
    if found is None:
        raise NotFound(f"no source is called {name!r}; there are {', '.join(sorted(SOURCES))}")
    return SOURCES[found]
