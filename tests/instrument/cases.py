"""How tests ask for collision cases and decide them, and the entries that make some."""

from __future__ import annotations

from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from alphapulse.api.common.v1 import common_pb2 as common
from alphapulse.api.instrument.v1 import instrument_pb2 as wire
from alphapulse.api.instrument.v1 import instrument_service_pb2 as service

CREATED = service.REGISTRATION_OUTCOME_CREATED
EXTENDED = service.REGISTRATION_OUTCOME_EXTENDED
UNCHANGED = service.REGISTRATION_OUTCOME_UNCHANGED
COLLISION = service.REGISTRATION_OUTCOME_COLLISION
RESOLVED = common.LOOKUP_OUTCOME_RESOLVED
AMBIGUOUS = common.LOOKUP_OUTCOME_AMBIGUOUS
RETIRED = common.LOOKUP_OUTCOME_RETIRED
REUSED = common.LOOKUP_OUTCOME_REUSED
MERGE = wire.COLLISION_RESOLUTION_MERGE
SPLIT = wire.COLLISION_RESOLUTION_SPLIT
KEEP_BOTH = wire.COLLISION_RESOLUTION_KEEP_BOTH
REJECT = wire.COLLISION_RESOLUTION_REJECT
LATEST = common.ReadOptions(latest=True)


def stamp(moment):
    message = Timestamp()
    message.FromDatetime(moment.replace(tzinfo=None))
    return message


def day(year, month=1, number=1):
    return stamp(datetime(year, month, number, tzinfo=UTC))


async def cases(registry, **wanted):
    return (await registry.stub.ListCollisionCases(service.ListCollisionCasesRequest(**wanted))).cases


async def case_of(registry, case_id):
    return (await registry.stub.GetCollisionCase(service.GetCollisionCaseRequest(case_id=case_id))).collision_case


async def resolve(registry, case_id, resolution, write=None, **fields):
    fields.setdefault("reason", "the prospectus says so")
    request = service.ResolveCollisionCaseRequest(
        case_id=case_id, resolution=resolution, write=common.WriteOptions(**{"actor": "ann", **(write or {})}), **fields
    )
    return await registry.stub.ResolveCollisionCase(request)


async def get(registry, instrument_id, **fields):
    request = service.GetInstrumentRequest(instrument_id=instrument_id, read=LATEST, **fields)
    return (await registry.stub.GetInstrument(request)).entry


def ids(found):
    return {one.instrument.instrument_id for one in found.entries}


def etf(entries, isin, name="Some company", **fields):
    message = entries.equity(isin, name=name, **fields)
    message.asset_class = common.ASSET_CLASS_ETF
    message.etf.currency = "EUR"
    return message


async def two_of_one_isin(registry, entries, isin, **fields):
    """A share, and a fund that claims its ISIN and is kept in a case."""
    share = await registry.register(entries.equity(isin, name="Alpha Works"), entries.listing("XETR", "ALP"))
    fund = await registry.register(etf(entries, isin, "Beta Fund", **fields), entries.listing("XPAR", "BET"))
    assert fund.outcome == COLLISION
    return share.entry.instrument.instrument_id, fund.collision_case_id
