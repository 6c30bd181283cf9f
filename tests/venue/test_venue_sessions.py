"""When venues are open, against days that are known."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from alphapulse.api.venue.v1 import venue_pb2 as wire
from alphapulse.api.venue.v1 import venue_service_pb2 as service
from alphapulse.api.venue.v1 import venue_service_pb2_grpc as rpc
from alphapulse.client.errors import from_rpc_error
from alphapulse.domain import errors

Stub = rpc.VenueServiceStub


def stamp(text: str) -> Timestamp:
    message = Timestamp()
    message.FromDatetime(datetime.fromisoformat(text).astimezone(UTC).replace(tzinfo=None))
    return message


@pytest.fixture
async def open_hours(venues: Stub) -> Stub:
    """New York, Tokyo (with a lunch break), a crypto exchange, and venues of which little is known."""
    kinds: list[dict[str, Any]] = [
        {"code": "XNYS", "mic": "XNYS", "calendar": "XNYS"},
        {"code": "XTKS", "mic": "XTKS", "calendar": "XTKS"},
        {"code": "KRAKEN", "always_open": True},
        {"code": "HALTED", "always_open": True, "status": wire.VENUE_STATUS_HALTED},
        {"code": "UNKNOWN"},
    ]
    for fields in kinds:
        venue = wire.Venue(name="a venue", type=wire.VENUE_TYPE_EXCHANGE, **fields)
        await venues.RegisterVenue(service.RegisterVenueRequest(venue=venue))
    return venues


@pytest.mark.parametrize(
    ("code", "at", "is_open", "phase", "next_open", "next_close"),
    [
        ("XNYS", "2025-07-03T16:59:59+00:00", True, 2, "2025-07-07T13:30:00+00:00", "2025-07-03T17:00:00+00:00"),
        ("XNYS", "2025-07-03T17:00:00+00:00", False, 4, "2025-07-07T13:30:00+00:00", "2025-07-07T20:00:00+00:00"),
        ("XNYS", "2025-07-07T13:30:00+00:00", True, 2, "2025-07-08T13:30:00+00:00", "2025-07-07T20:00:00+00:00"),
        ("XTKS", "2025-07-07T03:00:00+00:00", False, 3, "2025-07-07T03:30:00+00:00", "2025-07-07T06:30:00+00:00"),
        ("XTKS", "2025-07-07T00:00:00+00:00", True, 2, "2025-07-07T03:30:00+00:00", "2025-07-07T02:30:00+00:00"),
    ],
)
async def test_open_at_a_time(
    open_hours: Stub, code: str, at: str, is_open: bool, phase: int, next_open: str, next_close: str
) -> None:
    answer = await open_hours.IsOpen(service.IsOpenRequest(code=code, at=stamp(at)))
    assert (answer.open, answer.phase) == (is_open, phase)
    assert answer.next_open == stamp(next_open)
    assert answer.next_close == stamp(next_close)
    assert "exchange_calendars" in answer.source


async def test_open_without_a_calendar(open_hours: Stub) -> None:
    assert (await open_hours.IsOpen(service.IsOpenRequest(code="KRAKEN"))).open
    halted = await open_hours.IsOpen(service.IsOpenRequest(code="HALTED"))
    assert not halted.open
    assert halted.source == "status HALTED"


@pytest.mark.parametrize(
    ("code", "at", "kind"),
    [
        ("UNKNOWN", None, errors.FailedPrecondition),
        ("NOBODY", None, errors.NotFound),
        ("?", None, errors.InvalidArgument),
        ("XNYS", "1901-01-01T00:00:00+00:00", errors.OutOfRange),
    ],
)
async def test_what_cannot_be_told_is_an_error(
    open_hours: Stub, code: str, at: str | None, kind: type[errors.AlphaPulseError]
) -> None:
    request = service.IsOpenRequest(code=code, at=stamp(at) if at else None)
    with pytest.raises(grpc.RpcError) as caught:
        await open_hours.IsOpen(request)
    assert isinstance(from_rpc_error(caught.value), kind)


async def test_sessions_between_days(open_hours: Stub) -> None:
    request = service.ListSessionsRequest(code="XNYS", from_date="2025-07-02", to_date="2025-07-07")
    sessions = (await open_hours.ListSessions(request)).sessions
    assert [(one.session_date, one.early_close) for one in sessions if one.phase == 2] == [
        ("2025-07-02", False),
        ("2025-07-03", True),
        ("2025-07-07", False),
    ]
    tokyo = service.ListSessionsRequest(code="XTKS", from_date="2025-07-07", to_date="2025-07-07")
    assert [one.phase for one in (await open_hours.ListSessions(tokyo)).sessions] == [2, 3, 2]
    always = service.ListSessionsRequest(code="KRAKEN", from_date="2025-07-05", to_date="2025-07-06")
    assert len((await open_hours.ListSessions(always)).sessions) == 2


@pytest.mark.parametrize(
    ("first", "last"),
    [("2025-7-2", "2025-07-03"), ("2025-07-03", "2025-07-02"), ("2025-01-01", "2026-12-31"), ("", "")],
)
async def test_wrong_days_are_refused(open_hours: Stub, first: str, last: str) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        await open_hours.ListSessions(service.ListSessionsRequest(code="XNYS", from_date=first, to_date=last))
    assert isinstance(from_rpc_error(caught.value), errors.InvalidArgument)
