"""BitMEX: a table of levels that is told whole, then inserted into, updated and deleted from by the venue's numbers."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Final

from collector.recorded import Books, frames

LISTED: Final = 34


def books(folder: Path) -> Books:
    tables: dict[str, dict[int, tuple[str, Decimal, Decimal]]] = {}
    for frame in frames(folder / "BITMEX.ws.1.0.gz"):
        if frame.get("table") != "orderBookL2":
            continue
        for row in frame["data"]:
            table = tables.setdefault(row["symbol"], {})
            if frame["action"] == "delete":
                del table[row["id"]]
            else:
                _, price, _ = table.get(row["id"], ("", row.get("price"), None))
                table[row["id"]] = (row["side"], Decimal(price or 0), Decimal(row["size"]))
    return {
        symbol: (
            {price: size for side, price, size in table.values() if side == "Buy"},
            {price: size for side, price, size in table.values() if side == "Sell"},
        )
        for symbol, table in tables.items()
    }
