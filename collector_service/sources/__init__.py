"""One file a venue: the value that describes it, data first. How a source runs is not decided here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from alphapulse.domain.errors import NotFound
from collector_service.source import Source
from collector_service.sources.binance import BINANCE
from collector_service.sources.coinbase import COINBASE
from collector_service.sources.kraken import KRAKEN


def _by_name(specs: Iterable[Source]) -> Mapping[str, Source]:
    return MappingProxyType({spec.name: spec for spec in specs})


SOURCES: Final = _by_name((BINANCE, COINBASE, KRAKEN))
"""Every source there is, by name."""


def source_named(name: str) -> Source:
    """The source of a name. Raises NotFound, which lists the names there are."""
    spec = SOURCES.get(name)
    if spec is None:
        raise NotFound(f"no source is called {name!r}; there are {', '.join(sorted(SOURCES))}")
    return spec
