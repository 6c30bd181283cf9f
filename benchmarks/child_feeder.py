"""A collector without a venue: connects to a Unix socket and sends quotes when it is told to, from blocking sockets.

    child_feeder.py SOCKET KEYS TOKEN   a relay: says hello, waits for the revision of TOKEN
    child_feeder.py SOCKET KEYS         a bare forwarder: frames at once

KEYS is a file of listing keys, eight bytes each. Commands on standard input, each answered by a line of JSON:
`burst ROWS FRAME WINDOW` sends ROWS in frames of FRAME rows, as fast as it can with at most WINDOW rows that are not yet received;
lines `got TOTAL` meanwhile say how many are; `paced COUNT RATE [ROWS]` sends COUNT frames of ROWS rows (1) at RATE frames a second, each stamped when
sent.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Final

import numpy as np
from sockets import connected

from alphapulse.api.relay.v1 import relay_service_pb2 as api
from alphapulse.domain.provenance import Provenance
from alphapulse.records import QUOTE, Frame, FrameDecoder, FrameType, Rows, encode_control, encode_frame, row_sizes

SLOT: Final = 1
POOL: Final = 200_000
_KIND: Final = QUOTE.event_type


def make_quotes(keys: np.ndarray, count: int) -> Rows:
    """Quotes of random listings: one price level an instrument, spreads of 2 bps, and one in 5,000 rows 2 % away from its other venues."""
    random = np.random.default_rng(7)
    rows = QUOTE.new(count)
    picked = random.integers(0, len(keys), count)
    rows["listing_key"] = keys[picked]
    middle = 10_000_000 + 1_000 * (picked // 3 % 997) + random.integers(-500, 500, count)
    middle = np.where(random.random(count) < 1 / 5_000, middle * 102 // 100, middle)
    rows["bid_price"], rows["ask_price"] = middle - 1_000, middle + 1_000
    rows["bid_size"], rows["ask_size"] = random.integers(1, 1_000, (2, count))
    rows["price_exponent"], rows["size_exponent"] = -4, -2
    rows["flags"] = int(Provenance.SIMULATED)
    return rows


class Feeder:
    """One connection, its numbering, and the quotes it repeats."""

    def __init__(self, path: str, rows: Rows) -> None:
        self._socket = connected(path)
        self._rows = rows
        self._sequence = 1
        self._input = b""

    def introduce(self, token: str) -> None:
        """Hello and barrier. RuntimeError when the relay refuses or does not reach the revision."""
        hello = api.SourceHello(source="BENCH", slot=SLOT, epoch=time.time_ns(), row_sizes=row_sizes())
        hello.provenance = int(Provenance.SIMULATED)  # type: ignore[assignment]
        barrier = api.RevisionBarrier(revision_token=token, timeout_ms=60_000)
        self._socket.sendall(encode_control(FrameType.HELLO, hello, slot=SLOT))
        self._socket.sendall(encode_control(FrameType.BARRIER, barrier))
        decoder, answers = FrameDecoder(), {}
        while FrameType.BARRIER not in answers:
            for frame in decoder.feed(self._socket.recv(1 << 16)):
                if isinstance(frame, Frame):
                    answers[frame.type] = bytes(frame.payload)
        welcome = api.SourceWelcome.FromString(answers[FrameType.WELCOME])
        if not welcome.accepted or not api.RevisionBarrier.FromString(answers[FrameType.BARRIER]).reached:
            raise RuntimeError(f"the relay does not take this source: {welcome}")

    def burst(self, total: int, size: int, window: int) -> dict[str, float]:
        """Rows in frames of `size`."""
        begin, sent, got = time.perf_counter(), 0, 0
        while sent < total:
            while sent - got >= window:
                got = int(self.command().removeprefix("got "))
            at = sent % (len(self._rows) - size)
            part = self._rows[at : at + min(size, total - sent)]
            part["collector_time_ns"] = time.time_ns()
            self._send(part)
            sent += len(part)
        return {"sent": sent, "seconds": time.perf_counter() - begin}

    def paced(self, count: int, rate: float, size: int = 1) -> dict[str, float]:
        """Frames of `size` rows."""
        begin = time.perf_counter()
        for number in range(count):
            wait = begin + number / rate - time.perf_counter()
            if wait > 0:
                time.sleep(wait)
            at = number * size % (len(self._rows) - size)
            part = self._rows[at : at + size]
            part["collector_time_ns"] = time.time_ns()
            self._send(part)
        return {"sent": count * size, "seconds": time.perf_counter() - begin}

    def _send(self, rows: Rows) -> None:
        self._socket.sendall(encode_frame(_KIND, rows, slot=SLOT, sequence=self._sequence))
        self._sequence += len(rows)

    def command(self) -> str:
        """The next line of standard input. SystemExit at its end."""
        while b"\n" not in self._input:
            data = os.read(0, 65_536)
            if not data:
                raise SystemExit
            self._input += data
        line, _, self._input = self._input.partition(b"\n")
        return line.decode()


def run() -> None:
    """Connect, say ready, obey."""
    path, keys = sys.argv[1], np.frombuffer(Path(sys.argv[2]).read_bytes(), "<u8")
    feeder = Feeder(path, make_quotes(keys, POOL))
    if len(sys.argv) > 3:
        feeder.introduce(sys.argv[3])
    print("ready", flush=True)
    while True:
        name, *numbers = feeder.command().split()
        if name == "burst":
            print(json.dumps(feeder.burst(*map(int, numbers))), flush=True)
        elif name == "paced":
            print(json.dumps(feeder.paced(int(numbers[0]), float(numbers[1]), *map(int, numbers[2:]))), flush=True)
        # a late "got" has nobody to wait for it


if __name__ == "__main__":
    run()
