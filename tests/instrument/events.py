"""How tests record lifecycle events and read what became of them."""

from __future__ import annotations

from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from alphapulse.api.common.v1 import common_pb2 as common
from alphapulse.api.instrument.v1 import instrument_pb2 as wire
from alphapulse.api.instrument.v1 import instrument_service_pb2 as service

UNCHANGED = service.REGISTRATION_OUTCOME_UNCHANGED
COLLISION = service.REGISTRATION_OUTCOME_COLLISION
RESOLVED = common.LOOKUP_OUTCOME_RESOLVED
RETIRED = common.LOOKUP_OUTCOME_RETIRED
REUSED = common.LOOKUP_OUTCOME_REUSED
NOT_FOUND = common.LOOKUP_OUTCOME_NOT_FOUND
LATEST = common.ReadOptions(latest=True)


def stamp(moment):
    message = Timestamp()
    message.FromDatetime(moment.astimezone(UTC).replace(tzinfo=None))
    return message


def day(year, month=1, number=1):
    return stamp(datetime(year, month, number, tzinfo=UTC))


async def record(registry, at, write=None, **fields):
    event = wire.LifecycleEvent(effective_time=at, **fields)
    request = service.RecordLifecycleEventRequest(
        event=event, write=common.WriteOptions(**{"actor": "ann", **(write or {})})
    )
    return await registry.stub.RecordLifecycleEvent(request)


async def get(registry, instrument_id, **fields):
    request = service.GetInstrumentRequest(instrument_id=instrument_id, read=LATEST, **fields)
    return (await registry.stub.GetInstrument(request)).entry


async def history(registry, instrument_id, **fields):
    request = service.GetInstrumentHistoryRequest(instrument_id=instrument_id, read=LATEST, **fields)
    return await registry.stub.GetInstrumentHistory(request)


def ids(found):
    return {one.instrument.instrument_id for one in found.entries}


def kinds(events):
    return [one.WhichOneof("event") for one in events]


async def listed(registry, entries, number, *listings, name="Alpha Works", **fields):
    answer = await registry.register(entries.equity(entries.isin(number), name=name, **fields), *listings)
    return answer.entry
