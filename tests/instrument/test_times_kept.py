"""Times are kept to the microsecond, and a finer one is refused: nothing is found before its time."""

from __future__ import annotations

from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from alphapulse.api.instrument.v1 import instrument_pb2 as wire
from alphapulse.api.instrument.v1 import instrument_service_pb2 as service
from registry_service.times import cut_times

from .cases import day

SOON = 1_700_000_000


def at(nanos: int) -> Timestamp:
    return Timestamp(seconds=SOON, nanos=nanos)


async def test_a_finer_time_is_refused_with_path_value_and_rule(registry: Any, entries: Any) -> None:
    finer = entries.identifier("TICKER", "ABC", venue="XETR", valid_from=at(1), valid_to=at(2_000))
    entry = entries.equity(entries.isin(1), identifiers=[finer])
    listing = entries.listing("XETR", "ABC", valid_from=at(1_001))
    listing.upcoming_rules.add(effective_from=at(5))
    error = await registry.refused(registry.register(entry, listing))
    assert [(one.field, one.value, one.rule) for one in error.violations if one.rule == "time-precision"] == [
        ("instrument.identifiers[1].valid_from", "2023-11-14T22:13:20.000000001Z", "time-precision"),
        ("listings[0].valid_from", "2023-11-14T22:13:20.000001001Z", "time-precision"),
        ("listings[0].upcoming_rules[0].effective_from", "2023-11-14T22:13:20.000000005Z", "time-precision"),
    ]
    own = (await registry.register(entries.equity(entries.isin(1)))).entry.instrument.instrument_id
    event = wire.LifecycleEvent(instrument_id=own, effective_time=at(1))
    event.name_change.new_name = "Other"
    call = registry.stub.RecordLifecycleEvent(service.RecordLifecycleEventRequest(event=event))
    assert [(one.field, one.rule) for one in (await registry.refused(call)).violations] == [
        ("event.effective_time", "time-precision")
    ]


async def test_what_is_asked_about_may_be_finer_and_finds_nothing_before_its_time(registry: Any, entries: Any) -> None:
    await registry.register(entries.equity(entries.isin(1)), entries.listing("XETR", "ABC", valid_from=at(1_000)))
    found = {}
    for nanos in (0, 1, 999, 1_000, 1_001):
        found[nanos] = len((await registry.symbol("ABC", "XETR", as_of=at(nanos))).entries)
    assert found == {0: 0, 1: 0, 999: 0, 1_000: 1, 1_001: 1}


@given(st.lists(st.integers(0, 999_999_999), min_size=4, max_size=4))
def test_times_of_former_days_are_cut_wherever_they_stand(nanos: list[int]) -> None:
    one = wire.Instrument(name="A", events=[wire.LifecycleEvent(effective_time=day(2020))])
    one.identifiers.add(value="x", valid_from=at(nanos[0]), valid_to=at(nanos[1]))
    one.option.expiry.CopyFrom(at(nanos[2]))
    one.create_time.CopyFrom(at(nanos[3]))
    cut_times(one)
    got = [one.identifiers[0].valid_from, one.identifiers[0].valid_to, one.option.expiry, one.create_time]
    assert [each.nanos for each in got] == [each // 1000 * 1000 for each in nanos]
    assert one.events[0].effective_time == day(2020)
