"""Entries by id, cached: an instrument with its listings, and what a look-up by either's id answers.

One cached answer stands for both: what GetInstrument answers, and the LookupResult of the instrument's id. It is void when the instrument or any of
its listings changes. A listing is found through its instrument's entry: which instrument it belongs to is remembered only as a hint, and the entry
decides, so that there is nothing to void.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from registry_service.calls import Calls
from registry_service.instrument.convert import common, service, wire
from registry_service.instrument.framing import chunk, entry, number, text
from registry_service.instrument.keys import BY_INSTRUMENT, entry_key
from registry_service.instrument.lifecycle.validity import held_then, valid_at
from registry_service.instrument.lookups.answers import Answers
from registry_service.instrument.lookups.choosing import Preferences
from registry_service.instrument.registering.drafts import signed
from registry_service.instrument.trading.trading_rules import ruled_at
from registry_service.resources import RegistryResources
from registry_service.storage.model import CachedAnswer, EntityKind, IdentifierKey

_LENGTH_BYTES: Final = 4
_HINTS: Final = 500_000


class Entries:
    """Reads entries through the cache."""

    def __init__(self, resources: RegistryResources, calls: Calls, answers: Answers) -> None:
        self._resources = resources
        self._store = resources.store
        self._calls = calls
        self._answers = answers
        self._owners: OrderedDict[int, str] = OrderedDict()
        """The instrument of a listing, by the listing's key; the oldest leave first."""

    async def responses(self, ids: Sequence[str], minimum: int) -> list[bytes]:
        """GetInstrumentResponses as of now, in order; no bytes for an id that nothing has."""
        return [_response(one) for one in await self._cached(ids, minimum)]

    async def results(self, ids: Sequence[str], minimum: int) -> list[bytes]:
        """LookupResults of instruments' ids as of now, each as a chunk of field 1."""
        found = await self._cached(ids, minimum)
        return [_lookup(one) or _NOBODY for one in found]

    async def at(self, instrument_id: str, revision: int, as_of: datetime | None) -> bytes:
        """The GetInstrumentResponse of an entry as known at a revision; no bytes where there was none."""
        async with self._store.reading() as reader:
            held, below = await reader.families(EntityKind.INSTRUMENT, [instrument_id], EntityKind.LISTING, revision)
        if instrument_id not in held:
            return b""
        instrument, listings = held[instrument_id], below[instrument_id]
        if as_of is not None:
            instrument, listings = valid_at(instrument, listings, as_of)
            listings = await ruled_at(self._store, listings, as_of, revision)
        return chunk(1, entry(instrument, listings)) + text(2, self._calls.token(revision))

    async def listings(self, keys: Sequence[int], minimum: int) -> dict[int, service.GetInstrumentResponse]:
        """The entries that hold these listings as of now, by listing key (unsigned); keys nothing has are left out."""
        found = await self._hinted(keys, minimum)
        missing = [key for key in keys if key not in found]
        if missing:
            held = await self._store.by_sort_key(EntityKind.LISTING, [signed(key) for key in missing])
            there = [key for key in missing if signed(key) in held]
            for key in there:
                self._remember(key, held[signed(key)].parent_id)
            if there:
                # The store has these, so their entries do, once this process has followed that far.
                newest = max(held[signed(key)].revision for key in there)
                await self._resources.feed.wait_applied(newest)
                found |= await self._hinted(there, max(minimum, newest))
        return found

    async def listing_results(self, ids: Sequence[str], minimum: int) -> dict[str, bytes]:
        """LookupResults of listings' ids, for listings that are simply in force; all others are left out."""
        entries = await self.listings([int(one[:16], 16) for one in ids], minimum)
        now, found = datetime.now(UTC), {}
        for one in ids:
            held = entries.get(int(one[:16], 16))
            if held is None or held.entry.instrument.status in _GONE:
                continue
            listing = next((each for each in held.entry.listings if each.listing_id == one), None)
            if listing is not None and held_then(listing, now):
                result = service.LookupResult(
                    outcome=common.LOOKUP_OUTCOME_RESOLVED, entries=[held.entry], listing_ids=[one]
                )
                found[one] = chunk(1, result.SerializeToString())
        return found

    async def _hinted(self, keys: Sequence[int], minimum: int) -> dict[int, service.GetInstrumentResponse]:
        owners = {key: self._owners[key] for key in keys if key in self._owners}
        ids = list(dict.fromkeys(owners.values()))
        bodies = dict(zip(ids, await self.responses(ids, minimum), strict=True))
        parsed = {one: service.GetInstrumentResponse.FromString(body) for one, body in bodies.items() if body}
        return {
            key: parsed[owner]
            for key, owner in owners.items()
            if owner in parsed and any(one.listing_key == key for one in parsed[owner].entry.listings)
        }

    def _remember(self, key: int, owner: str) -> None:
        self._owners[key] = owner
        if len(self._owners) > _HINTS:
            self._owners.popitem(last=False)

    async def _cached(self, ids: Sequence[str], minimum: int) -> list[bytes]:
        if not ids:
            return []
        keys = [entry_key(one) for one in ids]
        return await self._resources.cache.get_many(keys, self._load, min_revision=minimum)

    async def _load(self, keys: Sequence[str]) -> Mapping[str, CachedAnswer]:
        revision = self._resources.feed.applied_revision
        names = {key: IdentifierKey(BY_INSTRUMENT, key.partition("/")[2]) for key in keys}
        evidence = await self._answers.evidence(list(names.values()), revision, None)
        token = text(2, self._calls.token(revision))
        found = {}
        for key, name in names.items():
            body = b""
            held = evidence.instruments.get(name.value)
            if held is not None:
                response = chunk(1, entry(held, evidence.listings.get(name.value, ()))) + token
                result = chunk(1, self._answers.answer(name, evidence, Preferences()).body)
                body = len(response).to_bytes(_LENGTH_BYTES, "big") + response + result
            found[key] = CachedAnswer(body, revision)
        return found


_GONE: Final = (wire.INSTRUMENT_STATUS_EXPIRED, wire.INSTRUMENT_STATUS_RETIRED)
_NOBODY: Final = chunk(1, number(1, int(common.LOOKUP_OUTCOME_NOT_FOUND)))


def _response(cached: bytes) -> bytes:
    return cached[_LENGTH_BYTES : _LENGTH_BYTES + int.from_bytes(cached[:_LENGTH_BYTES], "big")]


def _lookup(cached: bytes) -> bytes:
    return cached[_LENGTH_BYTES + int.from_bytes(cached[:_LENGTH_BYTES], "big") :]
