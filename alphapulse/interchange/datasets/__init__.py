"""Public data sets with a layout of their own, read by path when the user asks; nothing of them is part of this project.

One file a data set: `cross_listings` and `ticker_history` (formats of the projects free-ticker-database and QuantConnect Lean), `token_list`
(the token list format of Uniswap), `cusips` (the CUSIP table of an installed edgartools). `DATASETS` gives each by the name that
`alphapulse import --format` takes: a function of the path, the source and the licence.
"""

from collections.abc import Callable, Mapping
from typing import Final

from alphapulse.interchange.datasets.cross_listings import cross_listings
from alphapulse.interchange.datasets.cusips import cusips
from alphapulse.interchange.datasets.ticker_history import TickerHistory, ticker_history
from alphapulse.interchange.datasets.token_list import TokenList, token_list
from alphapulse.interchange.sources import EntrySource

DATASETS: Final[Mapping[str, Callable[[str, str, str], EntrySource]]] = {
    "cross-listings": cross_listings,
    "ticker-history": ticker_history,
    "token-list": token_list,
    "cusips": cusips,
}

__all__ = ["DATASETS", "TickerHistory", "TokenList", "cross_listings", "cusips", "ticker_history", "token_list"]
