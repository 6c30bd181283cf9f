"""A peer of the relay: redis-py publishes quotes one by one to a channel, as a Python publisher does.

child_redis_pub.py URL CHANNEL; see `publishing` for what it obeys.
"""

from __future__ import annotations

import functools
import sys

import redis
from publishing import obey


def run(url: str, channel: str) -> None:
    """Connect, say ready, obey."""
    client = redis.Redis.from_url(url)
    client.ping()
    obey(functools.partial(client.publish, channel))


if __name__ == "__main__":
    run(sys.argv[1], sys.argv[2])
