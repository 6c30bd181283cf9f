"""A peer of the relay: redis-py publishes quotes of 103 bytes one by one to a channel, as a Python publisher does.

child_redis_pub.py URL CHANNEL; each line `burst COUNT` on standard input publishes so many, then an empty message.
"""

from __future__ import annotations

import sys

import redis

from alphapulse.records import QUOTE


def run(url: str, channel: str) -> None:
    """Connect, say ready, obey."""
    row = QUOTE.new(1).tobytes()
    client = redis.Redis.from_url(url)
    client.ping()
    print("ready", flush=True)
    for line in sys.stdin:
        for _ in range(int(line.split()[1])):
            client.publish(channel, row)
        client.publish(channel, b"")


if __name__ == "__main__":
    run(sys.argv[1], sys.argv[2])
