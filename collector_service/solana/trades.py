"""Exchanges in the log of a transaction.

A program tells an event as `Program data: `, and any program may write the same bytes: whose they are says the nesting of invocations, whose lines
no program can write. Sources: whirlpools `events.rs`; https://solana.com/docs/rpc/websocket/logssubscribe
"""

from __future__ import annotations

import re
import struct
from base64 import b64decode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from alphapulse.domain.errors import InvalidArgument
from collector_service.solana.base58 import key_of

_KIND: Final = sha256(b"event:Traded").digest()[:8]
"""What Anchor begins an event of this type with."""
_EVENT: Final = struct.Struct("<8s32sB16s16sQQQQQQ")
"""kind, pool, whether A was sold, the square roots of the price before and after, what went in and came out, of these the tokens' own fees, the
fee of the pool, the protocol's part."""
_INVOKED: Final = re.compile(r"Program ([1-9A-HJ-NP-Za-km-z]{32,44}) invoke \[(\d{1,3})\]")
_ENDED: Final = re.compile(r"Program ([1-9A-HJ-NP-Za-km-z]{32,44}) (?:success|failed: .*)", re.DOTALL)
_DATA: Final = "Program data: "
_CUT: Final = "Log truncated"


@dataclass(frozen=True, slots=True)
class Traded:
    """What was exchanged, in smallest units."""

    pool: str
    sells_a: bool
    amount_in: int
    amount_out: int


def read_trades(log: Sequence[str], program: str) -> Iterator[Traded]:
    """What a program says was exchanged, in its order. Raises InvalidArgument, rule `log-cut`, where the log ends before its transaction did, and
    `event-format` for an event that is not of its types."""
    running: list[str] = []
    for line in log:
        if line.startswith(_DATA):
            if running and running[-1] == program:
                found = _traded(line[len(_DATA) :])
                if found is not None:
                    yield found
        elif invoked := _INVOKED.fullmatch(line):
            del running[max(0, int(invoked[2]) - 1) :]
            running.append(invoked[1])
        elif (ended := _ENDED.fullmatch(line)) and running and running[-1] == ended[1]:
            running.pop()
        elif line == _CUT:
            raise InvalidArgument.field("logs", line, "log-cut", "the whole log of a transaction")


def _traded(text: str) -> Traded | None:
    try:
        raw = b64decode(text, validate=True)
    except ValueError as error:
        raise _broken(text) from error
    if raw[: len(_KIND)] != _KIND:
        return None
    if len(raw) != _EVENT.size:
        raise _broken(text)
    _, pool, sells_a, _, _, amount_in, amount_out, _, _, _, _ = _EVENT.unpack(raw)
    if sells_a > 1:
        raise _broken(text)
    return Traded(key_of(pool), bool(sells_a), amount_in, amount_out)


def _broken(text: str) -> InvalidArgument:
    return InvalidArgument.field("logs", text[:80], "event-format", f"{_EVENT.size} bytes in base 64")
