"""Names and symbols that only look like others are refused by every write, with a rule of its own."""

from __future__ import annotations

from alphapulse.api.common.v1 import common_pb2 as common
from alphapulse.api.instrument.v1 import instrument_pb2 as wire
from alphapulse.api.instrument.v1 import instrument_service_pb2 as service
from registry_service.instrument.convert import stamp

TURNED = "Apple \u202eknaB"
RULE = "text-invisible"


def told(error) -> list[tuple[str, str]]:
    return [(one.field, one.rule) for one in error.violations]


async def test_a_registration_names_every_field_that_hides_something(registry, entries):
    share = entries.equity(entries.isin(1), name=TURNED, source="so\u200burce", details={"sector": "Ba\u2066nks"})
    share.identifiers.append(entries.identifier("TICKER", "AP\u200dPL", venue="XETR"))
    error = await registry.refused(registry.register(share, entries.listing("XETR", "AP\ufeffPL")))
    assert told(error) == [
        ("instrument.name", RULE),
        ("instrument.source", RULE),
        ("instrument.identifiers[1].value", RULE),
        ("instrument.equity.sector", RULE),
        ("listings[0].symbol", RULE),
    ]
    assert "U+202E RIGHT-TO-LEFT OVERRIDE" in error.violations[0].description
    coin = entries.coin("B\u2060TC")
    assert ("instrument.currency.code", RULE) in told(await registry.refused(registry.register(coin)))


async def test_no_change_of_a_name_brings_one_in(registry, entries):
    registered = await registry.register(entries.equity(entries.isin(1)), entries.listing("XETR", "A"))
    held = registered.entry.instrument
    update = service.UpdateInstrumentRequest(
        instrument=wire.Instrument(instrument_id=held.instrument_id, name=TURNED), write=common.WriteOptions(actor="a")
    )
    update.update_mask.paths.append("name")
    assert told(await registry.refused(registry.stub.UpdateInstrument(update))) == [("instrument.name", RULE)]
    event = wire.LifecycleEvent(instrument_id=held.instrument_id, effective_time=stamp(held.create_time.ToDatetime()))
    event.name_change.new_name = TURNED
    request = service.RecordLifecycleEventRequest(event=event)
    found = await registry.refused(registry.stub.RecordLifecycleEvent(request))
    assert told(found) == [("event.name_change.new_name", RULE)]
