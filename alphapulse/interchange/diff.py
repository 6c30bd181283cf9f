"""What a dry run tells of entries that are registered already: what they add, what they change, where the registry keeps its own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any, Final

import grpc
from google.protobuf.json_format import MessageToDict

from alphapulse.api.instrument.v1 import instrument_service_pb2 as service
from alphapulse.api.instrument.v1 import instrument_service_pb2_grpc
from alphapulse.client.errors import from_rpc_error
from alphapulse.domain.decimal import ExactDecimal
from alphapulse.domain.errors import NotFound
from alphapulse.domain.identifiers import Scheme
from alphapulse.interchange.blocks import Entry

Known = tuple[Entry, service.RegistrationResult]
Told = tuple[Entry, service.RegistrationResult, str, Sequence[str]]

_AT_ONCE: Final = 32
_LISTING_FIELDS: Final = ("status", "primary", "valid_from", "valid_to", "rules", "fees", "currency", "upcoming_rules")
_SHOWN: Final = 120


def entry_of(entry: Entry) -> service.InstrumentEntry:
    """The message of an entry."""
    return service.InstrumentEntry.FromString(entry.body)


class DryRun:
    """Compares what would be registered with what is."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = instrument_service_pb2_grpc.InstrumentServiceStub(channel)
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._foreseen: set[str] = set()

    def foresees(self, ids: Iterable[str]) -> bool:
        """Whether all of these are instruments that entries before would create."""
        return all(one in self._foreseen for one in ids)

    async def classify(self, known: Sequence[Known]) -> list[Told]:
        """Each with the name of its count and what there is to tell."""
        return list(await asyncio.gather(*(self._one(entry, result) for entry, result in known)))

    async def _one(self, entry: Entry, result: service.RegistrationResult) -> Told:
        if result.outcome == service.REGISTRATION_OUTCOME_COLLISION:
            return entry, result, "conflicts", ()
        if result.outcome == service.REGISTRATION_OUTCOME_CREATED:
            if result.instrument_id in self._foreseen:
                return entry, result, "extended", ("an earlier row creates it; this one adds what that one lacks",)
            self._foreseen.add(result.instrument_id)
            return entry, result, "created", ()
        if result.outcome == service.REGISTRATION_OUTCOME_UNCHANGED:
            return entry, result, "differing" if result.differences else "unchanged", kept(result)
        held = await self._held(result.instrument_id)
        added, differing = compare(entry_of(entry), held) if held is not None else ([], [])
        # What the registry says it keeps is not changed: listings keep what another source said of them.
        changes = [one for one in differing if one.startswith("listing ") and not _is_kept(one, result)]
        told = [*added, *(f"change: {one}" for one in changes), *kept(result)]
        return entry, result, "changed" if changes else "extended", told

    async def _held(self, instrument_id: str) -> service.InstrumentEntry | None:
        """What is registered; None where it is only to be created by an earlier row of the same batch."""
        async with self._turns:
            try:
                answer = await self._stub.GetInstrument(service.GetInstrumentRequest(instrument_id=instrument_id))
            except grpc.RpcError as raw:
                error = from_rpc_error(raw)
                if isinstance(error, NotFound):
                    return None
                raise error from raw
        return answer.entry


def kept(result: service.RegistrationResult) -> list[str]:
    """Where the entry differs from what is held, which stays as it is."""
    return [f"kept: {one.field.removeprefix('instrument.')}: {one.held} -> {one.sent}" for one in result.differences]


def _is_kept(change: str, result: service.RegistrationResult) -> bool:
    name = change.split(": ")[0].split(" ")[-1]
    return any(one.field.endswith(f".{name}") for one in result.differences)


def compare(sent: service.InstrumentEntry, held: service.InstrumentEntry) -> tuple[list[str], list[str]]:
    """(what the sent one adds, where the two say different things), in words: `field: held -> sent`."""
    added: list[str] = []
    differing: list[str] = []
    if sent.instrument.name:
        _field("name", sent.instrument.name, held.instrument.name, added, differing)
    which = sent.instrument.WhichOneof("details")
    if which is not None and which == held.instrument.WhichOneof("details"):
        _fields(which, getattr(sent.instrument, which), getattr(held.instrument, which), added, differing)
    borne = {(int(one.scheme), one.value, one.venue) for one in held.instrument.identifiers}
    borne |= {(int(Scheme.EXCHANGE_SYMBOL), one.symbol, one.venue) for one in (*held.listings, *sent.listings)}
    for one in sent.instrument.identifiers:
        if (int(one.scheme), one.value, one.venue) not in borne:
            where = f" at {one.venue}" if one.venue else ""
            added += [f"identifier {Scheme(one.scheme).name} {one.value}{where}"]
    listed = {(one.venue, one.symbol): one for one in held.listings}
    for listing in sent.listings:
        there = listed.get((listing.venue, listing.symbol))
        if there is None:
            added.append(f"listing {listing.venue}:{listing.symbol}")
        else:
            _fields(f"listing {listing.venue}:{listing.symbol}", listing, there, added, differing, _LISTING_FIELDS)
    return added, differing


def _fields(name: str, sent: Any, held: Any, added: list[str], differing: list[str], only: Sequence[str] = ()) -> None:
    for field, value in sent.ListFields():
        if only and field.name not in only:
            continue
        if field.name in ("rules", "fees"):
            _fields(f"{name} {field.name}", value, getattr(held, field.name), added, differing)
            continue
        there = {one.name: given for one, given in held.ListFields()}.get(field.name)
        if _same(value, there):
            continue
        shown, before = _text(field, value), "" if there is None else _text(field, there)
        _field(f"{name} {field.name}", shown, before, added, differing)


def _field(name: str, sent: str, held: str, added: list[str], differing: list[str]) -> None:
    if not held:
        added.append(f"{name}: {sent[:_SHOWN]}")
    elif sent != held:
        differing.append(f"{name}: {held[:_SHOWN]} -> {sent[:_SHOWN]}")


def _same(one: Any, other: Any) -> bool:
    if other is None:
        return False
    if hasattr(one, "mantissa") and hasattr(other, "mantissa"):
        return ExactDecimal(one.mantissa, one.exponent) == ExactDecimal(other.mantissa, other.exponent)
    return bool(one == other)


def _text(field: Any, value: Any) -> str:
    if hasattr(value, "mantissa"):
        return str(ExactDecimal(value.mantissa, value.exponent))
    if field.enum_type is not None:
        return str(field.enum_type.values_by_number[value].name)
    if hasattr(value, "ToJsonString"):
        return str(value.ToJsonString())
    if field.message_type is not None:
        parts = value if field.is_repeated else [value]
        return str([MessageToDict(one, preserving_proto_field_name=True) for one in parts])
    return " ".join(value) if field.is_repeated else str(value)
