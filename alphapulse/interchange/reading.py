"""Entries read from the registry for an export: all of them at one revision, or as they were at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from alphapulse.api.instrument.v1 import instrument_service_pb2 as service
from alphapulse.api.instrument.v1 import instrument_service_pb2_grpc
from alphapulse.client.errors import from_rpc_error
from alphapulse.domain.errors import NotFound, ResourceExhausted

PAGE: Final = 500
_AT_ONCE: Final = 32


@dataclass(slots=True)
class EntryReader:
    """Reads pages of entries. `revision_token` names the revision they are of, once the first page is there."""

    channel: grpc.aio.Channel
    filter: service.InstrumentFilter = field(default_factory=service.InstrumentFilter)
    as_of: datetime | None = None
    """What was valid then; None: what is registered now."""
    known_at: datetime | None = None
    """What was known then; None: now."""
    revision_token: str = ""
    total: int = 0
    """How many instruments match, once the first page is there."""

    async def pages(self) -> AsyncIterator[Sequence[service.InstrumentEntry]]:
        """All pages, ordered by id, pinned to the revision of the first. Raises the errors of the registry."""
        stub = instrument_service_pb2_grpc.InstrumentServiceStub(self.channel)
        # Times of the past are read entry by entry: what is written meanwhile must not show in some of them.
        known_at = self.known_at or datetime.now(UTC)
        token, size = "", PAGE
        while True:
            request = service.ListInstrumentsRequest(
                filter=self.filter, page_size=size, page_token=token, with_listings=self._current()
            )
            request.read.latest = not token
            try:
                page = await stub.ListInstruments(request)
            except grpc.RpcError as raw:
                error = from_rpc_error(raw)
                if isinstance(error, ResourceExhausted) and size > 1:
                    size //= 2  # entries with hundreds of listings: a page of them is larger than a message may be
                    continue
                raise error from raw
            self.revision_token, self.total = page.revision_token, page.total_size
            yield page.entries if self._current() else await self._past(stub, page.entries, known_at)
            token = page.next_page_token
            if not token:
                return

    def _current(self) -> bool:
        return self.as_of is None and self.known_at is None

    async def _past(
        self, stub: Any, entries: Sequence[service.InstrumentEntry], known_at: datetime
    ) -> list[service.InstrumentEntry]:
        turns = asyncio.Semaphore(_AT_ONCE)
        request = service.GetInstrumentRequest(known_at=_stamp(known_at))
        if self.as_of is not None:
            request.as_of.CopyFrom(_stamp(self.as_of))

        async def one(instrument_id: str) -> service.InstrumentEntry | None:
            wanted = service.GetInstrumentRequest()
            wanted.CopyFrom(request)
            wanted.instrument_id = instrument_id
            async with turns:
                try:
                    answer: service.GetInstrumentResponse = await stub.GetInstrument(wanted)
                except grpc.RpcError as raw:
                    error = from_rpc_error(raw)
                    if isinstance(error, NotFound):
                        return None  # nobody knew of it then
                    raise error from raw
            return answer.entry

        found = await asyncio.gather(*(one(entry.instrument.instrument_id) for entry in entries))
        return [entry for entry in found if entry is not None]


def _stamp(moment: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(moment.astimezone(UTC))
    return stamp
