"""SubscribeResponse around rows that are already encoded, written by hand: no message object is built for a batch.

SubscribeResponse { delivery = 1 { batch = 1 <rows>, subscription_id = 2, first_number = 3, count = 4, last_sequence = 5, conflated = 6 } }
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Final

from relay_service.egress.items import Batch

_LENGTH_DELIMITED_1: Final = b"\x0a"
_TAIL: Final = struct.Struct("<cQ")


def varint(number: int) -> bytes:
    """A protobuf varint."""
    if number < 0x80:
        return bytes((number,))
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def delivery(batch: Batch) -> bytes:
    """A serialized SubscribeResponse with this delivery."""
    rows = varint(batch.size)
    tail = b"".join(
        (
            b"\x10" + varint(batch.subscription.wanted.subscription_id),
            _TAIL.pack(b"\x19", batch.first_number),
            b"\x20" + varint(batch.count),
            _TAIL.pack(b"\x29", batch.last_sequence),
            b"\x30" + varint(batch.conflated) if batch.conflated else b"",
        )
    )
    inner = 1 + len(rows) + batch.size + len(tail)
    head = b"".join((_LENGTH_DELIMITED_1, varint(inner), _LENGTH_DELIMITED_1, rows))
    return b"".join((head, *[data for _, data, _ in batch.parts], tail))


def definitions(entries: Iterable[bytes]) -> bytes:
    """A serialized SubscribeResponse { definitions = 5 { definitions = 1 ... } } around serialized ListingDefinitions."""
    inner = b"".join([piece for entry in entries for piece in (_LENGTH_DELIMITED_1, varint(len(entry)), entry)])
    return b"".join((b"\x2a", varint(len(inner)), inner))


class GrpcEncoder:
    """The bytes of a gRPC stream: one SubscribeResponse a message."""

    def batch(self, batch: Batch) -> bytes:
        """A delivery."""
        return delivery(batch)

    def control(self, message: bytes) -> bytes:
        """Any other response, as it is."""
        return message
