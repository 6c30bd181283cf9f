"""What the core tells of its inputs, put into the journals: the settings first, a definition before the first event it has a part in, its changes.

What is noted is bounded by what events come of, not by what the registries hold. In the market's journal a listing is noted at its first event in
any domain, a venue with the first of its listings, and changes when they come, for they have a part in what follows by themselves; synthetics are
few, and are noted as they come. In the other domains' a definition has a part in the events of its own listing or synthetic alone: it is noted with
the next of them, so a domain in which nothing happens is told nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Final

import numpy as np
import numpy.typing as npt

from alphapulse.domain.domains import Domain
from relay_service.core import RelayCore
from relay_service.kernel.engine import KernelSettings
from relay_service.log.journal import Journal

SETTINGS: Final = "settings"
LISTING: Final = "listing"
"""Named by its listing_key in decimal digits; a serialized ListingDefinition."""
VENUE: Final = "venue"
"""Named by its code; a serialized Venue."""
SYNTHETIC: Final = "synthetic"
"""Named by its name; a serialized Synthetic."""
TICK: Final = "tick"


class _Used:
    """What a domain other than the market was told of definitions."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self._settled = bytearray()
        """By slot: 1 where nothing changed since it was looked at."""
        self._noted = bytearray()
        """By slot: 1 where the journal has a definition that is not taken back."""
        self.synthetics: dict[int, str] = {}
        """By slot, under which name it was noted."""

    def unsettled(self, slots: npt.NDArray[np.int32]) -> list[int]:
        """Those to be looked at, each once; a listing without a slot is known to nobody. They count as settled from now on."""
        found = [slot for slot in set(slots.tolist()) if slot >= 0]
        more = max(found, default=-1) + 1 - len(self._settled)
        if more > 0:
            more = max(more, len(self._settled))
            self._settled.extend(bytes(more))
            self._noted.extend(bytes(more))
        found = [slot for slot in found if not self._settled[slot]]
        for slot in found:
            self._settled[slot] = 1
        return found

    def unsettle(self, slots: Iterable[int]) -> None:
        """Something changed of these."""
        for slot in slots:
            if slot < len(self._settled):
                self._settled[slot] = 0

    def note(self, slot: int, what: str, name: str, data: bytes, now_ns: int) -> None:
        """A definition holds, or none does: which is told where one did."""
        if data or self._noted[slot]:
            self._noted[slot] = bool(data)
            self.journal.append_input(what, name, data, now_ns)


class InputNotes:
    """`relay_service.notes.Notes` of one core, into the journals of its domains."""

    def __init__(self, core: RelayCore, journals: Mapping[Domain, Journal]) -> None:
        self._core = core
        self._replica = core.replica
        self._journal = journals[Domain.MARKET]
        self._used: dict[Domain, _Used] = {
            domain: _Used(journal) for domain, journal in journals.items() if domain is not Domain.MARKET
        }
        self._venues: set[str] = set()
        """Of listings that were noted."""
        settings = json.dumps(asdict(core.settings)).encode()
        for journal in journals.values():
            journal.append_input(SETTINGS, "", settings, 0)
        core.tell(self)

    def met(self, slots: Sequence[int]) -> None:
        """The first event of each of these slots came."""
        for slot in slots:
            if self._replica.listing(slot) is not None:
                self._note_listing(slot)

    def used(self, domain: Domain, slots: npt.NDArray[np.int32]) -> None:
        """Events of a domain other than the market came of these slots."""
        used = self._used.get(domain)
        if used is None:
            return
        replica = self._replica
        for slot in used.unsettled(slots):
            synthetic = replica.synthetic(slot)
            if synthetic is not None:
                used.synthetics[slot] = synthetic.name
                used.note(slot, SYNTHETIC, synthetic.name, synthetic.SerializeToString(), replica.now_ns)
            elif slot in used.synthetics:
                used.note(slot, SYNTHETIC, used.synthetics.pop(slot), b"", replica.now_ns)
            else:
                used.note(slot, LISTING, self._key_of(slot), replica.definition(slot), replica.now_ns)

    def _key_of(self, slot: int) -> str:
        return str(int(self._core.slots.table["key"][slot]))

    def listing(self, slot: int) -> None:
        """The definition of a slot that events came of is new, changed or gone."""
        for used in self._used.values():
            used.unsettle((slot,))
        self._note_listing(slot)

    def _note_listing(self, slot: int) -> None:
        listing = self._replica.listing(slot)
        if listing is not None and listing.venue not in self._venues:
            self._venues.add(listing.venue)
            self.venue(listing.venue)
        self._note(LISTING, self._key_of(slot), self._replica.definition(slot))

    def venue(self, code: str) -> None:
        """A venue is new, changed or gone."""
        if code in self._venues:
            venue = self._replica.venue(code)
            self._note(VENUE, code, b"" if venue is None else venue.SerializeToString())

    def synthetic(self, name: str, data: bytes, slots: Sequence[int]) -> None:
        """A synthetic was put, changed or not, or is gone: then without data."""
        for used in self._used.values():
            used.unsettle(slots)
        self._note(SYNTHETIC, name, data)

    def ticked(self, now_ns: int) -> None:
        """Time passed, changed something, and nothing came of it that would tell of it."""
        self._journal.append_input(TICK, "", b"", now_ns)

    def _note(self, what: str, name: str, data: bytes) -> None:
        self._journal.append_input(what, name, data, self._replica.now_ns)


def settings_of(data: bytes) -> KernelSettings:
    """The settings that were noted. TypeError, ValueError: they are of another version."""
    return KernelSettings(**json.loads(data))
