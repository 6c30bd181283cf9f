"""The floor of the relay's Unix path: two blocking sockets, what arrives on one is sent to the other, never looked at.

child_forward_unix.py IN OUT
"""

from __future__ import annotations

import socket
import sys

_READ = 256 << 10


def run(ingress: str, egress: str) -> None:
    """One reader, then one collector, until it goes."""
    outer, inner = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
    outer.bind(egress)
    inner.bind(ingress)
    outer.listen(1)
    inner.listen(1)
    print("ready", flush=True)
    reader, _ = outer.accept()
    collector, _ = inner.accept()
    while data := collector.recv(_READ):
        reader.sendall(data)


if __name__ == "__main__":
    run(sys.argv[1], sys.argv[2])
