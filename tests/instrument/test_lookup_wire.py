"""Requests as bytes: what is looked up as it stands on the wire answers as what is parsed does, whatever the bytes are."""

from __future__ import annotations

import random

import pytest

from alphapulse.api.common.v1 import common_pb2 as common
from alphapulse.api.instrument.v1 import instrument_service_pb2 as service
from alphapulse.client.channel import open_channel
from alphapulse.domain import errors

BATCH = "/alphapulse.api.instrument.v1.InstrumentService/BatchLookup"
ONE = "/alphapulse.api.instrument.v1.InstrumentService/LookupISIN"
ISIN = common.IDENTIFIER_SCHEME_ISIN


@pytest.fixture
async def ask(registry):
    """Calls a method with bytes; the parsed results."""
    async with open_channel(registry.address) as channel:

        async def call(method: str, raw: bytes) -> list[service.LookupResult]:
            answer = await channel.unary_unary(method)(raw)
            return list(service.BatchLookupResponse.FromString(answer).results)

        yield call


@pytest.fixture
async def held(registry, entries) -> list[str]:
    """ISINs that the process holds answers of, the last two negative."""
    isins = [entries.isin(number) for number in range(6)]
    for one in isins[:4]:
        await registry.register(entries.equity(one))
    await registry.stub.BatchLookup(service.BatchLookupRequest(scheme=ISIN, values=isins))
    return isins


async def test_any_mixture_of_values_is_answered_as_each_alone(registry, ask, held):
    dice = random.Random(7)
    tag = "\x1a\x0c"
    odd = [
        "",
        tag,
        held[0] + tag + held[1],
        tag + held[0],
        held[0][:11],
        held[0] + "0",
        held[0].lower(),
        f" {held[1]}",
        "é" * 6,
    ]
    alone = {one: (await registry.isin(one)) for one in [*held, *odd]}
    for _ in range(60):
        values = dice.choices([*held, *odd], weights=[8] * 6 + [1] * len(odd), k=dice.randrange(1, 9))
        found = await ask(BATCH, service.BatchLookupRequest(scheme=ISIN, values=values).SerializeToString())
        assert len(found) == len(values)
        for one, result in zip(values, found, strict=True):
            result.violation.field = "isin"
            alone[one].violation.field = "isin"
            assert result == alone[one]


async def test_every_encoding_of_a_request_has_one_answer(ask, held):
    values = [held[2], held[5], held[2]]
    request = service.BatchLookupRequest(scheme=ISIN, values=values)
    raw = request.SerializeToString()
    expected = await ask(BATCH, raw)
    assert [one.outcome for one in expected] == [1, 5, 1]
    scheme, rest = raw[:2], raw[2:]
    encodings = {
        "the scheme last": rest + scheme,
        "the scheme twice, the last counts": b"\x10\x02" + raw,
        "the scheme again behind": raw + scheme,
        "a field of a later version": raw + b"\xa2\x06\x00",
        "options that ask for nothing": raw + b"\x22\x00",
        "a longer number": b"\x10\x81\x00" + rest,
    }
    for what, encoded in encodings.items():
        assert await ask(BATCH, encoded) == expected, what
    changed = await ask(BATCH, raw + b"\x10\x02")  # the last scheme counts: these are no CUSIPs
    assert {one.violation.rule for one in changed} == {"cusip-length"}


async def test_a_single_request_of_any_encoding(ask, held):
    raw = service.LookupISINRequest(isin=held[0]).SerializeToString()
    expected = await ask(ONE, raw)
    assert expected[0].entries
    for encoded in (raw + b"\x12\x00", raw + b"\xa2\x06\x00", b"\x0a\x00" + raw, raw + raw):
        assert await ask(ONE, encoded) == expected


async def test_what_is_no_request_is_refused_and_too_many_too(registry, ask, held):
    for raw in (b"\x10\x01\x1a\x0c" + held[0].encode()[:5], b"\x1a"):
        error = await registry.refused(ask(BATCH, raw))
        assert isinstance(error, errors.InvalidArgument)
    many = service.BatchLookupRequest(scheme=ISIN, values=[held[0]] * 10_001).SerializeToString()
    assert isinstance(await registry.refused(ask(BATCH, many)), errors.InvalidArgument)
    most = service.BatchLookupRequest(scheme=ISIN, values=[held[4]] * 10_000).SerializeToString()
    assert len(await ask(BATCH, most)) == 10_000
