"""A venue can name a calendar that a package has, and no other."""

from __future__ import annotations

import json
from typing import Any

import asyncpg
import grpc
import pytest

from alphapulse.api.venue.v1 import venue_pb2 as wire
from alphapulse.api.venue.v1 import venue_service_pb2 as service
from alphapulse.api.venue.v1 import venue_service_pb2_grpc as rpc
from alphapulse.client.errors import from_rpc_error
from alphapulse.domain.errors import FieldViolation
from registry_service.venue import calendar_names
from registry_service.venue.calendar_packages import every_name, versions

Stub = rpc.VenueServiceStub
REFUSED = service.VENUE_REGISTRATION_OUTCOME_REFUSED


def venue(code: str, calendar: str, **fields: Any) -> wire.Venue:
    return wire.Venue(code=code, name="a venue", type=wire.VENUE_TYPE_EXCHANGE, calendar=calendar, **fields)


async def violations(call: Any) -> list[FieldViolation]:
    with pytest.raises(grpc.RpcError) as caught:
        await call
    return list(from_rpc_error(caught.value).violations)


async def update(venues: Stub, *paths: str, **fields: Any) -> wire.Venue:
    request = service.UpdateVenueRequest(venue=wire.Venue(**fields))
    request.update_mask.paths.extend(paths)
    return (await venues.UpdateVenue(request)).venue


async def test_a_calendar_nobody_knows_is_refused_with_those_near_it(venues: Stub) -> None:
    broken = await violations(venues.RegisterVenue(service.RegisterVenueRequest(venue=venue("A1", "xnyse"))))
    assert [(one.field, one.value, one.rule) for one in broken] == [("venue.calendar", "xnyse", "calendar-unknown")]
    assert "XNYS" in broken[0].description.rpartition("near it: ")[2].split(", ")

    batch = service.RegisterVenuesRequest(venues=[venue("A1", "XTKS"), venue("A2", "QQQQQQQQQ"), venue("A3", "")])
    (answer,) = [one async for one in venues.RegisterVenues(iter([batch]))]
    assert [one.outcome == REFUSED for one in answer.results] == [False, True, False]
    (told,) = answer.results[1].error.violations
    assert (told.field, told.rule) == ("venues[1].calendar", "calendar-unknown")
    assert "near it" not in told.description

    broken = await violations(update(venues, "calendar", code="A1", calendar="XTKSE"))
    assert [(one.field, one.rule) for one in broken] == [("venue.calendar", "calendar-unknown")]
    # An alias, and a calendar of the other package.
    assert (await update(venues, "calendar", code="A1", calendar="NYSE")).calendar == "NYSE"
    assert (await update(venues, "calendar", code="A1", calendar="SIFMA_US")).calendar == "SIFMA_US"


async def test_a_venue_with_a_calendar_that_was_given_up_can_be_changed(venues: Stub, venue_database: str) -> None:
    await venues.RegisterVenue(service.RegisterVenueRequest(venue=venue("A1", "XTKS")))
    connection = await asyncpg.connect(venue_database)
    body = await connection.fetchval("SELECT body FROM venue.entity")
    held = wire.Venue.FromString(body)
    held.calendar = "GONE"
    await connection.execute("UPDATE venue.entity SET body = $1", held.SerializeToString())
    await connection.close()
    assert (await update(venues, "city", code="A1", city="Tokyo")).calendar == "GONE"
    again = await venues.RegisterVenue(service.RegisterVenueRequest(venue=venue("A1", "GONE")))
    assert again.venue.city == "Tokyo"


def test_the_names_at_hand_are_those_of_the_packages(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """`make docs` writes them."""
    held = json.loads(calendar_names.NAMES.read_text())
    assert held == {"versions": versions(), "names": sorted(every_name())}
    # With another version installed the packages are asked.
    older = tmp_path / "names.json"
    older.write_text(json.dumps({"versions": {}, "names": []}))
    monkeypatch.setattr(calendar_names, "NAMES", older)
    calendar_names.known_names.cache_clear()
    assert calendar_names.known_names() == frozenset(held["names"])
    calendar_names.known_names.cache_clear()
