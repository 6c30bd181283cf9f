"""The instrument registry's calls."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any, Final

from google.protobuf.field_mask_pb2 import FieldMask

from alphapulse.api.instrument.v1 import instrument_service_pb2 as api
from alphapulse.client import RegistrationStream, WatchStart, watch_instruments
from alphapulse.domain.errors import InvalidArgument
from alphapulse.domain.identifiers import Scheme
from alphapulse.domain.ids import InstrumentId, ListingId
from alphapulse.domain.instruments import Instrument, Listing, ListingStatus
from strategy_sdk._caller import Caller, Write, read_options
from strategy_sdk._convert import (
    INSTRUMENT_ENTITIES,
    change_of,
    entry_message,
    entry_of,
    instrument_message,
    listing_message,
    lookup_of,
    registration_result,
)
from strategy_sdk._filters import InstrumentFilter, LookupOptions
from strategy_sdk._mapping import from_message, number, numbers
from strategy_sdk._models import (
    Change,
    CollisionCase,
    CollisionResolution,
    CollisionState,
    InstrumentEntry,
    ListingEntry,
    LookupItem,
    LookupResult,
    Registration,
    RegistrationOutcome,
    RegistrationResult,
    SearchHit,
    Version,
)
from strategy_sdk._watching import WatchEvent, watch_events

PAGE_SIZE: Final = 1000
BATCH_ENTRIES: Final = 500
_IN_FLIGHT: Final = 8


class InstrumentCalls(Caller):
    """Instruments, listings, look-ups, collision cases."""

    # --- writing
    async def register_instrument(
        self, instrument: Instrument, listings: Iterable[Listing] = (), *, write: Write | None = None
    ) -> Registration:
        """Register one with its listings. Registering it again is no error: it adds what is new and answers with what is there.
        Raises InvalidArgument with every violation at once."""
        request = api.RegisterInstrumentRequest(
            instrument=instrument_message(instrument),
            listings=[listing_message(one) for one in listings],
            write=(write or Write()).to_message(),
        )
        answer = await self._write(self._instruments.RegisterInstrument, request)
        return Registration(
            entry=entry_of(answer.entry, answer.revision_token),
            outcome=RegistrationOutcome(answer.outcome),
            collision_case_id=answer.collision_case_id,
            revision_token=answer.revision_token,
        )

    async def register_instruments(
        self,
        entries: Iterable[InstrumentEntry] | AsyncIterable[InstrumentEntry],
        *,
        batch_size: int = BATCH_ENTRIES,
        actor: str = "",
    ) -> AsyncIterator[RegistrationResult]:
        """Register many in a stream; a result an entry, in order, each when it is durable. A refused entry is a result with its
        error and holds up no other. An entry may refer to instruments of entries before it. Broken connections are mended."""
        async with RegistrationStream(self._channel("instrument"), max_in_flight=_IN_FLIGHT) as stream:
            waiting: deque[asyncio.Task[api.RegisterInstrumentsResponse]] = deque()
            try:
                async for batch in _batches(entries, batch_size):
                    messages = [entry_message(one) for one in batch]
                    waiting.append(asyncio.create_task(stream.submit(messages, actor=actor)))
                    while len(waiting) >= _IN_FLIGHT or (waiting and waiting[0].done()):
                        for result in _results(await waiting.popleft()):
                            yield result
                while waiting:
                    for result in _results(await waiting.popleft()):
                        yield result
            finally:
                for task in waiting:
                    task.cancel()
                await asyncio.gather(*waiting, return_exceptions=True)

    async def update_instrument(
        self, instrument: Instrument, fields: Iterable[str], *, write: Write | None = None
    ) -> InstrumentEntry:
        """Change the named fields ("name", "status", ...) to those of `instrument`, whose id says which."""
        request = api.UpdateInstrumentRequest(
            instrument=instrument_message(instrument),
            update_mask=FieldMask(paths=fields),
            write=(write or Write()).to_message(),
        )
        answer = await self._write(self._instruments.UpdateInstrument, request)
        return entry_of(api.InstrumentEntry(instrument=answer.instrument), answer.revision_token)

    async def update_listing(
        self, listing: Listing, fields: Iterable[str], *, write: Write | None = None
    ) -> ListingEntry:
        """Change the named fields ("status", "rules", "fees", "primary", "valid_to") to those of `listing`, whose id says which."""
        request = api.UpdateListingRequest(
            listing=listing_message(listing),
            update_mask=FieldMask(paths=fields),
            write=(write or Write()).to_message(),
        )
        answer = await self._write(self._instruments.UpdateListing, request)
        version = from_message(Version, answer.listing)
        return ListingEntry(from_message(Listing, answer.listing), None, version, answer.revision_token)

    # --- look-ups
    async def lookup_isin(self, isin: str, options: LookupOptions | None = None) -> LookupResult:
        """Who bears this ISIN. A value that is no ISIN is an answer of outcome INVALID with the broken rule, no error."""
        request = api.LookupISINRequest(isin=isin, options=_options(options))
        return lookup_of((await self._read(self._instruments.LookupISIN, request)).result)

    async def lookup_cusip(self, cusip: str, options: LookupOptions | None = None) -> LookupResult:
        """Who bears this CUSIP."""
        request = api.LookupCUSIPRequest(cusip=cusip, options=_options(options))
        return lookup_of((await self._read(self._instruments.LookupCUSIP, request)).result)

    async def lookup_sedol(self, sedol: str, options: LookupOptions | None = None) -> LookupResult:
        """Who bears this SEDOL."""
        request = api.LookupSEDOLRequest(sedol=sedol, options=_options(options))
        return lookup_of((await self._read(self._instruments.LookupSEDOL, request)).result)

    async def lookup_figi(self, figi: str, options: LookupOptions | None = None) -> LookupResult:
        """Who bears this FIGI, of any level."""
        request = api.LookupFIGIRequest(figi=figi, options=_options(options))
        return lookup_of((await self._read(self._instruments.LookupFIGI, request)).result)

    async def lookup_symbol(self, symbol: str, venue: str = "", options: LookupOptions | None = None) -> LookupResult:
        """Who is listed under this exact symbol on the venue; without a venue on any, AMBIGUOUS where there are several."""
        request = api.LookupSymbolRequest(symbol=symbol, venue=venue, options=_options(options))
        return lookup_of((await self._read(self._instruments.LookupSymbol, request)).result)

    async def batch_lookup(
        self,
        items: Iterable[LookupItem | str],
        scheme: Scheme | None = None,
        options: LookupOptions | None = None,
    ) -> tuple[LookupResult, ...]:
        """Many at once, at most 10,000: one result an item, in order. Texts are of `scheme`; LookupItems bring their own."""
        listed = list(items)
        request = api.BatchLookupRequest(options=_options(options))
        texts = [one for one in listed if isinstance(one, str)]
        if len(texts) == len(listed) and scheme is not None:
            request.scheme, request.values[:] = number(scheme), texts
        else:
            for one in listed:
                request.items.append(_lookup_item(one, scheme))
        answer = await self._read(self._instruments.BatchLookup, request)
        return tuple(lookup_of(result) for result in answer.results)

    # --- reading
    async def get_instrument(
        self,
        instrument_id: InstrumentId | str,
        *,
        as_of: datetime | None = None,
        known_at: datetime | None = None,
        read_after: str = "",
        latest: bool = False,
    ) -> InstrumentEntry:
        """An instrument by its id, as valid at `as_of` and known at `known_at` (now). Raises NotFound."""
        times = LookupOptions(as_of=as_of, known_at=known_at).to_message()
        request = api.GetInstrumentRequest(
            instrument_id=str(instrument_id),
            read=read_options(read_after, latest),
            as_of=times.as_of if as_of else None,
            known_at=times.known_at if known_at else None,
        )
        answer = await self._read(self._instruments.GetInstrument, request)
        return entry_of(answer.entry, answer.revision_token)

    async def get_listing(
        self, listing: ListingId | int | str, *, read_after: str = "", latest: bool = False
    ) -> ListingEntry:
        """A listing by its id, or by its key as events carry it. Raises NotFound."""
        request = api.GetListingRequest(read=read_options(read_after, latest))
        if isinstance(listing, int):
            request.listing_key = listing
        else:
            request.listing_id = str(listing)
        answer = await self._read(self._instruments.GetListing, request)
        return ListingEntry(
            listing=from_message(Listing, answer.listing),
            instrument=from_message(Instrument, answer.instrument) if answer.HasField("instrument") else None,
            version=from_message(Version, answer.listing),
            revision_token=answer.revision_token,
        )

    async def list_instruments(
        self,
        wanted: InstrumentFilter | None = None,
        *,
        with_listings: bool = True,
        page_size: int = PAGE_SIZE,
        read_after: str = "",
    ) -> AsyncIterator[InstrumentEntry]:
        """Every instrument of a filter, by id, over pages pinned to the revision of the first."""
        request = api.ListInstrumentsRequest(
            filter=wanted.to_message() if wanted else None,
            page_size=page_size,
            with_listings=with_listings,
            read=read_options(read_after, False),
        )
        async for page in self._pages(self._instruments.ListInstruments, request):
            for entry in page.entries:
                yield entry_of(entry, page.revision_token)

    async def list_listings(
        self,
        *,
        venues: Iterable[str] = (),
        instrument_ids: Iterable[InstrumentId | str] = (),
        statuses: Iterable[ListingStatus] = (),
        page_size: int = PAGE_SIZE,
        read_after: str = "",
    ) -> AsyncIterator[Listing]:
        """Every listing on these venues, of these instruments, of these statuses, by id, over pages pinned to one revision."""
        request = api.ListListingsRequest(
            venues=venues,
            instrument_ids=map(str, instrument_ids),
            statuses=numbers(statuses),
            page_size=page_size,
            read=read_options(read_after, False),
        )
        async for page in self._pages(self._instruments.ListListings, request):
            for listing in page.listings:
                yield from_message(Listing, listing)

    async def search(
        self,
        query: str,
        wanted: InstrumentFilter | None = None,
        *,
        limit: int = 10,
        as_of: datetime | None = None,
        read_after: str = "",
    ) -> tuple[SearchHit[InstrumentEntry], ...]:
        """Instruments by words of their name, a ticker or the start of an identifier, with typos; the best first."""
        request = api.SearchInstrumentsRequest(
            query=query,
            filter=wanted.to_message() if wanted else None,
            limit=limit,
            as_of=LookupOptions(as_of=as_of).to_message().as_of if as_of else None,
            read=read_options(read_after, False),
        )
        answer = await self._read(self._instruments.SearchInstruments, request)
        return tuple(SearchHit(entry_of(hit.entry, answer.revision_token), hit.score, hit.why) for hit in answer.hits)

    async def instrument_history(self, instrument_id: InstrumentId | str) -> AsyncIterator[Change[Any]]:
        """Every revision of an instrument, its listings and identifiers, newest first."""
        request = api.GetInstrumentHistoryRequest(instrument_id=str(instrument_id), page_size=PAGE_SIZE)
        async for page in self._pages(self._instruments.GetInstrumentHistory, request):
            for change in page.changes:
                yield change_of(change, INSTRUMENT_ENTITIES)

    async def watch_instruments(
        self, wanted: InstrumentFilter | None = None, *, resume_token: str = "", skip_snapshot: bool = False
    ) -> AsyncIterator[WatchEvent[InstrumentEntry, Instrument | Listing | CollisionCase]]:
        """A Snapshot of entries, a Bookmark, then every Change in order, without end; a Restart where a new snapshot follows.
        Broken connections are resumed. Keep a bookmark's token to go on from it in another process."""
        start = WatchStart(resume_token, skip_snapshot)
        source = watch_instruments(self._channel("instrument"), wanted.to_message() if wanted else None, start=start)
        async with aclosing(source) as events:
            async for event in events:
                for one in watch_events(event, "entries", entry_of, INSTRUMENT_ENTITIES):
                    yield one

    # --- collision cases
    async def list_collision_cases(
        self, *, states: Iterable[CollisionState] = (), instrument_id: InstrumentId | str = ""
    ) -> AsyncIterator[CollisionCase]:
        """Collision cases, newest first."""
        request = api.ListCollisionCasesRequest(
            states=numbers(states), instrument_id=str(instrument_id), page_size=PAGE_SIZE
        )
        async for page in self._pages(self._instruments.ListCollisionCases, request):
            for case in page.cases:
                yield from_message(CollisionCase, case)

    async def get_collision_case(self, case_id: str) -> CollisionCase:
        """A collision case. Raises NotFound."""
        answer = await self._read(self._instruments.GetCollisionCase, api.GetCollisionCaseRequest(case_id=case_id))
        return from_message(CollisionCase, answer.collision_case)

    async def resolve_collision_case(
        self,
        case_id: str,
        resolution: CollisionResolution,
        *,
        reason: str,
        winner_id: InstrumentId | str = "",
        at: datetime | None = None,
        retroactive: bool = False,
        write: Write | None = None,
    ) -> CollisionCase:
        """Decide a case. MERGE and SPLIT name who bears the identifier from now on; of a SPLIT in favour of the newcomer, `at` (aware) says from when
        on it bears it, `retroactive` that the holder never did."""
        request = api.ResolveCollisionCaseRequest(
            case_id=case_id,
            resolution=number(resolution),
            winner_id=str(winner_id),
            reason=reason,
            retroactive=retroactive,
            write=(write or Write()).to_message(),
        )
        if at is not None:
            request.effective_time.FromDatetime(at.astimezone(UTC))
        answer = await self._write(self._instruments.ResolveCollisionCase, request)
        return from_message(CollisionCase, answer.collision_case)


def _options(options: LookupOptions | None) -> api.LookupOptions | None:
    return options.to_message() if options is not None else None


def _lookup_item(item: LookupItem | str, scheme: Scheme | None) -> api.LookupItem:
    if isinstance(item, LookupItem):
        return api.LookupItem(scheme=number(item.scheme), value=item.value, venue=item.venue)
    if scheme is None:
        raise InvalidArgument.field("scheme", "None", "required", "texts need the scheme they are of")
    return api.LookupItem(scheme=number(scheme), value=item)


async def _batches(
    entries: Iterable[InstrumentEntry] | AsyncIterable[InstrumentEntry], size: int
) -> AsyncIterator[list[InstrumentEntry]]:
    batch: list[InstrumentEntry] = []
    if isinstance(entries, AsyncIterable):
        async for entry in entries:
            batch.append(entry)
            if len(batch) == size:
                yield batch
                batch = []
    else:
        for entry in entries:
            batch.append(entry)
            if len(batch) == size:
                yield batch
                batch = []
    if batch:
        yield batch


def _results(response: api.RegisterInstrumentsResponse) -> Iterable[RegistrationResult]:
    return (registration_result(one, response.revision_token) for one in response.results)
