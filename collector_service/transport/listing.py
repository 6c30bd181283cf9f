"""Gathers a venue's list from the answers that hold it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Final
from urllib.parse import unquote_to_bytes

from alphapulse.domain.errors import InvalidArgument
from collector_service.listings import VenueSymbol
from collector_service.source import POSTED, Asking, InstrumentList, ListRequest, Source, path_of
from collector_service.transport.base import Arrival, TransportError

_MAX_FOLLOWED: Final = 2_000
"""Requests for single instruments, at most: a venue that lists more has a better list."""

_SMALL: Final = 32 << 10
"""Bytes of an answer that is read at once: a few milliseconds."""
_MAX_PARTS: Final = 500
"""Parts of a list that follow its first, at most: what has more leads in a circle."""


async def fetch_instruments(source: Source, fetch: Asking) -> InstrumentList:
    """The list of now. Raises what `fetch` raises, and msgspec.DecodeError or InvalidArgument for an answer that is no list."""
    if source.discovery.ask is not None:
        return await source.discovery.ask(fetch)
    found: list[InstrumentList] = []
    for request in source.discovery.requests:
        if request.given is not None:
            found.append(request.given)
            continue
        body = await fetch(request.path, request.body)
        if request.cross is not None:
            found.append(request.cross(body, await fetch(request.across)))
        elif request.follow is None:
            found += [await _read(request, part) async for part in _parts(request, body, fetch)]
        else:
            found += [request.parse(await fetch(path)) for path in request.follow(body)[:_MAX_FOLLOWED]]
    return joined(found)


async def _read(request: ListRequest, body: bytes) -> InstrumentList:
    """A list of thousands of lines is read beside the event loop: what streams meanwhile does not wait for its end."""
    return request.parse(body) if len(body) <= _SMALL else await asyncio.to_thread(request.parse, body)


async def _parts(request: ListRequest, body: bytes, fetch: Asking) -> AsyncIterator[bytes]:
    """The answers that hold a list, from the first on."""
    yield body
    if request.next is None:
        return
    for _ in range(_MAX_PARTS):
        path = request.next(body)
        if not path:
            return
        body = await fetch(path)
        yield body
    raise InvalidArgument.field("next", request.path, "list-format", f"a list has {_MAX_PARTS} parts at most")


def recorded_instruments(source: Source, answers: Iterable[Arrival]) -> InstrumentList | None:
    """The list in recorded answers, as it was read at their time, and what needs no answer; None where there is no list of this source."""
    told = list(answers)
    if source.discovery.ask is not None:
        return _asked_again(source.discovery.ask, told)
    by_path = {path_of(answer.url): answer.data for answer in told}
    found = [request.given for request in source.discovery.requests if request.given is not None]
    for answer in told:
        discovery = source.discovery_at(answer.time_ns)
        read, crossing = discovery.reader(answer.url), discovery.crossing(answer.url)
        if read is not None:
            found.append(read(answer.data))
        elif crossing is not None and crossing.cross is not None and crossing.across in by_path:
            found.append(crossing.cross(answer.data, by_path[crossing.across]))
    return joined(found) if found else None


def _asked_again(ask: Callable[[Asking], Awaitable[InstrumentList]], told: Iterable[Arrival]) -> InstrumentList | None:
    """What follows from recorded answers, the last to each question; None where one was not asked then."""
    known: dict[tuple[str, bytes | None], bytes] = {}
    for answer in told:
        _, posted, body = answer.url.partition(POSTED)
        known[path_of(answer.url), unquote_to_bytes(body) if posted else None] = answer.data

    async def fetch(path: str, body: bytes | None = None) -> bytes:
        if (path, body) not in known:
            raise TransportError(f"{path}: the recording holds no answer")
        return known[path, body]

    # Nothing in it waits: it is at its end after one step.
    steps = ask(fetch).__await__()
    try:
        next(steps)
    except StopIteration as done:
        found: InstrumentList = done.value
        return found
    except TransportError:
        return None
    raise AssertionError("a recorded answer is there at once")


def joined(lists: Iterable[InstrumentList]) -> InstrumentList:
    """Several lists as one; of a symbol that is in several the first line counts."""
    entries: dict[str, VenueSymbol] = {}
    refused: list[str] = []
    for one in lists:
        for entry in one.entries:
            entries.setdefault(entry.symbol, entry)
        refused += one.refused
    return InstrumentList(tuple(entries.values()), tuple(refused))
