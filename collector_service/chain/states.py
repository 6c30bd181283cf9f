"""What pools hold, as far as their logs tell, over blocks that are told and withdrawn.

A `Sync` and a swap of Uniswap V3 tell the whole state; `Mint` and `Burn` tell a difference, which says something to whoever knows the state before.
So the changes of the last blocks are kept in their order: where a block is withdrawn, the state of the block that stands is the one that counts
again, and where a log comes late, what followed is reckoned anew.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Reserves:
    """What a pool of constant product holds of its two tokens, in smallest units."""

    one: int
    two: int


@dataclass(frozen=True, slots=True)
class Range:
    """Where a pool of concentrated liquidity stands."""

    sqrt_price: int
    """The square root of token 1 a token 0, both in smallest units, times 2**96."""
    liquidity: int
    """What is in range."""
    tick: int
    """The contract's own: at the edge of a tick it says on which side."""


@dataclass(frozen=True, slots=True)
class Liquidity:
    """Liquidity that was added between two ticks, or taken away where it is below zero."""

    lower: int
    upper: int
    delta: int


@dataclass(frozen=True, slots=True)
class Unread:
    """A log that could not be read: what the pool holds is not known until a log tells all of it."""


State = Reserves | Range
Change = Reserves | Range | Liquidity | Unread


def after(state: State | None, change: Change) -> State | None:
    """The state after a change; None where it is not known."""
    match change:
        case Reserves() | Range():
            return change
        case Unread():
            return None
        case Liquidity(lower, upper, delta):
            if not isinstance(state, Range) or not lower <= state.tick < upper:
                return state
            left = state.liquidity + delta
            # More than there was cannot be taken away: something was missed.
            return Range(state.sqrt_price, left, state.tick) if left >= 0 else None


@dataclass(frozen=True, slots=True)
class Standing:
    """The state of a pool as it is to be told."""

    symbol: str
    state: State | None
    """None: it is not known any more."""
    time_ns: int
    """Of the block it is of."""


@dataclass(order=True, frozen=True, slots=True)
class _Entry:
    number: int
    index: int
    block: str = field(compare=False)
    time_ns: int = field(compare=False)
    change: Change = field(compare=False)


@dataclass(slots=True)
class _Past:
    base: State | None = None
    """The state before the entries."""
    base_ns: int = 0
    entries: list[_Entry] = field(default_factory=list)
    given: State | None = None

    def state(self) -> State | None:
        found = self.base
        for entry in self.entries:
            found = after(found, entry.change)
        return found


class States:
    """The states of pools, by symbol. `kept`: how many blocks may be withdrawn one after another."""

    def __init__(self, kept: int) -> None:
        self._kept = kept
        self._pasts: dict[str, _Past] = {}
        self._touched: dict[str, int] = {}
        """Symbols whose state may be news, with the time of the block that touched them."""

    def told(self, number: int, block: str, time_ns: int, changes: Iterable[tuple[str, int, Change]]) -> None:
        """A block counts: (symbol, place of the log in its block, change) of its logs. Those that come late may come in any order."""
        for symbol, index, change in changes:
            past = self._pasts.setdefault(symbol, _Past())
            insort(past.entries, _Entry(number, index, block, time_ns, change))
            self._settle(past)
            self._touched[symbol] = time_ns

    def withdrawn(self, block: str, time_ns: int, symbols: Iterable[str]) -> None:
        """A block counts no longer."""
        for symbol in symbols:
            past = self._pasts.get(symbol)
            if past is not None:
                past.entries = [entry for entry in past.entries if entry.block != block]
                self._touched[symbol] = time_ns

    def missed(self) -> None:
        """Blocks went by that nobody tells of: no state is known any more."""
        for symbol, past in self._pasts.items():
            self._touched.setdefault(symbol, past.entries[-1].time_ns if past.entries else past.base_ns)
            past.base, past.base_ns = None, 0
            past.entries.clear()

    def take(self) -> list[Standing]:
        """The states that are others than those told last."""
        touched, self._touched = self._touched, {}
        news: list[Standing] = []
        for symbol, touched_ns in touched.items():
            past = self._pasts[symbol]
            state = past.state()
            if state != past.given:
                past.given = state
                stands = past.entries[-1].time_ns if past.entries else past.base_ns
                news.append(Standing(symbol, state, stands or touched_ns))
        return news

    def _settle(self, past: _Past) -> None:
        """What is too far back to be withdrawn becomes the state before all others."""
        oldest = past.entries[-1].number - self._kept
        count = next((place for place, entry in enumerate(past.entries) if entry.number >= oldest), 0)
        for entry in past.entries[:count]:
            past.base, past.base_ns = after(past.base, entry.change), entry.time_ns
        del past.entries[:count]
