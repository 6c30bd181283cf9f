"""The relay as it is, or an edge of it; with FAULT_PLANTED, one of `planted` is put into it first. Where the market is divided it is told of the
listings."""

from __future__ import annotations

import json
import os
import socket
import threading
from pathlib import Path
from typing import Any

import faults.planted
from alphapulse.api.instrument.v1.instrument_pb2 import Listing
from alphapulse.runtime import launch
from faults.plan import HOMES
from relay_service.__main__ import make
from relay_service.config import RelayConfig
from relay_service.core import RelayCore


def main(name: str, control: Path) -> int:
    """The life of a relay or an edge. It takes its variables from the environment, and no orders."""
    planted = os.environ.get("FAULT_PLANTED")
    if planted:
        faults.planted.FAULTS[planted]()
    if os.environ.get("RELAY_PARTITION"):
        _define()
    threading.Thread(target=_end_with_the_test, args=(name, control), daemon=True).start()
    return launch(RelayConfig, make)


def _define() -> None:
    """What a registry would tell of the listings: by their instruments a relay refuses what is another's."""
    begin = RelayCore.__init__

    def begun(self: RelayCore, *values: Any, **more: Any) -> None:
        begin(self, *values, **more)
        for key, home in HOMES.items():
            ids = {"listing_id": f"{key:016x}{0:016x}", "instrument_id": f"{home:016x}{0:016x}"}
            self.replica.apply_listing(
                Listing(listing_key=key, venue="XV", symbol=f"S{key}", definition_version=1, **ids)
            )

    RelayCore.__init__ = begun  # type: ignore[method-assign]


def _end_with_the_test(name: str, control: Path) -> None:
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(str(control))
        line.send(json.dumps({"name": name}).encode() + b"\n")
        line.recv(1)
    os._exit(1)
