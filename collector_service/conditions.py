"""What a row's flags say of a quote and of a book."""

from __future__ import annotations

from typing import Final

from alphapulse.domain.provenance import RecordFlag
from collector_service.amounts import Amount, at_one_exponent
from collector_service.book import BookMachine

# As plain numbers: an operation on a flag of an enum costs more than all else of a row.
_CROSSED: Final = int(RecordFlag.CROSSED)
_BID_ABSENT: Final = int(RecordFlag.BID_ABSENT)
_ASK_ABSENT: Final = int(RecordFlag.ASK_ABSENT)


def two_sides(
    bid: Amount | None, ask: Amount | None, no_bid: RecordFlag, no_ask: RecordFlag, *, zero_absent: bool = False
) -> tuple[tuple[int, int, int], int]:
    """(bid, ask, exponent) of two amounts, and the flags for what is absent or does not fit."""
    flags = 0
    one, two = bid, ask
    if one is None or (zero_absent and not one[0]):
        flags |= no_bid
        one = None
    if two is None or (zero_absent and not two[0]):
        flags |= no_ask
        two = None
    both = at_one_exponent(one or (0, two[1] if two else 0), two or (0, one[1] if one else 0))
    if both is None:
        return (0, 0, 0), flags | RecordFlag.OVERSIZE
    return both, flags


def condition(machine: BookMachine) -> int:
    """The flags of a book: crossed, or a side that is empty."""
    bid, ask = machine.book.bids.best_key(), machine.book.asks.best_key()
    if bid is not None and ask is not None:
        return _CROSSED if bid >= ask else 0
    return (_BID_ABSENT if bid is None else 0) | (_ASK_ABSENT if ask is None else 0)
