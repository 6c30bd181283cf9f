"""Option chains and futures series: derivatives in the order in which they are traded, as of a time, as known at a time.

A derivative has ended at a time when its expiry is at or before it, or when it was withdrawn (EXPIRED or RETIRED) by then. Pages are cut at whole
expiries (options) or contracts (futures) and are all read at the revision of the first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import Any, Final

from alphapulse.domain.decimal import ExactDecimal
from alphapulse.domain.errors import FailedPrecondition
from alphapulse.domain.identifiers import Scheme
from registry_service.calls import Calls
from registry_service.instrument.convert import Findings, common, moment, service, stamp, wire
from registry_service.instrument.lifecycle.validity import GONE, listings_then, retirements
from registry_service.instrument.queries.facets import group, require
from registry_service.instrument.queries.filters import Checks, require_venues
from registry_service.instrument.registering.venues import VenueDirectory
from registry_service.instrument.trading.trading_rules import ruled_at
from registry_service.resources import RegistryResources
from registry_service.storage.model import Entity, EntityKind, Query

MOST_EXPIRIES: Final = 100
OPTIONS_A_PAGE: Final = 5_000
MOST_DERIVATIVES: Final = 100_000
"""Of one question; one underlying has fewer."""
_CHUNK: Final = 2_000


@dataclass(frozen=True, slots=True)
class Place:
    """Where and when a page is read."""

    revision: int
    after: str
    scope: bytes
    as_of: datetime
    """As it was asked for, or the time of the first page."""


@dataclass(frozen=True, slots=True)
class Derivative:
    """An option or a future."""

    entity: Entity
    message: wire.Instrument
    details: Any
    expiry: datetime
    ended: bool


class Derivatives:
    """Reads the derivatives of a question at a revision."""

    def __init__(self, resources: RegistryResources, calls: Calls, venues: VenueDirectory) -> None:
        self.store = resources.store
        self.calls = calls
        self._resources = resources
        self._venues = venues

    async def place(self, request: Any, checks: Checks) -> Place:
        """The times and the page of a request. Raises InvalidArgument, PageTokenInvalid."""
        known_at = checks.findings.time(request, "known_at", "")
        as_of = checks.findings.time(request, "as_of", "")
        checks.venues(request.venues, "venues")
        require(checks.findings)
        await require_venues(self._venues, request.venues, "venues")
        scope = type(request)()
        scope.CopyFrom(request)
        for name in ("page_token", "page_size", "read"):
            scope.ClearField(name)
        scope_bytes = request.DESCRIPTOR.name.encode() + b"\0" + scope.SerializeToString(deterministic=True)
        if request.page_token:
            token = self._resources.tokens.read_page(request.page_token, scope_bytes)
            time, _, after = token.after.partition("|")
            return Place(token.revision, after, scope_bytes, as_of or datetime.fromisoformat(time))
        revision = max(await self.calls.fresh(request.read), self._resources.feed.applied_revision)
        if known_at is not None:
            revision = await self.store.revision_at(known_at)
        return Place(revision, "", scope_bytes, as_of or datetime.now(UTC))

    def following(self, place: Place, after: str) -> str:
        """The token of the page after `after`; "now" stays what it was on the first page."""
        text = f"{place.as_of.isoformat()}|{after}"
        return self._resources.tokens.page(place.scope, revision=place.revision, after=text)

    async def read(self, query: Query, place: Place, venues: Sequence[str], ended: bool) -> list[Derivative]:
        """Those that match, by expiry; without those that have ended by then, unless they are asked for."""
        found: list[Derivative] = []
        last, count = "", 0
        while page := await self.store.page(query, after_id=last, limit=_CHUNK, at_revision=place.revision):
            last, count = page[-1].entity_id, count + len(page)
            if count > MOST_DERIVATIVES:
                raise FailedPrecondition(
                    f"more than {MOST_DERIVATIVES} contracts match", hint="name a venue, or a span of expiries"
                )
            gone = [one.entity_id for one in page if not GONE.isdisjoint(one.facets)]
            since = await retirements(self.store, gone, place.revision) if gone else {}
            read = [_derivative(one, since, place.as_of) for one in page]
            found += [one for one in read if (ended or not one.ended) and (not venues or one.details.venue in venues)]
        return sorted(found, key=lambda one: (one.expiry, one.entity.entity_id))

    async def entries(
        self, shown: Sequence[Derivative], place: Place, with_listings: bool
    ) -> dict[str, service.InstrumentEntry]:
        """The entries of an answer, by id; with the listings that were in force then."""
        below: Mapping[str, Sequence[Entity]] = {}
        if with_listings and shown:
            ids = [one.entity.entity_id for one in shown]
            below = await self.store.children(EntityKind.LISTING, ids, place.revision)
        found = {}
        for one in shown:
            then = listings_then(below.get(one.entity.entity_id, ()), place.as_of)
            listings = await ruled_at(self.store, then, place.as_of, place.revision)
            found[one.entity.entity_id] = service.InstrumentEntry(
                instrument=one.message, listings=[wire.Listing.FromString(each.body) for each in listings]
            )
        return found


class Chains:
    """Serves GetOptionChain; the answer is the serialized response."""

    def __init__(self, derivatives: Derivatives) -> None:
        self._derivatives = derivatives

    async def chain(self, request: service.GetOptionChainRequest) -> bytes:
        """GetOptionChain. Raises InvalidArgument, PageTokenInvalid."""
        checks = Checks(Findings())
        size = _size(checks, request.page_size, MOST_EXPIRIES, 10)
        underlying = checks.ids([request.underlying_id], "underlying_id")
        start, end = checks.span(request, "expiry_from", "expiry_to")
        low = checks.findings.decimal(request, "strike_from", "")
        high = checks.findings.decimal(request, "strike_to", "")
        if low is not None and high is not None and high < low:
            checks.findings.add("strike_to", high, "span-order", "strike_to must not be below strike_from")
        place = await self._derivatives.place(request, checks)
        groups = (group("class", [common.ASSET_CLASS_OPTION]), group("underlying", underlying))
        query = Query(EntityKind.INSTRUMENT, groups, expires_from=start, expires_to=end)
        read = await self._derivatives.read(query, place, request.venues, request.include_ended)
        options = [one for one in read if one.details.underlying_id == underlying[0] and _within(one, low, high)]
        by_expiry = [(expiry, list(each)) for expiry, each in groupby(options, key=lambda one: one.expiry)]
        shown, more = _page(by_expiry, place.after, size)
        flat = [one for _, each in shown for one in each]
        entries = await self._derivatives.entries(flat, place, request.with_listings)
        return service.GetOptionChainResponse(
            expiries=[made for _, each in shown for made in _expiries(each, entries)],
            next_page_token=self._derivatives.following(place, shown[-1][0].isoformat()) if more else "",
            total_expiries=len(by_expiry),
            revision_token=self._derivatives.calls.token(place.revision),
        ).SerializeToString()


def _page(
    by_expiry: Sequence[tuple[datetime, list[Derivative]]], after: str, size: int
) -> tuple[list[tuple[datetime, list[Derivative]]], bool]:
    """The expiries of a page, and whether there are more."""
    first = datetime.fromisoformat(after) if after else None
    rest = [one for one in by_expiry if first is None or one[0] > first]
    shown: list[tuple[datetime, list[Derivative]]] = []
    count = 0
    for one in rest[:size]:
        if shown and count + len(one[1]) > OPTIONS_A_PAGE:
            break
        shown.append(one)
        count += len(one[1])
    return shown, len(shown) < len(rest)


def _expiries(
    options: Iterable[Derivative], entries: Mapping[str, service.InstrumentEntry]
) -> Iterable[service.OptionExpiry]:
    """Options of one expiry, told apart by venue, root, style and settlement; their strikes in order."""
    by_terms: dict[tuple[str, str, int, str], list[Derivative]] = {}
    for one in options:
        terms = (one.details.venue, root_of(one.message), int(one.details.style), one.details.settlement_id)
        by_terms.setdefault(terms, []).append(one)
    for (venue, series, style, settlement), each in sorted(by_terms.items()):
        strikes: dict[ExactDecimal, service.OptionStrike] = {}
        for one in sorted(each, key=_strike):
            line = strikes.setdefault(_strike(one), service.OptionStrike(strike=one.details.strike))
            side = line.call if one.details.right == wire.OPTION_RIGHT_CALL else line.put
            side.CopyFrom(entries[one.entity.entity_id])
        yield service.OptionExpiry(
            expiry=stamp(each[0].expiry),
            venue=venue,
            style=style,  # type: ignore[arg-type]
            settlement_id=settlement,
            series=series,
            strikes=strikes.values(),
        )


class Series:
    """Serves ListFuturesSeries; the answer is the serialized response."""

    def __init__(self, derivatives: Derivatives) -> None:
        self._derivatives = derivatives

    async def series(self, request: service.ListFuturesSeriesRequest) -> bytes:
        """ListFuturesSeries. Raises InvalidArgument, PageTokenInvalid."""
        checks = Checks(Findings())
        size = _size(checks, request.page_size, 1000, 100)
        underlying = checks.ids([request.underlying_id] if request.underlying_id else [], "underlying_id")
        if not request.underlying_id and not request.series:
            checks.findings.add("underlying_id", "", "required", "an underlying_id or a series")
        place = await self._derivatives.place(request, checks)
        groups = (group("class", [common.ASSET_CLASS_FUTURE]), group("underlying", underlying))
        query = Query(EntityKind.INSTRUMENT, tuple([one for one in groups if one]))
        # All of them are read: which one is the front month depends on those before it.
        read = await self._derivatives.read(query, place, request.venues, ended=True)
        wanted = request.series.upper()
        by_terms: dict[tuple[str, ...], list[Derivative]] = {}
        for one in read:
            if (not wanted or root_of(one.message) == wanted) and (not underlying or _underlies(one, underlying[0])):
                by_terms.setdefault(_terms(one), []).append(one)
        placed = [one for _, each in sorted(by_terms.items()) for one in _placed(each, request.include_ended)]
        begin = int(place.after or 0)
        shown = placed[begin : begin + size]
        entries = await self._derivatives.entries([one for one, _ in shown], place, request.with_listings)
        more = begin + size < len(placed)
        return service.ListFuturesSeriesResponse(
            series=[
                _series_message(terms, list(each), entries)
                for terms, each in groupby(shown, key=lambda pair: _terms(pair[0]))
            ],
            next_page_token=self._derivatives.following(place, str(begin + size)) if more else "",
            total_size=len(placed),
            revision_token=self._derivatives.calls.token(place.revision),
        ).SerializeToString()


def root_of(message: wire.Instrument) -> str:
    """The root of a derivative in capitals: as it states it, or that of its OCC symbol."""
    details = getattr(message, message.WhichOneof("details") or "future")
    if details.series:
        return str(details.series).upper()
    return min((one.value[:6].strip() for one in message.identifiers if one.scheme == int(Scheme.OCC)), default="")


def _derivative(entity: Entity, since: Mapping[str, datetime], as_of: datetime) -> Derivative:
    message = wire.Instrument.FromString(entity.body)
    details = getattr(message, message.WhichOneof("details") or "future")
    expiry = moment(details.expiry)
    withdrawn = since.get(entity.entity_id)
    ended = expiry <= as_of or (withdrawn is not None and withdrawn <= as_of)
    return Derivative(entity, message, details, expiry, ended)


def _placed(contracts: Sequence[Derivative], with_ended: bool) -> list[tuple[Derivative, int]]:
    """Each contract with its place: 1 for the front month, rising with expiry; those that have ended count down from 0."""
    ended = [one for one in contracts if one.ended]
    live = [one for one in contracts if not one.ended]
    placed = [(one, at - len(ended) + 1) for at, one in enumerate(ended)] if with_ended else []
    return placed + [(one, at) for at, one in enumerate(live, start=1)]


def _terms(one: Derivative) -> tuple[str, ...]:
    details = one.details
    return (
        *(details.venue, root_of(one.message), details.underlying_id, details.settlement_id),
        "inverse" if details.inverse else "",
    )


def _series_message(
    terms: tuple[str, ...], contracts: Sequence[tuple[Derivative, int]], entries: Mapping[str, service.InstrumentEntry]
) -> service.FuturesSeries:
    venue, series, underlying, settlement, inverse = terms
    return service.FuturesSeries(
        series=series,
        venue=venue,
        underlying_id=underlying,
        settlement_id=settlement,
        inverse=bool(inverse),
        contracts=[
            service.FuturesContract(entry=entries[one.entity.entity_id], position=place) for one, place in contracts
        ],
    )


def _underlies(one: Derivative, underlying: str) -> bool:
    return bool(one.details.underlying_id == underlying)


def _strike(one: Derivative) -> ExactDecimal:
    return ExactDecimal(one.details.strike.mantissa, one.details.strike.exponent)


def _within(one: Derivative, low: ExactDecimal | None, high: ExactDecimal | None) -> bool:
    strike = _strike(one)
    return (low is None or strike >= low) and (high is None or strike <= high)


def _size(checks: Checks, asked: int, most: int, usual: int) -> int:
    if not 0 <= asked <= most:
        checks.findings.add("page_size", asked, "range", f"0 to {most}; 0 means {usual}")
    return asked or usual
