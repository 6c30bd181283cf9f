"""Takes a `SubscribeResponse` apart without parsing the rows in it: they stay where they were received.

Deliveries are most of the traffic, and their batch is bytes that are rows already. Parsing them as messages would cost
forty times as much as this walk over the few fields around them.
"""

from __future__ import annotations

import struct
from typing import Final

from alphapulse.api.relay.v1 import relay_service_pb2 as relay
from alphapulse.domain.errors import DataLoss
from alphapulse.records import split_batch
from strategy_sdk._batch import EventBatch

_FIXED64: Final = struct.Struct("<Q")
_NUMBERS: Final = {field.number: field.name for field in relay.Delivery.DESCRIPTOR.fields if field.name != "batch"}
_BATCH: Final = relay.Delivery.DESCRIPTOR.fields_by_name["batch"].number


def read_response(data: bytes, received_ns: int) -> EventBatch | relay.SubscribeResponse:
    """A delivery as a batch over `data`, anything else as its message. Raises DataLoss where the bytes are neither."""
    try:
        if data[:1] == b"\x0a":
            size, at = _varint(data, 1)
            if at + size == len(data):
                return _delivery(data, at, received_ns)
        return relay.SubscribeResponse.FromString(data)
    except (ValueError, IndexError, struct.error) as error:
        raise DataLoss(f"the relay sent {len(data)} bytes that are no SubscribeResponse: {error}") from error
    except Exception as error:  # protobuf's DecodeError is of another tree in each of its implementations
        raise DataLoss(f"the relay sent {len(data)} bytes that are no SubscribeResponse: {error}") from error


def _delivery(data: bytes, at: int, received_ns: int) -> EventBatch:
    fields: dict[str, int] = {}
    parts: list[memoryview] = []
    view = memoryview(data)
    while at < len(data):
        tag, at = _varint(data, at)
        wire, number = tag & 7, tag >> 3
        if wire == 2:
            size, at = _varint(data, at)
            if number == _BATCH:
                parts.append(view[at : at + size])
            at += size
            continue
        if wire == 0:
            value, at = _varint(data, at)
        elif wire == 1:
            (value,) = _FIXED64.unpack_from(data, at)
            at += 8
        elif wire == 5:
            value, at = int.from_bytes(data[at : at + 4], "little"), at + 4
        else:
            raise ValueError(f"wire type {wire} in a delivery")
        name = _NUMBERS.get(number)
        if name is not None:
            fields[name] = value
    if at != len(data):
        raise ValueError("a delivery ends inside a field")
    runs = tuple(split_batch(parts[0] if len(parts) == 1 else b"".join(parts))) if parts else ()
    return EventBatch(
        subscription_id=fields.get("subscription_id", 0),
        first_number=fields.get("first_number", 0),
        count=sum(len(rows) for _, rows in runs),
        last_sequence=fields.get("last_sequence", 0),
        received_ns=received_ns,
        runs=runs,
        conflated=fields.get("conflated", 0),
    )


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("a varint of more than ten bytes")
