"""Writes: one registration, streams of them, updates. Each answers once it is durable, with the token of its revision."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from alphapulse.domain.errors import AlphaPulseError
from alphapulse.domain.ids import ID_BYTES
from registry_service.calls import Calls, bounded_batch, item_error
from registry_service.instrument.convert import common, service
from registry_service.instrument.framing import chunk, entry, number, text
from registry_service.instrument.lookups.lookup import parsed
from registry_service.instrument.registering.columns import read_together
from registry_service.instrument.registering.drafts import Draft, Minter
from registry_service.instrument.registering.needs import needs_of
from registry_service.instrument.registering.planning import Registered
from registry_service.instrument.registering.registration import register
from registry_service.instrument.registering.spelling import instruments_of
from registry_service.instrument.registering.updates import update_instrument, update_listing
from registry_service.instrument.registering.usual import Usual, read
from registry_service.instrument.registering.venues import VenueDirectory, check_venues
from registry_service.storage.model import Entity, EntityKind, WriteOutcome, WriteSession

_IN_FLIGHT: Final = 8
"""Batches of one stream that are read ahead while earlier ones are written."""
_BREATH: Final = 100
"""Entries prepared between two chances for other calls of the process."""
_TABLE: Final = 250
"""Entries that are read together."""
_CREATED: Final = service.REGISTRATION_OUTCOME_CREATED
_CREATED_HEAD: Final = chunk(2, number(1, _CREATED) + text(2, "0" * 2 * ID_BYTES))[: -2 * ID_BYTES]
"""Field 2 of the answer, a result that has an outcome and an id alone, up to the id."""


class Writing:
    """The writes of the slice."""

    def __init__(self, calls: Calls, minter: Minter, venues: VenueDirectory) -> None:
        self._calls = calls
        self._minter = minter
        self._venues = venues

    async def register(self, request: service.RegisterInstrumentRequest) -> bytes:
        """RegisterInstrument."""
        one = read(request.instrument, request.listings, self._minter)
        await self._calls.after(request.write)
        await self._check_venues([one])
        needs = needs_of([one])

        async def operation(session: WriteSession) -> bytes:
            result = (await register(session, [one], needs, self._minter))[0]
            if result.error is not None:
                raise result.error
            parts = [number(2, int(result.outcome)), text(3, result.case_id)]
            parts += [chunk(5, one.SerializeToString()) for one in result.differences]
            if result.instrument_id:
                held = await session.get(EntityKind.INSTRUMENT, [result.instrument_id])
                below: Sequence[Entity] = ()
                if request.listings or result.outcome != _CREATED:
                    read_below = await session.children(EntityKind.LISTING, [result.instrument_id])
                    below = read_below.get(result.instrument_id, ())
                now = entry(held[result.instrument_id], below)
                parts.insert(0, chunk(1, now))
            return b"".join(parts)

        outcome = await self._calls.write(request.write, request, operation, needs)
        return outcome.response + text(4, self._calls.token(outcome.revision))

    async def register_stream(self, requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        """RegisterInstruments: batches are written in the order sent, and the next are read meanwhile."""
        started: asyncio.Queue[asyncio.Task[bytes] | None] = asyncio.Queue(_IN_FLIGHT)
        reader = asyncio.create_task(self._read(requests, started))
        task: asyncio.Task[bytes] | None = None
        try:
            while (task := await started.get()) is not None:
                yield await task
            await reader
        finally:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)
            # A write under way is not cut off: it is durable or not, and the request_id tells which.
            rest = [] if task is None else [task]
            while not started.empty():
                if (one := started.get_nowait()) is not None:
                    rest.append(one)
            await asyncio.gather(*rest, return_exceptions=True)

    async def update_instrument(self, request: service.UpdateInstrumentRequest) -> bytes:
        """UpdateInstrument."""

        async def operation(session: WriteSession) -> bytes:
            return chunk(1, (await update_instrument(session, request, self._minter)).SerializeToString())

        outcome = await self._calls.write(request.write, request, operation)
        return outcome.response + text(2, self._calls.token(outcome.revision))

    async def update_listing(self, request: service.UpdateListingRequest) -> bytes:
        """UpdateListing."""

        async def operation(session: WriteSession) -> bytes:
            return chunk(1, (await update_listing(session, request)).SerializeToString())

        outcome = await self._calls.write(request.write, request, operation)
        return outcome.response + text(2, self._calls.token(outcome.revision))

    async def _read(self, requests: AsyncIterator[bytes], started: asyncio.Queue[asyncio.Task[bytes] | None]) -> None:
        """Starts the batches in order. A batch that waits for a token holds up those behind it, so that none overtakes."""
        try:
            async for raw in requests:
                request = parsed(service.RegisterInstrumentsRequest, raw)
                bounded_batch(len(request.entries), "entries")
                await self._calls.after(request.write)
                entries = await self._read_entries(request.entries, instruments_of(raw))
                task = asyncio.create_task(self._batch(request, entries))
                await started.put(task)
                if request.write.after_token:
                    await asyncio.wait((task,))
        finally:
            await started.put(None)

    async def _read_entries(
        self, entries: Sequence[service.InstrumentEntry], sent: Sequence[bytes] | None
    ) -> list[Draft | Usual]:
        """The entries made ready. `sent`: the bytes of their instruments, where they could be told; none for one with listings."""
        raws = sent or [b""] * len(entries)
        found: list[Draft | Usual] = []
        for begin in range(0, len(entries), _TABLE):
            part = entries[begin : begin + _TABLE]
            usual = read_together(part, raws[begin : begin + _TABLE], self._minter)
            await asyncio.sleep(0)
            for at, (one, quick) in enumerate(zip(part, usual, strict=True)):
                if quick is not None:
                    found.append(quick)
                    continue
                raw = raws[begin + at]
                found.append(read(one.instrument, () if raw else one.listings, self._minter, raw))
                if at % _BREATH == _BREATH - 1:
                    await asyncio.sleep(0)
        await self._check_venues(found)
        return found

    async def _check_venues(self, entries: Sequence[Draft | Usual]) -> None:
        if drafts := [one for one in entries if isinstance(one, Draft)]:  # the others have no listings
            await check_venues(self._venues, drafts)

    async def _batch(self, request: service.RegisterInstrumentsRequest, entries: Sequence[Draft | Usual]) -> bytes:
        needs = needs_of(entries)

        async def operation(session: WriteSession) -> bytes:
            results = await register(session, entries, needs, self._minter)
            return b"".join([_result(one, at) for at, one in enumerate(results)])

        # The batch's number is the caller's bookkeeping: a repeated batch may have another.
        batch_id = request.batch_id
        request.ClearField("batch_id")
        outcome: WriteOutcome = await self._calls.write(request.write, request, operation, needs)
        return _signed_number(1, batch_id) + outcome.response + text(3, self._calls.token(outcome.revision))


def _result(one: Registered, at: int) -> bytes:
    """A result as it stands in the answer to a batch: its field 2."""
    if one.outcome == _CREATED and not (one.listing_ids or one.case_id or one.differences):
        return _CREATED_HEAD + one.instrument_id.encode()  # nothing else to say, as of most
    result = service.RegistrationResult(
        outcome=one.outcome,
        instrument_id=one.instrument_id,
        listing_ids=one.listing_ids,
        collision_case_id=one.case_id,
        differences=one.differences,
    )
    if one.error is not None:
        result.error.CopyFrom(_placed(one.error, at))
    return chunk(2, result.SerializeToString())


def _placed(error: AlphaPulseError, at: int) -> common.ItemError:
    """The error of an entry, its paths as they are in the request of the batch."""
    message = item_error(error)
    for violation in message.violations:
        violation.field = f"entries[{at}].{violation.field}"
    return message


def _signed_number(field: int, value: int) -> bytes:
    return number(field, value & 0xFFFF_FFFF_FFFF_FFFF)
