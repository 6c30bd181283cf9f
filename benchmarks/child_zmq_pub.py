"""A peer of the relay: pyzmq PUB sends quotes one by one, as a Python publisher does.

child_zmq_pub.py ENDPOINT; see `publishing` for what it obeys.
"""

from __future__ import annotations

import sys

import zmq
from publishing import obey


def run(endpoint: str) -> None:
    """Bind, say ready, obey. XPUB drops what nobody subscribed to: whoever commands has subscribed before, and waited a moment."""
    context = zmq.Context()
    publisher = context.socket(zmq.XPUB)
    publisher.setsockopt(zmq.SNDHWM, 0)
    publisher.bind(endpoint)
    obey(publisher.send)


if __name__ == "__main__":
    run(sys.argv[1])
