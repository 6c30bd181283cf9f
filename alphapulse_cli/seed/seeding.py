"""Sends the data sets to the registries in batches, and says what became of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final, TypeVar

from alphapulse.api.common.v1 import common_pb2 as common
from alphapulse.api.instrument.v1 import instrument_service_pb2 as instruments
from alphapulse.api.synthetic.v1 import synthetic_service_pb2 as synthetic_service
from alphapulse.api.venue.v1 import venue_pb2 as wire
from alphapulse.api.venue.v1 import venue_service_pb2 as venue_service
from alphapulse.client.channel import open_channel
from alphapulse.client.registration import RegistrationStream, SyntheticRegistrationStream, VenueRegistrationStream
from alphapulse_cli.seed import currencies, stocks, synthetics, trading_venues

BATCH: Final = 500
ACTOR: Final = "seed"
Progress = Callable[[str, int], None]
"""Called after each batch with the data set and how many of it were sent so far."""
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class SeedAddresses:
    """host:port of the registries."""

    instrument: str
    venue: str
    synthetic: str = ""
    """Empty: no synthetics are registered."""


@dataclass(slots=True)
class SeedReport:
    """What is in the registries now because of the seed, whether this run put it there or an earlier one did."""

    venues: int = 0
    instruments: int = 0
    instruments_with_isin: int = 0
    listings: int = 0
    synthetics: int = 0
    created: int = 0
    """Entries that this run added, or added something to."""
    unchanged: int = 0
    """Entries that were there, with these or with other values, which were kept."""
    skipped: list[str] = field(default_factory=list)
    """What was left out or refused, and why."""


async def seed_all(
    addresses: SeedAddresses, progress: Progress | None = None, venue_folders: Sequence[Path] = ()
) -> SeedReport:
    """Registers all data sets, with the venue files of a user's folders. Raises InvalidArgument with every fault of those files before
    anything is registered, Unavailable and the like where a registry cannot be reached; refusals of single entries are in the report."""
    report, tell = SeedReport(), progress or _silent
    venues = trading_venues.everything(venue_folders)
    await _venues(addresses.venue, venues, report, tell)
    await _instruments(addresses.instrument, report, tell)
    if addresses.synthetic:
        await seed_synthetics(addresses.synthetic, report, tell)
    return report


async def _venues(address: str, everything: Sequence[wire.Venue], report: SeedReport, tell: Progress) -> None:
    async with open_channel(address) as channel, VenueRegistrationStream(channel) as stream:
        async for batch, response in _sent("venues", everything, tell, lambda part: stream.submit(part, actor=ACTOR)):
            for venue, result in zip(batch, response.results, strict=True):
                created = result.outcome == venue_service.VENUE_REGISTRATION_OUTCOME_CREATED
                refused = result.outcome == venue_service.VENUE_REGISTRATION_OUTCOME_REFUSED
                if _count(report, venue.code, result, created=created, refused=refused):
                    report.venues += 1


async def _instruments(address: str, report: SeedReport, tell: Progress) -> None:
    async with open_channel(address) as channel, RegistrationStream(channel) as stream:
        everything = chain(currencies.entries(), stocks.entries(report.skipped))
        async for batch, response in _sent(
            "instruments", everything, tell, lambda part: stream.submit(part, actor=ACTOR)
        ):
            for entry, result in zip(batch, response.results, strict=True):
                _one_instrument(report, entry, result)


def _one_instrument(report: SeedReport, entry: Any, result: Any) -> None:
    created = result.outcome in (
        instruments.REGISTRATION_OUTCOME_CREATED,
        instruments.REGISTRATION_OUTCOME_EXTENDED,
    )
    refused = result.outcome in (
        instruments.REGISTRATION_OUTCOME_REFUSED,
        instruments.REGISTRATION_OUTCOME_COLLISION,
    )
    if result.collision_case_id:
        report.skipped.append(f"{entry.instrument.name}: collision case {result.collision_case_id}")
    if _count(report, entry.instrument.name, result, created=created, refused=refused):
        report.instruments += 1
        report.listings += len(result.listing_ids)
        schemes = {one.scheme for one in entry.instrument.identifiers}
        report.instruments_with_isin += common.IDENTIFIER_SCHEME_ISIN in schemes


async def seed_synthetics(
    address: str, report: SeedReport | None = None, progress: Progress | None = None
) -> SeedReport:
    """Registers the demonstrations."""
    report = report if report is not None else SeedReport()
    async with open_channel(address) as channel, SyntheticRegistrationStream(channel) as stream:
        async for batch, response in _sent(
            "synthetics",
            synthetics.synthetics(),
            progress or _silent,
            # Their listings are discovered later.
            lambda part: stream.submit(part, actor=ACTOR, allow_unknown_components=True),
        ):
            for synthetic, result in zip(batch, response.results, strict=True):
                created = result.outcome == synthetic_service.SYNTHETIC_REGISTRATION_OUTCOME_CREATED
                refused = result.outcome == synthetic_service.SYNTHETIC_REGISTRATION_OUTCOME_REFUSED
                if _count(report, synthetic.name, result, created=created, refused=refused):
                    report.synthetics += 1
    return report


def _count(report: SeedReport, name: str, result: Any, *, created: bool, refused: bool) -> bool:
    """Whether the entry is in the registry."""
    if refused:
        if result.HasField("error"):
            report.skipped.append(f"{name}: {result.error.message}")
        return False
    report.created += created
    report.unchanged += not created
    return True


async def _sent(
    what: str, items: Iterable[_T], tell: Progress, submit: Callable[[Sequence[_T]], Awaitable[Any]]
) -> Any:
    """(batch, response) of each batch, in order."""
    sent = 0
    for batch in _batches(items):
        response = await submit(batch)
        sent += len(batch)
        tell(what, sent)
        yield batch, response


def _batches(items: Iterable[_T]) -> Iterator[list[_T]]:
    iterator = iter(items)
    while batch := list(islice(iterator, BATCH)):
        yield batch


def _silent(what: str, sent: int) -> None:
    """Nobody wants to know."""
