"""Fee schedules by time, declared sessions, and the venue registry as of another time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import exchange_calendars
import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from alphapulse.api.common.v1 import common_pb2 as common
from alphapulse.api.venue.v1 import venue_pb2 as wire
from alphapulse.api.venue.v1 import venue_service_pb2 as service
from alphapulse.api.venue.v1 import venue_service_pb2_grpc as rpc
from alphapulse.client.errors import from_rpc_error
from alphapulse.domain import errors

Stub = rpc.VenueServiceStub
LATEST = common.ReadOptions(latest=True)


def at(text: str) -> Timestamp:
    message = Timestamp()
    message.FromDatetime(datetime.fromisoformat(text).astimezone(UTC).replace(tzinfo=None))
    return message


async def failing(call: Any) -> errors.AlphaPulseError:
    with pytest.raises(grpc.RpcError) as caught:
        await call
    return from_rpc_error(caught.value)


async def add(venues: Stub, code: str = "ALPHA", **fields: Any) -> wire.Venue:
    fields = {"name": code, "type": wire.VENUE_TYPE_CRYPTO_EXCHANGE, **fields}
    request = service.RegisterVenueRequest(venue=wire.Venue(code=code, **fields))
    return (await venues.RegisterVenue(request)).venue


def schedule(taker: int, product: str = "SPOT", **fields: Any) -> wire.FeeSchedule:
    tier = wire.FeeTier(maker_bps=common.Decimal(mantissa=1), taker_bps=common.Decimal(mantissa=taker))
    return wire.FeeSchedule(tiers=[tier], volume_currency="USD", product=product, **fields)


def takers(venue: wire.Venue) -> list[tuple[str, int]]:
    return [(one.product, one.tiers[0].taker_bps.mantissa) for one in venue.fee_schedules]


async def test_a_new_fee_schedule_is_one_revision_and_the_old_one_can_be_asked_for(venues: Stub) -> None:
    before = await add(venues, fee_schedules=[schedule(10), schedule(50, "PERPETUAL")])
    request = service.SetFeeScheduleRequest(
        code="ALPHA", schedule=schedule(8, valid_from=at("2025-06-01T00:00:00+00:00"))
    )
    after = (await venues.SetFeeSchedule(request)).venue
    assert after.revision == before.revision + 1
    assert (await venues.SetFeeSchedule(request)).venue == after

    async def as_of(text: str) -> list[tuple[str, int]]:
        read = service.GetVenueRequest(code="ALPHA", as_of=at(text), read=LATEST)
        return takers((await venues.GetVenue(read)).venue)

    assert await as_of("2025-05-31T23:59:59+00:00") == [("SPOT", 10), ("PERPETUAL", 50)]
    assert await as_of("2025-06-01T00:00:00+00:00") == [("PERPETUAL", 50), ("SPOT", 8)]
    assert len((await venues.GetVenue(service.GetVenueRequest(code="ALPHA", read=LATEST))).venue.fee_schedules) == 3
    # One that would reach into a schedule that begins later is refused, whole.
    overlapping = service.SetFeeScheduleRequest(
        code="ALPHA", schedule=schedule(9, valid_from=at("2025-03-01T00:00:00+00:00"))
    )
    error = await failing(venues.SetFeeSchedule(overlapping))
    assert [one.rule for one in error.violations] == ["span-overlap"]
    overlapping.schedule.valid_to.CopyFrom(at("2025-06-01T00:00:00+00:00"))
    await venues.SetFeeSchedule(overlapping)
    assert await as_of("2025-02-28T00:00:00+00:00") == [("SPOT", 10), ("PERPETUAL", 50)]
    assert await as_of("2025-03-01T00:00:00+00:00") == [("PERPETUAL", 50), ("SPOT", 9)]
    twice = service.SetFeeScheduleRequest(
        code="ALPHA", schedule=schedule(7, valid_from=at("2025-06-01T00:00:00+00:00"))
    )
    assert [one.rule for one in (await failing(venues.SetFeeSchedule(twice))).violations] == ["schedule-exists"]


async def test_a_venue_as_it_was_known(venues: Stub) -> None:
    first = await add(venues, city="Paris")
    known = service.GetVenueRequest(code="ALPHA", known_at=first.update_time)
    update = service.UpdateVenueRequest(venue=wire.Venue(code="ALPHA", city="Rome"))
    update.update_mask.paths.append("city")
    await venues.UpdateVenue(update)
    assert (await venues.GetVenue(known)).venue.city == "Paris"
    assert (await venues.GetVenue(service.GetVenueRequest(code="ALPHA", read=LATEST))).venue.city == "Rome"
    error = await failing(
        venues.GetVenue(service.GetVenueRequest(code="ALPHA", known_at=at("2020-01-01T00:00:00+00:00")))
    )
    assert isinstance(error, errors.NotFound)
    bad = service.GetVenueRequest(code="?", as_of=Timestamp(seconds=-(10**12)), known_at=Timestamp(seconds=10**12))
    assert [one.field for one in (await failing(venues.GetVenue(bad))).violations] == ["code", "as_of", "known_at"]


def closure(**fields: Any) -> wire.SessionException:
    fields = {
        "kind": wire.SESSION_EXCEPTION_KIND_CLOSED,
        "first_date": "2025-01-09",
        "declare_time": at("2024-12-30T20:00:00+00:00"),
        **fields,
    }
    return wire.SessionException(**fields)


async def declare(venues: Stub, code: str, exception: wire.SessionException) -> service.DeclareSessionResponse:
    return await venues.DeclareSession(service.DeclareSessionRequest(code=code, exception=exception))


async def test_a_closure_counts_from_its_declaration_on(venues: Stub) -> None:
    """9 January 2025: the package has it as a closure; before it was declared everybody expected a session."""
    await add(venues, "XNYS", mic="XNYS", calendar="XNYS", time_zone="America/New_York")
    noon = at("2025-01-09T17:00:00+00:00")

    async def is_open(**fields: Any) -> service.IsOpenResponse:
        return await venues.IsOpen(service.IsOpenRequest(code="XNYS", at=noon, read=LATEST, **fields))

    assert not (await is_open()).open
    assert not (await is_open(known_at=at("2024-12-30T19:59:59+00:00"))).open
    told = await declare(venues, "XNYS", closure(reason="National Day of Mourning"))
    assert told.exception.exception_id
    assert told.exception.HasField("record_time")
    assert await declare(venues, "XNYS", closure()) == told
    assert not (await is_open()).open
    assert not (await is_open(known_at=at("2024-12-30T20:00:00+00:00"))).open
    before = await is_open(known_at=at("2024-12-30T19:59:59+00:00"))
    assert before.open
    assert before.next_close == at("2025-01-09T21:00:00+00:00")
    request = service.ListSessionsRequest(code="XNYS", from_date="2025-01-08", to_date="2025-01-10", read=LATEST)
    days = {one.session_date for one in (await venues.ListSessions(request)).sessions}
    assert days == {"2025-01-08", "2025-01-10"}
    request.known_at.CopyFrom(at("2024-12-01T00:00:00+00:00"))
    assert {one.session_date for one in (await venues.ListSessions(request)).sessions} == days | {"2025-01-09"}


async def test_special_hours_and_an_interruption(venues: Stub) -> None:
    await add(venues, "XNYS", mic="XNYS", calendar="XNYS")
    hours = closure(
        kind=wire.SESSION_EXCEPTION_KIND_HOURS,
        first_date="2024-07-08",
        open_time=at("2024-07-08T15:00:00+00:00"),
        close_time=at("2024-07-08T18:00:00+00:00"),
        declare_time=at("2024-07-07T00:00:00+00:00"),
    )
    pause = closure(
        kind=wire.SESSION_EXCEPTION_KIND_INTERRUPTION,
        first_date="",
        open_time=at("2024-07-08T16:00:00+00:00"),
        close_time=at("2024-07-08T16:30:00+00:00"),
        declare_time=at("2024-07-08T16:00:00+00:00"),
    )
    changed = (await declare(venues, "XNYS", hours)).exception
    stopped = (await declare(venues, "XNYS", pause)).exception
    request = service.ListSessionsRequest(code="XNYS", from_date="2024-07-08", to_date="2024-07-08", read=LATEST)
    sessions = (await venues.ListSessions(request)).sessions
    shown = [(one.phase, one.open_time.ToDatetime().hour, one.late_open, one.early_close) for one in sessions]
    assert shown == [(1, 8, False, False), (2, 15, True, False), (3, 16, False, False), (2, 16, False, True)]
    assert [one.exception_id for one in sessions] == [
        *(changed.exception_id, changed.exception_id, stopped.exception_id, changed.exception_id)
    ]
    assert not any(one.scheduled for one in sessions)
    assert sessions[1].declare_time == hours.declare_time
    inside = await venues.IsOpen(service.IsOpenRequest(code="XNYS", at=at("2024-07-08T16:10:00+00:00"), read=LATEST))
    assert (inside.open, inside.phase, inside.exception_id) == (False, 3, stopped.exception_id)
    assert inside.next_open == at("2024-07-08T16:30:00+00:00")
    # Taken back in the middle of it: trading goes on.
    withdrawn = service.WithdrawSessionRequest(
        code="XNYS", exception_id=stopped.exception_id, withdraw_time=at("2024-07-08T16:05:00+00:00")
    )
    answer = await venues.WithdrawSession(withdrawn)
    assert answer.exception.withdraw_time == withdrawn.withdraw_time
    assert (await venues.WithdrawSession(withdrawn)).venue == answer.venue
    again = await venues.IsOpen(service.IsOpenRequest(code="XNYS", at=at("2024-07-08T16:10:00+00:00"), read=LATEST))
    assert again.open
    other = service.WithdrawSessionRequest(code="XNYS", exception_id=stopped.exception_id)
    other.withdraw_time.CopyFrom(at("2024-07-08T17:00:00+00:00"))
    assert [one.rule for one in (await failing(venues.WithdrawSession(other))).violations] == ["withdrawn"]


async def test_what_was_taken_back_and_is_declared_again_is_in_force_anew(venues: Stub) -> None:
    """Even word for word as the first time. What was known between the two stays known of that time."""
    await add(venues, "XNYS", mic="XNYS", always_open=True)
    day = closure(first_date="2025-03-03")
    first = (await declare(venues, "XNYS", day)).exception

    async def is_open(known_at: Timestamp | None = None) -> bool:
        noon = at("2025-03-03T12:00:00+00:00")
        request = service.IsOpenRequest(code="XNYS", at=noon, known_at=known_at, read=LATEST)
        return (await venues.IsOpen(request)).open

    withdrawal = service.WithdrawSessionRequest(code="XNYS", exception_id=first.exception_id)
    withdrawn = (await venues.WithdrawSession(withdrawal)).exception.withdraw_time
    assert await is_open()
    answer = await declare(venues, "XNYS", day)
    again = answer.exception
    assert not await is_open()
    assert again.exception_id != first.exception_id
    assert not again.HasField("withdraw_time")
    assert again.declare_time.ToNanoseconds() >= withdrawn.ToNanoseconds()
    held = answer.venue.session_exceptions
    assert [one.exception_id for one in held] == [first.exception_id, again.exception_id]
    assert held[0].withdraw_time == withdrawn
    assert not await is_open(day.declare_time)
    assert await is_open(withdrawn)
    # Told once more it is the one that stands; taken back once more it can be declared once more.
    assert await declare(venues, "XNYS", day) == answer
    withdrawal.exception_id = again.exception_id
    await venues.WithdrawSession(withdrawal)
    assert await is_open()
    third = (await declare(venues, "XNYS", day)).venue.session_exceptions
    assert len({one.exception_id for one in third}) == 3
    assert not await is_open()


async def test_what_is_declared_by_a_clock_ahead_of_ours_is_in_force_when_it_is_answered(venues: Stub) -> None:
    await add(venues, "ALPHA", always_open=True)
    now = datetime.now(UTC)
    pause = closure(
        kind=wire.SESSION_EXCEPTION_KIND_INTERRUPTION,
        first_date="",
        open_time=at((now - timedelta(minutes=1)).isoformat()),
        close_time=at((now + timedelta(hours=1)).isoformat()),
        declare_time=at((now + timedelta(minutes=4)).isoformat()),
    )
    told = await declare(venues, "ALPHA", pause)
    assert told.exception.declare_time == pause.declare_time
    answer = await venues.IsOpen(service.IsOpenRequest(code="ALPHA", read=LATEST))
    assert (answer.open, answer.exception_id) == (False, told.exception.exception_id)
    assert await declare(venues, "ALPHA", pause) == told


async def test_maintenance_of_a_venue_that_never_closes(venues: Stub) -> None:
    await add(venues, "ALPHA", always_open=True)
    pause = closure(
        kind=wire.SESSION_EXCEPTION_KIND_INTERRUPTION,
        first_date="",
        open_time=at("2025-02-01T02:00:00+00:00"),
        close_time=at("2025-02-01T04:00:00+00:00"),
    )
    await declare(venues, "ALPHA", pause)
    before = await venues.IsOpen(service.IsOpenRequest(code="ALPHA", at=at("2025-02-01T01:00:00+00:00"), read=LATEST))
    assert (before.open, before.next_close, before.next_open) == (True, pause.open_time, pause.close_time)
    inside = await venues.IsOpen(service.IsOpenRequest(code="ALPHA", at=at("2025-02-01T03:00:00+00:00"), read=LATEST))
    assert not inside.open
    after = await venues.IsOpen(service.IsOpenRequest(code="ALPHA", at=at("2025-02-01T04:00:00+00:00"), read=LATEST))
    assert after.open
    assert not after.HasField("next_close")
    request = service.ListSessionsRequest(code="ALPHA", from_date="2025-02-01", to_date="2025-02-02", read=LATEST)
    assert len((await venues.ListSessions(request)).sessions) == 3
    refused = await failing(declare(venues, "ALPHA", closure(kind=wire.SESSION_EXCEPTION_KIND_HOURS)))
    assert isinstance(refused, errors.InvalidArgument)


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({"declare_time": None}, [("exception.declare_time", "required")]),
        ({"declare_time": Timestamp(seconds=10**10)}, [("exception.declare_time", "time-to-come")]),
        ({"declare_time": Timestamp(seconds=1, nanos=1)}, [("exception.declare_time", "time-precision")]),
        ({"first_date": "9 Jan"}, [("exception.first_date", "date-format")]),
        ({"last_date": "2025-01-08"}, [("exception.last_date", "date-span")]),
        ({"last_date": "2027-01-08"}, [("exception.last_date", "date-span")]),
        ({"kind": 0}, [("exception.kind", "required")]),
        ({"kind": 77}, [("exception.kind", "enum-unknown")]),
        (
            {"kind": wire.SESSION_EXCEPTION_KIND_HOURS},
            [("exception.open_time", "required"), ("exception.close_time", "required")],
        ),
    ],
)
async def test_a_wrong_declaration_is_refused(venues: Stub, fields: dict[str, Any], wanted: list[Any]) -> None:
    await add(venues, "XNYS", mic="XNYS", calendar="XNYS")
    error = await failing(declare(venues, "XNYS", closure(**fields)))
    assert [(one.field, one.rule) for one in error.violations] == wanted


async def test_sessions_in_pages_over_years(venues: Stub) -> None:
    await add(venues, "XLON", mic="XLON", calendar="XLON")
    request = service.ListSessionsRequest(
        code="XLON", from_date="2022-01-01", to_date="2024-12-31", page_size=300, read=LATEST
    )
    days: list[str] = []
    while True:
        page = await venues.ListSessions(request)
        days += [one.session_date for one in page.sessions]
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    package = exchange_calendars.get_calendar("XLON").sessions_in_range("2022-01-01", "2024-12-31")
    assert days == [str(one.date()) for one in package]
    assert (page.covered_from, page.covered_to[4:]) == ("2000-01-01", "-12-31")
    request.to_date = "2024-12-30"
    assert isinstance(await failing(venues.ListSessions(request)), errors.PageTokenInvalid)
    beyond = service.ListSessionsRequest(code="XLON", from_date="2090-01-01", to_date="2090-01-31")
    assert isinstance(await failing(venues.ListSessions(beyond)), errors.OutOfRange)


async def test_every_segment_of_an_operator_is_told(venues: Stub) -> None:
    operator = wire.Venue(code="XOPS", mic="XOPS", operating_mic="XOPS", name="o", type=1, mic_level=1)
    segments = [
        wire.Venue(code=f"{n:04X}", mic=f"{n:04X}", operating_mic="XOPS", name="s", type=1, mic_level=2)
        for n in range(0xA000, 0xA000 + 2345)
    ]
    call = venues.RegisterVenues(iter([service.RegisterVenuesRequest(venues=[operator, *segments])]))
    answers = [answer async for answer in call]
    assert not any(one.error.message for one in answers[0].results)
    found = await venues.LookupMIC(service.LookupMICRequest(mic="XOPS", read=LATEST))
    assert [one.code for one in found.segments] == [one.code for one in segments]
    below = await venues.LookupMIC(service.LookupMICRequest(mic="A000", read=LATEST))
    assert below.operator.code == "XOPS"
    assert not below.segments
    # A change of the operator shows in the look-up of a segment, which may be cached.
    update = service.UpdateVenueRequest(venue=wire.Venue(code="XOPS", city="Oslo"))
    update.update_mask.paths.append("city")
    token = (await venues.UpdateVenue(update)).revision_token
    fresh = common.ReadOptions(at_least_as_fresh=token)
    assert (await venues.LookupMIC(service.LookupMICRequest(mic="A000", read=fresh))).operator.city == "Oslo"


async def test_the_life_of_a_mic_by_date(venues: Stub) -> None:
    record = wire.MicRecord(status=wire.MIC_STATUS_EXPIRED, creation_date="2010-01-01", expiry_date="2020-06-22")
    await add(venues, "XOLD", mic="XOLD", status=wire.VENUE_STATUS_EXPIRED, mic_record=record)

    async def outcome(as_of: str = "") -> int:
        request = service.LookupMICRequest(mic="XOLD", as_of=at(as_of) if as_of else None, read=LATEST)
        return (await venues.LookupMIC(request)).outcome

    assert await outcome() == common.LOOKUP_OUTCOME_RETIRED
    assert await outcome("2009-12-31T23:59:59+00:00") == common.LOOKUP_OUTCOME_NOT_FOUND
    assert await outcome("2010-01-01T00:00:00+00:00") == common.LOOKUP_OUTCOME_RESOLVED
    assert await outcome("2020-06-21T23:59:59+00:00") == common.LOOKUP_OUTCOME_RESOLVED
    assert await outcome("2020-06-22T00:00:00+00:00") == common.LOOKUP_OUTCOME_RETIRED
    early = service.LookupMICRequest(mic="XOLD", known_at=at("2020-01-01T00:00:00+00:00"))
    assert (await venues.LookupMIC(early)).outcome == common.LOOKUP_OUTCOME_NOT_FOUND
