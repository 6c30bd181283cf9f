"""A peer of the relay: pyzmq PUB sends quotes of 103 bytes one by one, as a Python publisher does.

child_zmq_pub.py ENDPOINT; each line `burst COUNT` on standard input sends so many, then an empty message.
"""

from __future__ import annotations

import sys

import zmq

from alphapulse.records import QUOTE


def run(endpoint: str) -> None:
    """Bind, say ready, obey. XPUB, to know when the subscriber is there."""
    row = QUOTE.new(1).tobytes()
    context = zmq.Context()
    publisher = context.socket(zmq.XPUB)
    publisher.setsockopt(zmq.SNDHWM, 0)
    publisher.bind(endpoint)
    print("ready", flush=True)
    publisher.recv()
    for line in sys.stdin:
        for _ in range(int(line.split()[1])):
            publisher.send(row)
        publisher.send(b"")


if __name__ == "__main__":
    run(sys.argv[1])
