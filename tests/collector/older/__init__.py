"""Formats that venues spoke between 2021 and 2022, of which there is no recording here: a module a venue, written after what is publicly known
of the format. Each has a `RECORDING`, which is written to files as recordings are, and read from them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Rows = tuple[tuple[Any, ...], ...]
Sides = tuple[dict[str, str], dict[str, str]]


@dataclass(frozen=True, kw_only=True)
class Recording:
    """What is in the files, and what has to come of it."""

    of: str
    """Where the format is told."""
    at: int
    """When it was, seconds since the Unix epoch."""
    lists: dict[str, Any]
    """Answers by address, as they stand in `NAME.0.gz`."""
    listed: dict[str, str]
    """Of every listed symbol what it is: `BTC/USDT`, `BTC/USDT perpetual`, `BTC/USD 2021-12-31`, `BTC/USD 2021-12-31 50000 call`."""
    connections: dict[str, list[Any]]
    """Frames by the address that was connected to; what follows a blank tells apart those that were connected to more than once."""
    asked: dict[str, Any] = field(default_factory=dict)
    """Answers by address to what was asked while it streamed, as they stand in `NAME.http.0.0.gz`."""
    trades: Rows = ()
    """(symbol, price, size, side, number, time)."""
    quotes: Rows = ()
    """(symbol, bid, bid size, ask, ask size, time): None for what is not told."""
    updates: int = 0
    """Snapshots and updates of books."""
    books: dict[str, Sides] = field(default_factory=dict)
    """Bids and asks at the end."""
    replies: tuple[str, ...] = ()
    """What the venue wants to hear back."""
    unlisted: tuple[str, ...] = ()
    """Lines of the lists that name no one instrument, and are refused alone: what each is refused for."""
    ticks: dict[str, str] = field(default_factory=dict)
    lots: dict[str, str] = field(default_factory=dict)
