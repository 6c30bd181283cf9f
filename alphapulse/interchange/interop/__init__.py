"""Exports in the shapes of other libraries: ccxt's market structure, instruments of nautilus_trader.

Both are JSON documents of plain values; neither library is needed to write them, and tests build each library's own objects from them. What a
shape cannot hold, or needs and the registry does not know, is left out with its reason: nothing is made up to fill a field.
"""

from typing import Final

from alphapulse.interchange.interop.ccxt_markets import write_ccxt
from alphapulse.interchange.interop.nautilus import write_nautilus

INTEROP: Final = {"ccxt": write_ccxt, "nautilus": write_nautilus}

__all__ = ["INTEROP", "write_ccxt", "write_nautilus"]
