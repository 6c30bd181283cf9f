"""The definition an event was enriched with: the one the relay holds where it is of the same version, else the registry's history is asked."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

import grpc

from alphapulse.api.instrument.v1.instrument_service_pb2 import GetInstrumentHistoryRequest
from alphapulse.api.instrument.v1.instrument_service_pb2_grpc import InstrumentServiceStub
from alphapulse.api.relay.v1.relay_service_pb2 import ListingDefinition
from alphapulse.api.synthetic.v1.synthetic_service_pb2 import GetSyntheticHistoryRequest
from alphapulse.api.synthetic.v1.synthetic_service_pb2_grpc import SyntheticServiceStub
from alphapulse.client import from_rpc_error, open_channel
from relay_service.core import RelayCore
from relay_service.enrichment.feed import RegistryAddresses

_DEADLINE: Final = 2.0
_PAGE: Final = 1000
_MOST_PAGES: Final = 5


class Origin(IntEnum):
    """Whose a definition is. Numbers equal those of the API's DefinitionOrigin."""

    HELD = 1
    HISTORY = 2
    PRESENT = 3
    UNKNOWN = 4


@dataclass(frozen=True, slots=True)
class Definition:
    """What was found."""

    origin: Origin
    version: int
    """That the event bears."""
    note: str = ""
    """For people."""
    listing: Any = None
    """A ListingDefinition, or None."""
    synthetic: Any = None
    """A Synthetic, or None."""


class DefinitionFinder:
    """`of` an event's listing and version."""

    def __init__(self, core: RelayCore, addresses: RegistryAddresses | None) -> None:
        self._core = core
        self._addresses = addresses
        """None: the relay runs without registries."""

    async def of(self, key: int, version: int, at_ns: int) -> Definition:
        """The definition of a listing or synthetic that bore this version at this time; never raises for what it cannot find."""
        slot = self._core.slots.slot_of(key)
        synthetic = self._core.replica.synthetic(slot)
        if synthetic is not None:
            return await self._synthetic(synthetic, version)
        data = self._core.replica.definition(slot)
        if not data:
            return Definition(Origin.UNKNOWN, version, "the relay knows no listing of this key")
        held = ListingDefinition.FromString(data)
        now = held.listing.definition_version
        if version == now:
            return Definition(Origin.HELD, version, listing=held)
        if not version:
            note = f"it was relayed as an event of an unknown listing; version {now} is known now"
            return Definition(Origin.PRESENT, version, note, listing=held)
        found, why = await self._listing_of_then(held.listing, version, at_ns)
        if found is None:
            return Definition(Origin.PRESENT, version, f"version {now} holds now; {why}", listing=held)
        return Definition(Origin.HISTORY, version, f"version {now} holds now", listing=found)

    async def _listing_of_then(self, listing: Any, version: int, at_ns: int) -> tuple[Any, str]:
        """(the definition, "") or (None, why not)."""
        if self._addresses is None:
            return None, "the relay runs without registries to ask for the one of then"
        address = self._addresses.instrument
        request = GetInstrumentHistoryRequest(instrument_id=listing.instrument_id, page_size=_PAGE)
        found = instrument = None
        try:
            async with open_channel(address) as channel:
                stub: Any = InstrumentServiceStub(channel)
                for _ in range(_MOST_PAGES):
                    page = await stub.GetInstrumentHistory(request, timeout=_DEADLINE)
                    for change in page.changes:  # the newest first
                        kind = change.WhichOneof("entity")
                        if kind == "listing" and found is None and _is_version(change.listing, listing, version):
                            found = change.listing
                        elif kind == "instrument" and change.commit_time.ToNanoseconds() <= at_ns:
                            instrument = instrument or change.instrument
                    request.page_token = page.next_page_token
                    if not page.next_page_token or (found is not None and instrument is not None):
                        break
        except grpc.RpcError as error:
            return None, _told(address, error)
        if found is None:
            return None, f"the registry's history holds no version {version} of the listing"
        return ListingDefinition(listing=found, instrument=instrument), ""

    async def _synthetic(self, held: Any, version: int) -> Definition:
        if held.formula_version == version:
            return Definition(Origin.HELD, version, synthetic=held)
        now = f"version {held.formula_version} holds now"
        if self._addresses is None:
            why = "the relay runs without registries to ask for the one of then"
            return Definition(Origin.PRESENT, version, f"{now}; {why}", synthetic=held)
        address = self._addresses.synthetic
        request = GetSyntheticHistoryRequest(name=held.name, page_size=_PAGE)
        try:
            async with open_channel(address) as channel:
                stub: Any = SyntheticServiceStub(channel)
                page = await stub.GetSyntheticHistory(request, timeout=_DEADLINE)
        except grpc.RpcError as error:
            return Definition(Origin.PRESENT, version, f"{now}; {_told(address, error)}", synthetic=held)
        for change in page.changes:
            if change.synthetic.formula_version == version:
                return Definition(Origin.HISTORY, version, now, synthetic=change.synthetic)
        why = f"the registry's history holds no version {version} of the synthetic"
        return Definition(Origin.PRESENT, version, f"{now}; {why}", synthetic=held)


def _is_version(one: Any, listing: Any, version: int) -> bool:
    return bool(one.listing_id == listing.listing_id and one.definition_version == version)


def _told(address: str, error: grpc.RpcError) -> str:
    found = from_rpc_error(error)
    return f"the registry at {address} does not tell the one of then: {found.message} [{found.reason}]"
