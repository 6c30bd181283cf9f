"""The kernel once more in plain Python, slow and obvious: what the compiled one is tested against. No service runs it.

It works on rows as dictionaries, exact numbers as fractions, and finds opportunities by trying every pair of a group.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import permutations
from typing import Any, Final

from alphapulse.domain.decimal import EXPONENT_MAX, EXPONENT_MIN
from alphapulse.domain.provenance import PROVENANCE_MASK, Provenance, RecordFlag
from relay_service.kernel import state
from relay_service.kernel.engine import KernelSettings

Row = dict[str, Any]
_TRADE: Final = 1
_QUOTE: Final = 2
_LEVEL: Final = 3
_STATUS: Final = 6
_RELAY_FLAGS: Final = RecordFlag.UNKNOWN_LISTING | RecordFlag.NO_REGISTRY
_REORDER_NS: Final = 10_000_000_000
_BAND_TICKS: Final = 10
_MASK: Final = (1 << 64) - 1


@dataclass(slots=True)
class Opening:
    """An opportunity that is open."""

    buy: ReferenceListing
    sell: ReferenceListing
    row: Row
    figures: tuple[Any, ...]
    provenance: int


@dataclass(slots=True)
class ReferenceGroup:
    """Listings that compare."""

    instrument_key: int
    multiplier: float
    members: list[ReferenceListing] = field(default_factory=list)
    opening: Opening | None = None


@dataclass(slots=True)
class ReferenceListing:
    """A listing, or what is known of one nobody defined."""

    key: int
    version: int = 0
    known: bool = False
    tick: tuple[int, int] | None = None
    fee: float = math.nan
    listing_status: int = 0
    venue_status: int = 0
    trading_state: int = 0
    group: ReferenceGroup | None = None
    quote: Row | None = None
    venue_time_ns: int = 0
    reference: tuple[float, int, int] | None = None
    """(price, when, provenance) that prices are compared with."""


class ReferenceKernel:
    """The same calls as the engine's, over dictionaries."""

    def __init__(self, settings: KernelSettings) -> None:
        self.settings = settings
        self.listings: dict[int, ReferenceListing] = {}
        self.next_sequence = settings.first_sequence
        self.provisional = settings.max_provisional
        self.counters: dict[int, int] = {}
        self._out: list[Row] = []

    def listing(self, key: int) -> ReferenceListing:
        """The listing of a key, new when there is none."""
        return self.listings.setdefault(key, ReferenceListing(key))

    def intake(
        self, kind: int, rows: list[Row], source_id: int, gap: bool, now_ns: int, provenance: int = 0
    ) -> tuple[list[Row], list[Row]]:
        """(rows kept, opportunities), the latter without a sequence."""
        kept, self._out = [], []
        for row in rows:
            reject = self._fault(row, provenance)
            if reject is not None:
                self._count(reject)
                continue
            kept.append(self._take(kind, dict(row), source_id, gap, now_ns))
            gap = False
        return kept, self._out

    def pass_time(self, now_ns: int) -> list[Row]:
        """The rows of opportunities that end, or are replaced, because their quotes are too old; in no order."""
        self._out = []
        groups = {id(one.group): one.group for one in self.listings.values() if one.group is not None}
        for group in groups.values():
            if group.opening is not None and now_ns > group.opening.row["expires_time_ns"]:
                self._evaluate(group, group.opening.provenance, None, now_ns)
        return self._out

    def _count(self, counter: int) -> None:
        self.counters[counter] = self.counters.get(counter, 0) + 1

    @staticmethod
    def _fault(row: Row, provenance: int) -> int | None:
        if row.get("malformed"):
            return state.REJECT_MALFORMED
        if row["listing_key"] == 0:
            return state.REJECT_NO_KEY
        stated = row["flags"] & PROVENANCE_MASK
        if not stated:
            return state.REJECT_NO_PROVENANCE
        if provenance not in (0, stated):
            return state.REJECT_PROVENANCE_MISMATCH
        exponents = [value for name, value in row.items() if name.endswith("exponent")]
        return None if all(EXPONENT_MIN <= one <= EXPONENT_MAX for one in exponents) else state.REJECT_EXPONENT

    def _take(self, kind: int, row: Row, source_id: int, gap: bool, now_ns: int) -> Row:
        key = row["listing_key"]
        listing = self.listings.get(key)
        if listing is None and self.provisional > 0:
            self.provisional -= 1
            listing = self.listing(key)
        known = listing is not None and listing.known
        flags = row["flags"] & ~_RELAY_FLAGS
        if not known:
            unknown = self.settings.registry_enabled
            flags |= RecordFlag.UNKNOWN_LISTING if unknown else RecordFlag.NO_REGISTRY
            if unknown:
                self._count(state.UNKNOWN_EVENTS)
        if gap:
            flags |= RecordFlag.GAP_BEFORE
        if 0 < self.settings.stale_ns < now_ns - row["venue_time_ns"] and row["venue_time_ns"] > 0:
            replayed = flags & PROVENANCE_MASK == Provenance.REPLAY
            flags |= 0 if replayed else RecordFlag.STALE
        if listing is not None:
            flags = self._judge(kind, listing, row, flags, now_ns)
        row.update(
            sequence=self.next_sequence, relay_in_ns=now_ns, relay_out_ns=0, source_id=source_id, flags=int(flags)
        )
        row["definition_version"] = listing.version if known and listing is not None else 0
        self.next_sequence += 1
        if listing is not None:
            self._keep(kind, listing, row, now_ns)
        return row

    def _judge(self, kind: int, listing: ReferenceListing, row: Row, flags: int, now_ns: int) -> int:
        if kind == _QUOTE and 0 < row["venue_time_ns"] < listing.venue_time_ns:
            flags |= RecordFlag.OUT_OF_ORDER
        if kind not in (_TRADE, _QUOTE, _LEVEL) or flags & RecordFlag.OVERSIZE:
            return flags
        if kind != _QUOTE:
            prices = [row["price"]]
        else:
            bid = [] if flags & RecordFlag.BID_ABSENT else [row["bid_price"]]
            ask = [] if flags & RecordFlag.ASK_ABSENT else [row["ask_price"]]
            prices = bid + ask
            crossed = bool(bid and ask and bid[0] >= ask[0])
            flags = flags | RecordFlag.CROSSED if crossed else flags & ~RecordFlag.CROSSED
        if listing.tick is not None:
            step = exact(*listing.tick)
            if any(exact(price, row["price_exponent"]) % step for price in prices):
                flags |= RecordFlag.OFF_TICK
        if kind != _LEVEL and any(
            self._outside(listing, double(price, row["price_exponent"]), flags, now_ns) for price in prices
        ):
            flags |= RecordFlag.PRICE_BAND
        return flags

    def _outside(self, listing: ReferenceListing, price: float, flags: int, now_ns: int) -> bool:
        if listing.reference is None or self.settings.price_band <= 0:
            return False
        reference, taken_ns, provenance = listing.reference
        if now_ns - taken_ns > self.settings.price_band_age_ns or provenance != flags & PROVENANCE_MASK:
            return False
        distance = abs(price - reference)
        near = 0.0 if listing.tick is None else _BAND_TICKS * double(*listing.tick)
        return distance > near and distance > self.settings.price_band * reference

    def _keep(self, kind: int, listing: ReferenceListing, row: Row, now_ns: int) -> None:
        if kind == _QUOTE:
            held = listing.quote
            if row["flags"] & RecordFlag.OUT_OF_ORDER and held and now_ns - held["relay_in_ns"] <= _REORDER_NS:
                return
            listing.quote = row
            listing.venue_time_ns = row["venue_time_ns"] or listing.venue_time_ns
            if not row["flags"] & (RecordFlag.CROSSED | RecordFlag.PRICE_BAND):
                middle = (price(listing, "bid") + price(listing, "ask")) / 2
                if price(listing, "ask") - middle <= self.settings.price_band * middle:
                    self._refer(listing, middle, row, now_ns)
        elif kind == _STATUS:
            listing.trading_state = min(row["state"], 255)
        else:
            if kind == _TRADE and not row["flags"] & (RecordFlag.OVERSIZE | RecordFlag.PRICE_BAND):
                self._refer(listing, double(row["price"], row["price_exponent"]), row, now_ns)
            return
        if listing.group is not None:
            if listing.quote is not None and listing.quote["flags"] & RecordFlag.CROSSED:
                self._count(state.CANDIDATE_CROSSED)
            self._evaluate(listing.group, row["flags"] & PROVENANCE_MASK, row, now_ns)

    @staticmethod
    def _refer(listing: ReferenceListing, price: float, row: Row, now_ns: int) -> None:
        if price > 0:
            listing.reference = (price, now_ns, row["flags"] & PROVENANCE_MASK)

    def _evaluate(self, group: ReferenceGroup, provenance: int, trigger: Row | None, now_ns: int) -> None:
        best = self._best(group, provenance, now_ns)
        opening = group.opening
        if opening is not None and (
            best is None
            or opening.buy is not best[0]
            or opening.sell is not best[1]
            or opening.provenance != provenance
        ):
            self._emit(
                {**opening.row, "state": 3, "confidence": 0.0, "expires_time_ns": now_ns}, opening.buy, trigger, now_ns
            )
            self._count(state.CLOSED)
            opening = group.opening = None
        if best is None:
            reason = self._rejected(group, provenance, now_ns)
            if reason:
                self._count(reason)
            return
        buy, sell = best
        figures = self._figures(group, buy, sell)
        seen = (*figures.values(),)
        if opening is None:
            number = opportunity_id(buy.key, sell.key, trigger["sequence"] if trigger else self.next_sequence)
            figures |= {"state": 1, "opportunity_id": number, "discovered_time_ns": now_ns, "flags": provenance}
            self._count(state.OPENED)
        else:
            kept = ("opportunity_id", "discovered_time_ns", "flags")
            figures |= {"state": 2} | {name: opening.row[name] for name in kept}
        assert buy.quote is not None
        assert sell.quote is not None
        times = buy.quote["relay_in_ns"], sell.quote["relay_in_ns"]
        figures["expires_time_ns"] = min(times) + self.settings.max_quote_age_ns
        figures["confidence"] = math.exp(-(2 * now_ns - sum(times)) / self.settings.confidence_decay_ns)
        group.opening = Opening(buy, sell, figures, seen, provenance)
        if opening is None or opening.figures != seen:
            self._emit(figures, buy, trigger, now_ns)

    def _emit(self, figures: Row, buy: ReferenceListing, trigger: Row | None, now_ns: int) -> None:
        origin = trigger or {"sequence": 0, "venue_time_ns": 0, "collector_time_ns": 0, "source_id": 0}
        self._out.append(
            {
                **figures,
                "trigger_sequence": origin["sequence"],
                "venue_time_ns": origin["venue_time_ns"],
                "collector_time_ns": origin["collector_time_ns"],
                "source_id": origin["source_id"],
                "relay_in_ns": now_ns,
                "definition_version": buy.version,
            }
        )

    def _best(
        self, group: ReferenceGroup, provenance: int, now_ns: int
    ) -> tuple[ReferenceListing, ReferenceListing] | None:
        """Of all pairs that may trade the one that gains most a unit; ties go to the cheaper purchase, then to the dearer sale, then to the first."""
        found = []
        for buy, sell in permutations(group.members, 2):
            if self._reason(buy, "ask", provenance, now_ns) == 0 == self._reason(sell, "bid", provenance, now_ns):
                cost = price(buy, "ask") * (1.0 + buy.fee * 1e-4)
                gain = price(sell, "bid") * (1.0 - sell.fee * 1e-4)
                found.append((gain - cost, -cost, gain, buy, sell))
        if not found:
            return None
        *_, buy, sell = max(found, key=lambda one: one[:3])
        ratio = price(sell, "bid") / price(buy, "ask")
        net = (ratio - 1.0) * 1e4 - buy.fee - sell.fee * ratio
        return (buy, sell) if net > self.settings.threshold_bps else None

    def _reason(self, listing: ReferenceListing, side: str, provenance: int, now_ns: int) -> int:
        """Why a side does not count; 0: it does; -1: there is none."""
        quote = listing.quote
        if quote is None or quote["flags"] & RecordFlag.CROSSED or not price(listing, side) > 0:
            return -1
        if quote["flags"] & PROVENANCE_MASK != provenance:
            return state.CANDIDATE_PROVENANCE
        if max(listing.listing_status, listing.venue_status, listing.trading_state) > 1:
            return state.CANDIDATE_NOT_TRADING
        if quote["flags"] & RecordFlag.STALE or now_ns - quote["relay_in_ns"] > self.settings.max_quote_age_ns:
            return state.CANDIDATE_STALE
        if quote["flags"] & RecordFlag.PRICE_BAND:
            return state.CANDIDATE_BAND
        if math.isnan(listing.fee):
            return state.CANDIDATE_FEES_UNKNOWN
        absent = RecordFlag.ASK_SIZE_ABSENT if side == "ask" else RecordFlag.BID_SIZE_ABSENT
        return state.CANDIDATE_NO_SIZE if quote[f"{side}_size"] <= 0 or quote["flags"] & absent else 0

    def _rejected(self, group: ReferenceGroup, provenance: int, now_ns: int) -> int:
        """Why the best ask and bid of all are no opportunity; 0 when they do not cross."""
        reasons = {
            side: [
                (price(one, side), self._reason(one, side, provenance, now_ns))
                for one in group.members
                if self._reason(one, side, provenance, now_ns) >= 0
            ]
            for side in ("ask", "bid")
        }
        if not reasons["ask"] or not reasons["bid"]:
            return 0
        ask = min(reasons["ask"], key=lambda one: one[0])
        bid = max(reasons["bid"], key=lambda one: one[0])
        return (ask[1] or bid[1] or state.CANDIDATE_FEES) if bid[0] > ask[0] else 0

    @staticmethod
    def _figures(group: ReferenceGroup, buy: ReferenceListing, sell: ReferenceListing) -> Row:
        a, b = buy.quote, sell.quote
        assert a is not None
        assert b is not None
        sizes = (a["ask_size"], a["size_exponent"]), (b["bid_size"], b["size_exponent"])
        size, exponent = sizes[0] if exact(*sizes[0]) < exact(*sizes[1]) else sizes[1]
        ratio = price(sell, "bid") / price(buy, "ask")
        gross = (ratio - 1.0) * 1e4
        return {
            "listing_key": buy.key,
            "sell_listing_key": sell.key,
            "buy_price": a["ask_price"],
            "buy_price_exponent": a["price_exponent"],
            "sell_price": b["bid_price"],
            "sell_price_exponent": b["price_exponent"],
            "size": size,
            "size_exponent": exponent,
            "gross_bps": gross,
            "net_bps": gross - buy.fee - sell.fee * ratio,
            "capital": double(size, exponent) * group.multiplier * price(buy, "ask"),
            "instrument_key": group.instrument_key,
        }


def exact(mantissa: int, exponent: int) -> Fraction:
    """The number itself."""
    return Fraction(mantissa) * Fraction(10) ** exponent


def double(mantissa: int, exponent: int) -> float:
    """As the kernel rounds: the mantissa, then the quotient or product."""
    return float(mantissa) / float(f"1e{-exponent}") if exponent < 0 else float(mantissa) * float(f"1e{exponent}")


def price(listing: ReferenceListing, side: str) -> float:
    """A side of the last quote as a double; NaN where there is none."""
    quote = listing.quote
    absent = RecordFlag.BID_ABSENT if side == "bid" else RecordFlag.ASK_ABSENT
    if quote is None or quote["flags"] & (absent | RecordFlag.OVERSIZE):
        return math.nan
    return double(quote[f"{side}_price"], quote["price_exponent"])


def opportunity_id(buy_key: int, sell_key: int, sequence: int) -> int:
    """Three rounds of splitmix64 over both keys and the sequence."""
    return _mix(_mix(_mix(buy_key) ^ sell_key) ^ sequence) or 1


def _mix(x: int) -> int:
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB & _MASK
    return x ^ (x >> 31)
