"""The methods that find entries by what they are: lists, search, option chains, futures series, trading rules."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from registry_service.calls import Calls
from registry_service.instrument.convert import service
from registry_service.instrument.queries.chains import Chains, Derivatives, Series
from registry_service.instrument.queries.lists import Lists
from registry_service.instrument.queries.search import Searches
from registry_service.instrument.registering.venues import VenueDirectory
from registry_service.instrument.trading.ruling import Ruling
from registry_service.resources import RegistryResources

Served = tuple[type[Any], Callable[[Any], Awaitable[bytes]]]
"""The type of the request, and what answers it with a serialized response."""


def finding(resources: RegistryResources, calls: Calls, venues: VenueDirectory) -> dict[str, Served]:
    """By the name of the method."""
    lists, searches = Lists(resources, calls, venues), Searches(resources, calls, venues)
    ruling = Ruling(resources, calls)
    derivatives = Derivatives(resources, calls, venues)
    return {
        "GetOptionChain": (service.GetOptionChainRequest, Chains(derivatives).chain),
        "ListFuturesSeries": (service.ListFuturesSeriesRequest, Series(derivatives).series),
        "GetTradingRules": (service.GetTradingRulesRequest, ruling.rules),
        "ListInstruments": (service.ListInstrumentsRequest, lists.instruments),
        "ListListings": (service.ListListingsRequest, lists.listings),
        "SearchInstruments": (service.SearchInstrumentsRequest, searches.search),
    }
