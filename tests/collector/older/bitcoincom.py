"""Bitcoin.com Exchange spoke version 2, before it became FMFW.io."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from collector.older.hitbtc import RECORDING as HITBTC

RECORDING: Final = replace(
    HITBTC,
    of="https://github.com/bmoscon/cryptofeed/blob/c67be94bf0d820052b0e1f5381376c45110eb324/cryptofeed/exchange/bitcoincom.py",
    at=1618677511,
    lists={
        "https://api.exchange.bitcoin.com/api/2/public/symbol": HITBTC.lists[
            "https://api.hitbtc.com/api/2/public/symbol"
        ]
    },
    connections={"wss://api.exchange.bitcoin.com/api/2/ws": HITBTC.connections["wss://api.hitbtc.com/api/2/ws/public"]},
)
