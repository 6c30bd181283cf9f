"""Writes collector_service/ccxt_adapter/exchanges.json: what the ccxt that is installed says of its exchanges."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any, Final

import ccxt
import ccxt.async_support
import ccxt.pro

from collector_service.ccxt_adapter.catalogue import TABLE

_CHANNELS: Final = {
    "trades": ("watchTrades", "fetchTrades"),
    "quotes": ("watchTicker", "fetchTicker"),
    "books": ("watchOrderBook", "fetchOrderBook"),
}


def table() -> str:
    """The table, a line an exchange."""
    lines = ",\n".join(json.dumps(_exchange(name), ensure_ascii=False) for name in sorted(ccxt.exchanges))
    return f"[\n{lines}\n]\n"


def _exchange(name: str) -> dict[str, Any]:
    made = getattr(ccxt.pro, name, None) or getattr(ccxt.async_support, name)
    exchange = made()
    streamed = [one for one, (watch, _) in _CHANNELS.items() if exchange.has.get(watch) is True]
    polled = [one for one, (_, fetch) in _CHANNELS.items() if one not in streamed and exchange.has.get(fetch)]
    documents = exchange.urls.get("doc") or exchange.urls.get("www") or "https://docs.ccxt.com/"
    return {
        "id": name,
        "title": exchange.name,
        "documentation": documents if isinstance(documents, str) else documents[0],
        "streamed": streamed,
        "polled": polled,
        # ccxt's rateLimit is the milliseconds between two requests.
        "requests_per_second": round(1000 / exchange.rateLimit, 3),
        "read_on": f"ccxt {ccxt.__version__}",
        **({"dex": True} if exchange.describe().get("dex") else {}),
    }


def main() -> int:
    """1 when the table is stale and `--check` is given."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare with what is committed, change nothing")
    text = table()
    if parser.parse_args().check:
        return int(text != TABLE.read_text(encoding="utf-8"))
    TABLE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
