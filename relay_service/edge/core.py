"""The state of an edge: what a relay's core knows, made of what another core made. Nothing is numbered, judged or detected here."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from alphapulse.domain.domains import Domain
from alphapulse.domain.partitions import Partition
from alphapulse.domain.provenance import Provenance
from alphapulse.records import LAYOUTS, OPPORTUNITY, SYNTHETIC_UPDATE
from relay_service.breaker import BreakerState
from relay_service.core import RelayCore
from relay_service.kernel.engine import KernelSettings
from relay_service.log.records import LoggedRows
from relay_service.results import RowGroup
from relay_service.sources import SourceTable

DEFINITION_SECONDS: Final = 5.0
"""How long rows wait for a definition that the relay had and this edge has not; then they go on, and none wait until the registries say
something new."""
_LOOK_SECONDS: Final = 0.002
_DOMAINS: Final = {int(domain): domain for domain in Domain}
_LAST: Final = (("quote_sequence", 0), ("has_trade", 0), ("has_status", 0))
"""The fields by which a slot has a last row."""


class EdgeCore(RelayCore):
    """A core whose rows come from a log. `wait_defined`, then `take`; `begin` with each life of the relay."""

    def __init__(self, settings: KernelSettings, partition: Partition | None = None) -> None:
        super().__init__(settings, partition=partition)
        self.stamp_out = self._measure
        self._defined = np.zeros(1024, np.bool_)
        """By slot: whether it ever had a definition. One that lost it is not waited for."""
        self._gave_up_at = ""
        self._waived: dict[int, int] = {}
        """By listing_key: the definition version that was waited for in vain."""
        self.definition_waits = 0
        """Times that rows waited for a definition."""
        self.on_definition_changed(self._note_defined)

    def begin(self, sequence: int, domain: Domain = Domain.MARKET) -> None:
        """What comes next of a domain has the sequence after this one; of what came before nothing is known."""
        self.engine.resume_at(sequence + 1, domain)
        if domain is not Domain.MARKET:
            return  # nothing is kept of it
        for field, nothing in _LAST:
            self.slots.table[field] = nothing
        self.synthetics.forget_rows()

    async def wait_defined(self, rows: LoggedRows) -> None:
        """Wait until this edge has learned the definitions that the relay had when it relayed these rows: filters ask for them."""
        if not self.settings.registry_enabled or not self._lacks(rows):
            return
        if self._gave_up_at == self.replica.revision.encode():
            return
        self.definition_waits += 1
        deadline = time.monotonic() + DEFINITION_SECONDS
        while lacking := self._lacks(rows):
            if time.monotonic() >= deadline:
                self._gave_up_at = self.replica.revision.encode()
                self._waived |= lacking
                return
            await asyncio.sleep(_LOOK_SECONDS)

    def _lacks(self, rows: LoggedRows) -> dict[int, int]:
        """The listings among these rows of which a later definition is named than is held, with its version."""
        raw = np.frombuffer(rows.data, np.uint8)
        place = self.engine.first_undefined(rows.event_type, raw, rows.events)
        if place < 0:
            return {}
        if self.replica.has_changed:
            self.settle()
        left = raw.view(LAYOUTS[rows.event_type].dtype)[place:]
        slots = self.slots.slots_of(left["listing_key"])
        held = np.where(slots >= 0, self.slots.table["definition_version"][slots], 0)
        known = np.where(slots >= 0, self.slots.table["known"][slots], 0)
        gone = (slots >= 0) & (known == 0) & self._ever_defined(slots)
        found = left[(left["definition_version"] > held) & ~gone]
        named = zip(found["listing_key"].tolist(), found["definition_version"].tolist(), strict=True)
        return {key: version for key, version in named if version > self._waived.get(key, 0)}

    def _ever_defined(self, slots: npt.NDArray[np.int32]) -> npt.NDArray[np.bool_]:
        inside = (slots >= 0) & (slots < len(self._defined))
        return inside & self._defined[np.where(inside, slots, 0)]

    def _note_defined(self, slots: npt.NDArray[np.int32]) -> None:
        if self.slots.count > len(self._defined):
            more = np.zeros(max(self.slots.count, 2 * len(self._defined)), np.bool_)
            more[: len(self._defined)] = self._defined
            self._defined = more
        self._defined[slots[self.slots.table["known"][slots] != 0]] = True

    def take(self, rows: LoggedRows) -> RowGroup:
        """Rows of the log as a group that can be handed on; they become the last ones of their listings."""
        raw = np.frombuffer(rows.data, np.uint8)
        if self.replica.has_changed:
            self.settle()
        self.engine.resume_at(rows.last + 1, LAYOUTS[rows.event_type].domain)
        others = None
        if rows.event_type in (OPPORTUNITY.event_type, SYNTHETIC_UPDATE.event_type):
            table = raw.view(LAYOUTS[rows.event_type].dtype)
            slots = self.slots_for(table["listing_key"])
            if rows.event_type == OPPORTUNITY.event_type:
                others = self.slots_for(table["sell_listing_key"])
            else:
                held = np.flatnonzero(slots >= 0)
                self.synthetics.keep_rows(slots[held].tolist(), table[held])
        else:
            slots = self.engine.absorb_bytes(rows.event_type, raw, rows.events, rows.now_ns)
            self.announce_new()
        return RowGroup(rows.event_type, raw, slots, rows.first, others)

    def pass_time(self, now_ns: int) -> None:
        """Let fee schedules begin and end, and tell the callbacks what changed."""
        self.replica.pass_time(now_ns)
        self.settle()

    def adopt(self, sources: Iterable[Any]) -> None:
        """Know the sources as the relay tells of them, in messages SourceHealth, and no others."""
        self.sources = SourceTable()
        for told in sources:
            domain = _DOMAINS.get(told.domain, Domain.MARKET)
            source, _ = self.sources.claim(told.source, 0, int(Provenance.LIVE), domain=domain)
            source.connected, source.last_event_ns = told.connected, told.last_event_ns
            source.next_sequence = told.last_sequence + 1 & (1 << 64) - 1
            source.gap_events, source.clock_offset_ns = told.gap_events, told.clock_offset_ns
            source.events = dict(told.events)
            if told.breaker:
                source.breaker.state = BreakerState(told.breaker)
            source.breaker.opened, source.breaker.shed = told.breaker_opened, told.breaker_shed
            source.limit.shed = told.limited

    def _measure(self, event_type: int, raw: npt.NDArray[np.uint8], count: int, now_ns: int) -> None:
        """Rows keep the time at which the relay handed them on: they are the same bytes whoever serves them. What this hop took is counted."""
        relay_in_ns = int(raw[: LAYOUTS[event_type].row_size].view(LAYOUTS[event_type].dtype)["relay_in_ns"][0])
        self.engine.measure(count, max(now_ns - relay_in_ns, 0))
