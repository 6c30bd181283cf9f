"""The relay as it is, or an edge of it; with FAULT_PLANTED, one of `planted` is put into it first."""

from __future__ import annotations

import json
import os
import socket
import threading
from pathlib import Path

import faults.planted
from alphapulse.runtime import launch
from relay_service.__main__ import make
from relay_service.config import RelayConfig


def main(name: str, control: Path) -> int:
    """The life of a relay or an edge. It takes its variables from the environment, and no orders."""
    planted = os.environ.get("FAULT_PLANTED")
    if planted:
        faults.planted.FAULTS[planted]()
    threading.Thread(target=_end_with_the_test, args=(name, control), daemon=True).start()
    return launch(RelayConfig, make)


def _end_with_the_test(name: str, control: Path) -> None:
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(str(control))
        line.send(json.dumps({"name": name}).encode() + b"\n")
        line.recv(1)
    os._exit(1)
