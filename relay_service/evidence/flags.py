"""The flags of an event: what each means, and why this event bears it as far as the log and the definition tell."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from alphapulse.domain.decimal import ExactDecimal
from alphapulse.domain.errors import AlphaPulseError
from alphapulse.domain.provenance import RecordFlag, marks_of
from alphapulse.records import QUOTE
from relay_service.evidence.definitions import Definition
from relay_service.kernel.engine import KernelSettings
from relay_service.log.records import LoggedGap

MEANINGS: Final[Mapping[RecordFlag, str]] = {
    RecordFlag.UNKNOWN_LISTING: "the registries did not know the listing when it was relayed",
    RecordFlag.BID_SIZE_ABSENT: "the venue gave no size with the bid",
    RecordFlag.ASK_SIZE_ABSENT: "the venue gave no size with the ask",
    RecordFlag.SNAPSHOT_BEGIN: "the first row of a book snapshot: the book before it is void",
    RecordFlag.LAST_OF_UPDATE: "the last row of one book update: the book is consistent after it",
    RecordFlag.OVERSIZE: "an amount did not fit 64 bits and is not carried in this row",
    RecordFlag.CROSSED: "the bid is at or above the ask on one venue; it takes no part in opportunities",
    RecordFlag.STALE: "it came later after its venue's time than RELAY_STALE_MS allows; it takes no part in opportunities",
    RecordFlag.OFF_TICK: "a price is not a multiple of the listing's tick size",
    RecordFlag.PRICE_BAND: "a price is further from the last sound one than RELAY_PRICE_BAND_BPS allows; it takes no part in opportunities",
    RecordFlag.OUT_OF_ORDER: "the venue's time ran backwards",
    RecordFlag.GAP_BEFORE: "events of its source are missing before it",
    RecordFlag.NO_REGISTRY: "it was relayed without registries",
    RecordFlag.SIZE_ABSENT: "the venue gave no size",
    RecordFlag.BID_ABSENT: "there was no bid",
    RecordFlag.ASK_ABSENT: "there was no ask",
    RecordFlag.PRICE_ABSENT: "the order has no price",
    RecordFlag.POSSIBLE_DUPLICATE: "its source had sent it before to another life of the relay, and never heard whether that relayed it",
    RecordFlag.TEXT_CUT: "a text did not fit its field: cut, or left out where a part of it would mislead",
    RecordFlag.ACTUAL_ABSENT: "the source gave no actual value",
    RecordFlag.FORECAST_ABSENT: "the source gave no forecast",
    RecordFlag.PREVIOUS_ABSENT: "the source gave no previous value",
}


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag of one event."""

    name: str
    meaning: str
    why: str


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What the reasons are read from."""

    event_type: int
    row: Any
    """One row, a numpy record."""
    definition: Definition
    settings: KernelSettings
    """Of now."""
    loss: LoggedGap | None = None
    """The last loss of its source before it."""
    later: int = 0
    """The sequence of an earlier event of the listing with a later venue time; 0: none was found."""
    later_ns: int = 0
    """That venue time."""
    sound: tuple[int, str] | None = None
    """(sequence, price) of the listing's last event before it that was not marked."""

    def prices(self) -> Sequence[tuple[str, ExactDecimal]]:
        """(name, price) of each price of the row."""
        names = ("bid_price", "ask_price") if self.event_type == QUOTE.event_type else ("price",)
        held = self.row.dtype.names
        return [(name.removesuffix("_price"), decimal(self.row, name)) for name in names if name in held]


def decimal(row: Any, name: str) -> ExactDecimal:
    """A price of a row; exponents of opportunities bear its name, of other types all prices share one."""
    own = f"{name}_exponent"
    return ExactDecimal(int(row[name]), int(row[own if own in row.dtype.names else "price_exponent"]))


def flags_of(case: Circumstances) -> list[Flag]:
    """The flags of an event, the lowest bit first."""
    found = []
    for mark in marks_of(int(case.row["flags"])):
        why = _REASONS.get(mark)
        found.append(Flag(str(mark.name), MEANINGS[mark], why(case) if why is not None else ""))
    return found


def _unknown(case: Circumstances) -> str:
    return case.definition.note


def _crossed(case: Circumstances) -> str:
    told = [f"{name} {price}" for name, price in case.prices()]
    return f"{told[0]} is at or above {told[1]}" if len(told) > 1 else ""


def _stale(case: Circumstances) -> str:
    late = (int(case.row["relay_in_ns"]) - int(case.row["venue_time_ns"])) / 1e6
    return f"it reached the relay {late:,.3f} ms after its venue's time; the bound is {case.settings.stale_ns / 1e6:,.0f} ms now"


def _off_tick(case: Circumstances) -> str:
    listing = case.definition.listing
    if listing is None or not listing.listing.rules.HasField("tick_size"):
        return ""
    found = listing.listing.rules.tick_size
    tick = ExactDecimal(found.mantissa, found.exponent)
    off = [f"{name} {price}" for name, price in case.prices() if _is_off(price, tick)]
    which = " of the definition shown" if off else " of the definition shown, which does not say so"
    return f"{' and '.join(off) or 'a price'}: no multiple of the tick size {tick}{which}"


def _is_off(price: ExactDecimal, tick: ExactDecimal) -> bool:
    try:
        return tick.mantissa > 0 and bool(price.to_decimal() % tick.to_decimal())
    except (AlphaPulseError, ArithmeticError):  # more digits than decimals are computed with
        return False


def _price_band(case: Circumstances) -> str:
    bound = f"the band is {case.settings.price_band * 1e4:,.0f} bps now"
    if case.sound is None:
        return f"{bound}; the price it was held against is not in the log any more"
    sequence, price = case.sound
    return f"{bound}; the last event of the listing before it that was not marked is {sequence}, {price}"


def _out_of_order(case: Circumstances) -> str:
    if not case.later:
        return "the event with the later venue time is not in the log, or its source set the flag"
    ahead = (case.later_ns - int(case.row["venue_time_ns"])) / 1e6
    return f"event {case.later} of the listing, relayed before it, bears a venue time {ahead:,.3f} ms later"


def _gap_before(case: Circumstances) -> str:
    if case.loss is None:
        return "the loss was declared further back than was looked, or its source set the flag"
    record = case.loss.record
    count = f"{record.events:,} events" if record.events else "events, nobody knows how many,"
    return (
        f"{count} of {record.source} are missing ({record.reason}), declared before sequence {record.before_sequence}"
    )


_REASONS: Final[Mapping[RecordFlag, Callable[[Circumstances], str]]] = {
    RecordFlag.UNKNOWN_LISTING: _unknown,
    RecordFlag.CROSSED: _crossed,
    RecordFlag.STALE: _stale,
    RecordFlag.OFF_TICK: _off_tick,
    RecordFlag.PRICE_BAND: _price_band,
    RecordFlag.OUT_OF_ORDER: _out_of_order,
    RecordFlag.GAP_BEFORE: _gap_before,
}
