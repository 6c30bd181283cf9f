"""Requests whose every field is odd: each RPC of the registries answers with an error that a person can read, or serves them; it never breaks."""

from __future__ import annotations

import random
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor import FieldDescriptor as Field
from google.protobuf.message import Message

from alphapulse.client.errors import from_rpc_error
from alphapulse.domain.errors import InvalidArgument

TEXTS = (
    "",
    " ",
    "a",
    "\x00",
    "\u202e",
    "\U0001f40d",
    "Z" * 70_000,
    "US0378331005",
    "f" * 32,
    "../..",
    "%s{}",
    "-1",
    "1e400",
)
INTEGERS = (0, 1, -1, 2**31 - 1, -(2**31))
LONG = (*INTEGERS, 2**63 - 1, -(2**63))
FLOATS = (0.0, -0.0, 1.5, float("nan"), float("inf"), -1e308)
DEPTH = 5


def odd(field: Any, chance: random.Random) -> Any:
    """A value of a field that is no message."""
    if field.enum_type is not None:
        return chance.choice([0, 1, 2, 999, -1])
    if field.type == Field.TYPE_STRING:
        return chance.choice(TEXTS)
    if field.type == Field.TYPE_BYTES:
        return chance.choice((b"", b"\xff" * 9))
    if field.type == Field.TYPE_BOOL:
        return chance.random() < 0.5
    if field.type in (Field.TYPE_DOUBLE, Field.TYPE_FLOAT):
        return chance.choice(FLOATS)
    if field.type in (Field.TYPE_UINT32, Field.TYPE_FIXED32):
        return chance.choice((0, 1, 2**32 - 1))
    if field.type in (Field.TYPE_UINT64, Field.TYPE_FIXED64):
        return chance.choice((0, 1, 2**64 - 1))
    return chance.choice(LONG if field.type in (Field.TYPE_INT64, Field.TYPE_SINT64, Field.TYPE_SFIXED64) else INTEGERS)


def fill(message: Message, chance: random.Random, depth: int = 0) -> None:
    """Puts odd values into a message and those inside it."""
    for field in message.DESCRIPTOR.fields:
        if chance.random() < 0.35 or (field.message_type is not None and depth == DEPTH):
            continue
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            key, value = field.message_type.fields
            if value.message_type is None:
                getattr(message, field.name)[odd(key, chance)] = odd(value, chance)
        elif field.is_repeated and field.message_type is not None:
            for _ in range(chance.choice((1, 1, 2))):
                fill(getattr(message, field.name).add(), chance, depth + 1)
        elif field.is_repeated:
            getattr(message, field.name).extend(odd(field, chance) for _ in range(chance.choice((1, 2, 3))))
        elif field.message_type is not None:
            getattr(message, field.name).SetInParent()
            fill(getattr(message, field.name), chance, depth + 1)
        else:
            setattr(message, field.name, odd(field, chance))


@pytest.mark.parametrize("service", ["instrument", "venue", "synthetic"])
async def test_odd_requests_break_nothing(registries: Any, service: str) -> None:
    described = descriptor_pool.Default().FindServiceByName(registries.services[service])
    chance = random.Random(7)
    refused = 0
    for method in described.methods:
        if method.client_streaming or method.server_streaming:
            continue
        call = registries.channels[service].unary_unary(f"/{described.full_name}/{method.name}")
        for attempt in range(12):
            request = message_factory.GetMessageClass(method.input_type)()
            fill(request, chance)
            where = f"{method.name} {attempt}"
            try:
                await call(request.SerializeToString())
            except grpc.aio.AioRpcError as caught:
                error = from_rpc_error(caught)
                assert error.code not in ("INTERNAL", "UNKNOWN", "DATA_LOSS"), (where, error)
                refused += isinstance(error, InvalidArgument)
                for violation in error.violations:
                    assert violation.field, (where, violation)
                    # What a message looks like in text is for its programmers.
                    assert not any(
                        part in violation.value for part in ("mantissa:", "seconds:", "<google", "exponent:")
                    ), (where, violation)
                    assert "datetime" not in violation.description, (where, violation)
    assert refused > 50
