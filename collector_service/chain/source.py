"""A chain as a source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from alphapulse.domain.errors import InvalidArgument
from collector_service.chain.asking import Reader
from collector_service.chain.events import PoolKind
from collector_service.chain.listing import PoolList
from collector_service.chain.node import FIRST_QUESTION, HEADS_ID, Frame, Node, filters, subscriptions
from collector_service.chain.pools import Factory, Pool
from collector_service.emitter import Emitter
from collector_service.listings import VenueSymbol
from collector_service.source import Dialect, Discovery, Route, Source
from collector_service.spec import (
    TOPIC,
    Channel,
    Endpoints,
    Heartbeat,
    Limits,
    SourceKind,
    SourceSpec,
    Subscribe,
    Verification,
)
from collector_service.spec import Dialect as DialectSpec

_decode_frame: Final = msgspec.json.Decoder(Frame).decode


@dataclass(frozen=True, slots=True)
class Chain:
    """An EVM chain, and which of its pools are listened to."""

    name: str
    title: str
    chain_id: int
    coin: str
    """The native coin, which fees are paid in."""
    websocket: str
    """A public node, for where nobody names one of their own."""
    rest: str
    documentation: str
    confirmations: int
    """Blocks that have to stand on one before its swaps are told."""
    block_seconds: float
    """Between two blocks, about: by it a silent connection is told from a dead one."""
    pools: tuple[Pool, ...]
    notes: tuple[str, ...] = ()
    shared: Mapping[PoolKind, str] = field(default_factory=dict)
    """The contracts that hold all pools of a kind, and log for them."""
    factories: tuple[Factory, ...] = ()
    """Those whose pools of some tokens are listened to as well."""


def _split(data: bytes, _: Emitter) -> tuple[str, Any]:
    frame = _decode_frame(data)
    if frame.method == "eth_subscription" and frame.params is not None:
        item = frame.params.result
        return ("log" if item.topics is not None else "head"), item
    if frame.id is not None and frame.id >= FIRST_QUESTION:
        return "answer", frame
    if frame.error is not None:
        return "error", frame
    if frame.id is not None:
        return ("acknowledged" if frame.id == HEADS_ID else "subscribed"), frame
    return "other", frame


def _calls(told: Sequence[Mapping[str, Any]]) -> list[str]:
    return [msgspec.json.encode(one).decode() for one in told]


def _same(body: Any) -> Any:
    return body


def chain_source(chain: Chain) -> Source:
    """The chain as a source. Its node is the user's: `NAME_WS_URL` and `NAME_RPC_URL` in the environment say where it is."""
    if chain.confirmations < 0:
        raise InvalidArgument.field("confirmations", str(chain.confirmations), "range", "0 or more")
    pools = PoolList(Reader(chain.chain_id, chain.coin, chain.shared, {}), chain.pools, chain.factories)

    def memory() -> Node:
        return Node(chain.confirmations, chain.shared, pools)

    def subscribe(entries: Sequence[VenueSymbol], channels: Sequence[Channel]) -> list[str]:
        # A swap tells what a pool holds as well, and what it holds is not told without the other logs: all or none.
        if not {Channel.TRADES, Channel.QUOTES} & set(channels):
            return []
        return _calls(subscriptions(filters(entries, chain.shared, pools.creations)))

    def join(entries: Sequence[VenueSymbol], channels: Sequence[Channel]) -> list[str]:
        if not {Channel.TRADES, Channel.QUOTES} & set(channels):
            return []
        return _calls(subscriptions(filters(entries, chain.shared), more=True))

    routes = {
        "log": Route(_same, lambda item, emitter: emitter.memory.notice_log(item, emitter)),
        "head": Route(_same, lambda item, emitter: emitter.memory.notice_head(item, emitter)),
        "answer": Route(_same, lambda frame, emitter: emitter.memory.answer(frame, emitter)),
        "subscribed": Route(_same, lambda frame, emitter: emitter.memory.subscribed(frame, emitter)),
    }
    dialect = Dialect(
        name="JSON-RPC",
        split=_split,
        routes=routes,
        books=frozenset(),
        silent=frozenset({"acknowledged"}),
        subscribe=subscribe,
        join=join,
        subscribes_always=pools.creations is not None,
        resync=lambda *_: [],
    )
    notes = (
        f"A swap is a trade once {chain.confirmations} blocks stand on its block; one that is reorganised away later is told as a gap, REORG.",
        "Sizes are exact; a price is the quotient of two amounts, rounded half-even to 18 significant digits.",
        "A quote is what a step of one basis point along a Uniswap V2 or V3 pool's curve costs with its fee, block by block; other pools have none.",
        "Written by hand: which logs count follows from the chain of blocks, not from one message.",
        *chain.notes,
    )
    spec = SourceSpec(
        name=chain.name,
        title=chain.title,
        kind=SourceKind.CHAIN,
        documentation=chain.documentation,
        read_on="2026-11-30",
        terms="Public chain data; a public node has terms of its own, and one of yours none.",
        verified=frozenset({Verification.MOCK}),
        endpoints=Endpoints(
            f"{{secret:{chain.name}_WS_URL|{chain.websocket}}}", f"{{secret:{chain.name}_RPC_URL|{chain.rest}}}"
        ),
        limits=Limits(symbols_per_connection=10_000, messages_per_second=50.0, requests_per_second=10.0),
        heartbeat=Heartbeat(stale_after_s=max(30.0, 8 * chain.block_seconds)),
        dialects=(
            DialectSpec(
                name="JSON-RPC",
                subscribe=Subscribe(message=TOPIC, channels={Channel.TRADES: "logs", Channel.QUOTES: "logs"}),
            ),
        ),
        notes=notes,
    )
    return Source.of(spec, (dialect,), Discovery((), pools.read), new_memory=memory)
