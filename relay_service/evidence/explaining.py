"""An event explained: from the log, the replica of the registries or their history, and the subscriptions that hold now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from alphapulse.domain.domains import Domain
from alphapulse.domain.errors import AlphaPulseError, InvalidArgument, NoEventLog
from alphapulse.domain.provenance import RecordFlag
from alphapulse.records import EXECUTION_REPORT, OPPORTUNITY, QUOTE, STRATEGY_SIGNAL, SYNTHETIC_UPDATE, TRADE
from relay_service.accepted import DERIVED_TYPES
from relay_service.egress.fanout import FanOut
from relay_service.evidence.definitions import Definition, DefinitionFinder
from relay_service.evidence.finding import Found, find_event
from relay_service.evidence.flags import Circumstances, Flag, decimal, flags_of
from relay_service.evidence.lives import Lives
from relay_service.evidence.origins import (
    Back,
    Missing,
    Origin,
    Wanted,
    components_of,
    legs_of,
    look_back,
    order_before,
)
from relay_service.kernel.opportunity import STATE_CLOSED
from relay_service.kernel.quality import REORDER_NS
from relay_service.log.reader import LogReader
from relay_service.results import RowGroup

_MASK: Final = (1 << 64) - 1
_LOSS_NS: Final = 60_000_000_000
"""How far back a loss is looked for that an event says is before it."""
_MARKED: Final = int(RecordFlag.CROSSED | RecordFlag.PRICE_BAND | RecordFlag.OVERSIZE)


@dataclass(frozen=True, slots=True)
class Explanation:
    """All that is known of one event."""

    found: Found
    relay_id: str
    definition: Definition
    flags: list[Flag]
    inputs: list[Origin | Missing]
    trigger: Origin | None
    """What a derived event was made because of, where it was found."""
    matching: int
    """Subscriptions that would take it now."""


class Explainer:
    """Of one relay."""

    def __init__(self, fanout: FanOut, definitions: DefinitionFinder) -> None:
        self._fanout = fanout
        self._core = fanout.core
        self._definitions = definitions

    async def explain(self, sequence: int, relay_id: str, domain: Domain = Domain.MARKET) -> Explanation:
        """Raises InvalidArgument, NoEventLog, OutOfRange, LogHole, and Unavailable while the log's server does not answer."""
        if not sequence:
            raise InvalidArgument.field("sequence", "0", "event-sequence", "the events of a relay are numbered from 1")
        log = self._fanout.logs.get(domain)
        if log is None:
            raise NoEventLog("this relay keeps no log: RELAY_LOG_URL is not set")
        lives = Lives(log, log.life_of(log.incarnation, self._fanout.relay_id))
        found = await find_event(log, lives, lives.incarnation_of(relay_id), sequence)
        row = found.row[0]
        key, version = int(row["listing_key"]), int(row["definition_version"])
        definition = await self._definitions.of(key, version, found.record.now_ns)
        inputs: list[Origin | Missing] = []
        trigger = None
        if found.record.event_type in DERIVED_TYPES:
            trigger = await self._trigger(log, lives, found, int(row["trigger_sequence"]))
            inputs = await self._inputs(log, found, row, definition)
            if trigger is not None and all(_sequence(one) != trigger.sequence for one in inputs):
                inputs.insert(0, trigger)
        elif found.record.event_type == STRATEGY_SIGNAL.event_type:
            inputs = await self._cause(found)
        elif found.record.event_type == EXECUTION_REPORT.event_type:
            inputs = await order_before(log, found)
        return Explanation(
            found,
            lives.name_of(found.incarnation),
            definition,
            await self._flags(log, found, row, definition),
            inputs,
            trigger,
            self._matching(found),
        )

    async def _trigger(self, log: LogReader, lives: Lives, found: Found, sequence: int) -> Origin | None:
        if not sequence:
            return None
        try:
            origin = await find_event(log, lives, found.incarnation, sequence)
        except AlphaPulseError:
            return None  # forgotten since, or in a hole
        return Origin("trigger", origin.record, origin.place)

    async def _cause(self, found: Found) -> list[Origin | Missing]:
        """The event of the market that a signal names, where it is of the same life and can have been heard by then."""
        sequence, log = int(found.row["cause_sequence"][0]), self._fanout.log
        if sequence and not self._fanout.core.partition.is_whole:
            note = f"event {sequence} of a partition of the market: the signal does not tell which"
            return [Missing("cause", note)]
        if not sequence or log is None:
            return []
        lives = Lives(log, self._fanout.relay_id)
        try:
            cause = await find_event(log, lives, found.incarnation, sequence)
        except AlphaPulseError as error:
            return [Missing("cause", f"event {sequence} of the market: {error}")]
        if cause.row["relay_out_ns"][0] > found.record.now_ns:
            note = f"event {sequence} of the market was relayed after it: the strategy heard another life of the relay"
            return [Missing("cause", note)]
        return [Origin("cause", cause.record, cause.place)]

    async def _inputs(self, log: LogReader, found: Found, row: Any, definition: Definition) -> list[Origin | Missing]:
        now_ns = found.record.now_ns
        if found.record.event_type == OPPORTUNITY.event_type:
            wanted = legs_of(row)
            closed = int(row["state"]) == STATE_CLOSED
            age_ns = self._core.settings.max_quote_age_ns * (10 if closed else 1)
            await look_back(log, found, wanted, now_ns - age_ns)
            return [_leg(one, row, closed) for one in wanted]
        oldest_ns = int(row["oldest_input_time_ns"])
        if definition.synthetic is None or not oldest_ns:
            return []
        wanted = components_of(self._core, definition.synthetic)
        await look_back(log, found, wanted, oldest_ns)
        return [
            one.best or Missing(one.role, "no event of it is in the log that is as young as the value needs")
            for one in wanted
        ]

    async def _flags(self, log: LogReader, found: Found, row: Any, definition: Definition) -> list[Flag]:
        flags, now_ns = RecordFlag(int(row["flags"]) & ~0b11), found.record.now_ns
        key, kind = int(row["listing_key"]), found.record.event_type
        settings = self._core.settings
        back, later = Back(), Wanted("later", QUOTE.event_type, set())
        sound = [Wanted("sound", kind, set(), skip=_MARKED)]
        oldest_ns = now_ns
        if RecordFlag.GAP_BEFORE in flags:
            oldest_ns = now_ns - _LOSS_NS
        if RecordFlag.OUT_OF_ORDER in flags:
            oldest_ns = min(oldest_ns, now_ns - REORDER_NS)
            later.keys = {key}
        if RecordFlag.PRICE_BAND in flags:
            oldest_ns = min(oldest_ns, now_ns - settings.price_band_age_ns)
            sound = [Wanted("sound", one, {key}, skip=_MARKED) for one in (QUOTE.event_type, TRADE.event_type)]
        if oldest_ns < now_ns:
            lost_by = found.record.source if RecordFlag.GAP_BEFORE in flags else ""
            back = await look_back(log, found, [later, *sound], oldest_ns, lost_by)
        case = Circumstances(kind, row, definition, settings, back.loss, *_later(later, row), _soundest(sound))
        return flags_of(case)

    def _matching(self, found: Found) -> int:
        row = found.row
        slots = self._core.slots.slots_of(row["listing_key"])
        others = None
        if found.record.event_type == OPPORTUNITY.event_type:
            others = self._core.slots.slots_of(row["sell_listing_key"])
        group = RowGroup(found.record.event_type, row.view(np.uint8), slots, found.sequence, others)
        return self._fanout.matching_subscriptions(group, found.record.source)


def _sequence(one: Origin | Missing) -> int:
    return one.sequence if isinstance(one, Origin) else 0


def _leg(wanted: Wanted, row: Any, closed: bool) -> Origin | Missing:
    """A leg's quote; where its price is not that of the opportunity, it says so."""
    found = wanted.best
    if found is None:
        return Missing(wanted.role, "no quote of it is in the log that is young enough to count")
    theirs = "ask_price" if wanted.role == "buy" else "bid_price"
    used, held = decimal(row, f"{wanted.role}_price"), decimal(found.row[0], theirs)
    if used == held:
        return found
    note = "the last quote before it" if closed else "the last quote in the log before it, not the one it was made of"
    return Origin(
        found.role, found.record, found.place, f"{note}: {theirs[:3]} {held}, the opportunity's price is {used}"
    )


def _later(wanted: Wanted, row: Any) -> tuple[int, int]:
    found = wanted.best
    if found is None:
        return 0, 0
    time_ns = int(found.row["venue_time_ns"][0])
    return (found.sequence, time_ns) if time_ns > int(row["venue_time_ns"]) else (0, 0)


def _soundest(wanted: list[Wanted]) -> tuple[int, str] | None:
    found = max((one.best for one in wanted if one.best is not None), key=lambda one: one.sequence, default=None)
    if found is None:
        return None
    row = found.row[0]
    if found.record.event_type == TRADE.event_type:
        return found.sequence, f"a trade at {decimal(row, 'price')}"
    if found.record.event_type == SYNTHETIC_UPDATE.event_type:
        return None
    return found.sequence, f"a quote of {decimal(row, 'bid_price')} to {decimal(row, 'ask_price')}"
