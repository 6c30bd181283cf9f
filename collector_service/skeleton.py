"""What a source of the user's own begins with: a whole one, with a sentence at each place that has to be changed."""

from __future__ import annotations

import re
from typing import Final

from alphapulse.domain.errors import InvalidArgument

_NAME: Final = re.compile(r"[A-Z][A-Z0-9_]{0,63}")


def checked_name(name: str) -> str:
    """A source's name. Raises InvalidArgument for what is none."""
    if not _NAME.fullmatch(name):
        raise InvalidArgument.field("name", name, "source-spelling", "capitals, digits and underscores, 64 at most")
    return name


def skeleton(name: str) -> str:
    """The file of a source of this name. Raises InvalidArgument."""
    return _SKELETON.replace("__NAME__", checked_name(name))


_SKELETON: Final = '''"""__NAME__, a source of our own. docs/add-a-source.md explains each part; `alphapulse sources check __NAME__` tries it."""

from __future__ import annotations

from alphapulse.domain.instruments import ListingStatus
from collector_service.spec import (
    CHANNEL,
    SYMBOLS,
    BookSnapshot,
    BookUpdate,
    Channel,
    Choice,
    Decimals,
    Dialect,
    Endpoints,
    Has,
    Heartbeat,
    Instruments,
    Limits,
    Line,
    Millis,
    RangeSequence,
    RestSnapshot,
    Side,
    SourceKind,
    SourceSpec,
    Subscribe,
    Trade,
    sides,
)

SPEC = SourceSpec(
    # What it is. `name` is what commands, settings and events call it.
    name="__NAME__",
    title="__NAME__",
    kind=SourceKind.EXCHANGE,
    # The page that says how its messages look, the day it was read, and what its terms say of the data.
    documentation="https://example.com/docs",
    read_on="2026-01-31",
    terms="What the terms of use say of this data, in a sentence.",
    # How it is known to be right: Verification.RECORDING, FIXTURE, MOCK, LIVE.
    verified=frozenset(),
    # Base addresses of the WebSocket and of REST, without a trailing slash.
    endpoints=Endpoints("wss://stream.example.com", "https://api.example.com"),
    # What the venue allows, and after how many silent seconds a connection is taken for dead.
    limits=Limits(symbols_per_connection=200, messages_per_second=10.0, requests_per_second=10.0),
    heartbeat=Heartbeat(stale_after_s=60.0),
    # How a book is kept in step: RangeSequence, PreviousId, PerChannel, Checksum, SnapshotOnly, Offset or SnapshotUpdates.
    books=RangeSequence(),
    dialects=(
        Dialect(
            name="version 1",
            # Behind the WebSocket address.
            path="/v1/",
            # What tells messages apart: here one with `error` is an error, any other one is what its `event` says.
            kind=((Has("error"),), ("event",)),
            # What each kind of message becomes, by the paths of its fields.
            routes={
                "trade": Trade(
                    symbol="market",
                    price="price",
                    size="amount",
                    side=Side("side"),
                    trade_id="id",
                    time=Millis("timestamp"),
                ),
                "book": BookUpdate(symbol="market", levels=sides("bids", "asks"), last="nonce"),
            },
            # Where a book is fetched whole; without it, it has to come over the stream (BookSnapshot in `routes`).
            snapshot=RestSnapshot(
                path="/v1/{symbol}/book",
                record=BookSnapshot(levels=sides("bids", "asks"), last="nonce"),
            ),
            # Kinds that are known and carry no event.
            silent=frozenset({"subscribed"}),
            # The messages that subscribe.
            subscribe=Subscribe(
                message={"action": "subscribe", "channels": [{"name": CHANNEL, "markets": SYMBOLS}]},
                channels={Channel.TRADES: "trades", Channel.BOOKS: "book"},
            ),
            # Where its instruments are listed, and what a line of the list says.
            instruments=(
                Instruments(
                    path="/v1/markets",
                    lines=(
                        Line(
                            symbol="market",
                            base="base",
                            quote="quote",
                            status=Choice("status", {"trading": ListingStatus.TRADING}),
                            tick="tickSize",
                            lot=Decimals("quantityDecimals"),
                        ),
                    ),
                ),
            ),
        ),
    ),
    # What surprises, a sentence each.
    notes=(),
)
'''
