"""The conversation with a node of Solana: for each pool its account and the logs that mention it; and the source that is made of it.

Which slots count is the node's word here, by commitment: at `confirmed` two thirds of the stake have voted for a slot, at `finalized` it is rooted. A
slot that was confirmed and never finalised would not be taken back. Source: https://solana.com/docs/rpc/websocket
"""

from __future__ import annotations

from base64 import b64decode
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import msgspec

from alphapulse.domain.errors import InvalidArgument
from collector_service.chain.amounts import exchange
from collector_service.chain.events import Swap, trade_number
from collector_service.chain.pools import Pool
from collector_service.chain.quotes import PoolQuote, range_quote
from collector_service.emitter import Emitter
from collector_service.listings import VenueSymbol
from collector_service.solana.accounts import WHIRLPOOLS, read_whirlpool
from collector_service.solana.asking import read_pools
from collector_service.solana.trades import Traded, read_trades
from collector_service.source import Asking, Dialect, Discovery, InstrumentList, Route, Source
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

_ACCOUNT: Final = "account"
_LOGS: Final = "logs"
_REMEMBERED: Final = 8_192
"""Transactions that are known again when a node repeats them."""


@dataclass(frozen=True, slots=True)
class Solana:
    """The chain, and which of its pools are listened to."""

    name: str
    pools: tuple[Pool, ...]
    commitment: str = "confirmed"


class _Context(msgspec.Struct):
    slot: int


class _Result(msgspec.Struct):
    context: _Context
    value: msgspec.Raw


class _Params(msgspec.Struct):
    result: _Result
    subscription: int


class _Frame(msgspec.Struct):
    id: str | None = None
    method: str | None = None
    params: _Params | None = None
    result: int | bool | None = None
    error: dict[str, Any] | None = None


class _Account(msgspec.Struct):
    data: tuple[str, str]
    owner: str


class _Log(msgspec.Struct):
    signature: str
    err: Any = None
    logs: list[str] | None = None


_decode_frame: Final = msgspec.json.Decoder(_Frame).decode
_decode_account: Final = msgspec.json.Decoder(_Account | None).decode
_decode_log: Final = msgspec.json.Decoder(_Log).decode


class Conversation:
    """What is remembered of a conversation: how far each pool was told, and which transactions were."""

    def __init__(self) -> None:
        self._slots: dict[str, int] = {}
        self._quoted: set[str] = set()
        self._seen: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._was_lost = False

    def lost(self) -> None:
        """The connection is gone: what happens until it is back, nobody tells."""
        self._was_lost = True

    def acknowledged(self, frame: _Frame, emitter: Emitter) -> None:
        """The node names a subscription by a number."""
        channel, _, pool = (frame.id or "").partition(":")
        emitter.learn(frame.result, channel, pool)
        if self._was_lost:
            self._was_lost = False
            emitter.gaps.append(("RECONNECTED", ""))
        if channel == _ACCOUNT and pool in self._quoted:
            # An account is told when it changes: until then nobody knows what it became meanwhile.
            self._quote(pool, PoolQuote(), emitter)
            self._quoted.discard(pool)

    def account(self, params: _Params, emitter: Emitter) -> None:
        """What a pool's account holds now."""
        pool, slot = emitter.learned(params.subscription), params.result.context.slot
        if slot < self._slots.get(pool, 0):
            return  # a node behind tells of older slots
        self._slots[pool] = slot
        account = _decode_account(params.result.value)
        made = PoolQuote()
        if account is not None:
            try:
                made = _quote(pool, account, emitter)
            except InvalidArgument as error:
                emitter.unknown_value("account", error.violations[0].rule)
                emitter.gaps.append(("UNREADABLE_LOG", pool))
        self._quote(pool, made, emitter)
        self._quoted.add(pool)

    def log(self, params: _Params, emitter: Emitter) -> None:
        """What a transaction logged that mentions a pool. One that failed exchanged nothing."""
        pool = emitter.learned(params.subscription)
        told = _decode_log(params.result.value)
        key = told.signature, pool
        if told.err is not None or key in self._seen:
            return
        self._seen[key] = None
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        try:
            for place, trade in enumerate(read_trades(told.logs or (), WHIRLPOOLS)):
                if trade.pool == pool:
                    _trade(trade, trade_number(told.signature, place), emitter)
        except InvalidArgument as error:
            # What was read before counts; what the rest was, nobody will know.
            emitter.unknown_value("log", error.violations[0].rule)
            emitter.gaps.append(("UNREADABLE_LOG", pool))

    def _quote(self, pool: str, made: PoolQuote, emitter: Emitter) -> None:
        emitter.quote(pool, made.bid, made.bid_size, made.ask, made.ask_size)


def _quote(pool: str, account: _Account, emitter: Emitter) -> PoolQuote:
    entry = emitter.listings.entry(pool)
    if entry is None or entry.pool is None:
        raise InvalidArgument.field("account", pool, "pool-listed", "a pool that is listed")
    if account.data[1] != "base64":
        raise InvalidArgument.field("encoding", account.data[1][:80], "account-encoding", "base64")
    try:
        raw = b64decode(account.data[0], validate=True)
    except ValueError as error:
        raise InvalidArgument.field("data", account.data[0][:80], "account-encoding", "base64") from error
    found = read_whirlpool(account.owner, raw)
    if found.mints != tuple(token.address for token in entry.pool.tokens):
        raise InvalidArgument.field("mints", str(found.mints)[:80], "account-mints", "those the pool is listed with")
    if found.adapts_fee:
        return PoolQuote()
    # The pool's authority may change the fee: the account says what it is now.
    return range_quote(found.state, replace(entry.pool, fee_pips=found.fee_pips), found.sure)


def _trade(trade: Traded, number: int, emitter: Emitter) -> None:
    entry = emitter.listings.entry(trade.pool)
    if entry is None or entry.pool is None:
        emitter.unknown_value("pool", trade.pool)
        return
    one, two = (token.decimals for token in entry.pool.tokens)
    into = (trade.amount_in, -trade.amount_out) if trade.sells_a else (-trade.amount_out, trade.amount_in)
    made = exchange(Swap(*into), entry.pool.base, (one, two))
    if made is None:
        emitter.unknown_value("swap", "nothing exchanged")
        return
    emitter.trade(trade.pool, made.price, made.size, trade_id=number, aggressor=made.aggressor)


def _split(data: bytes, _: Emitter) -> tuple[str, Any]:
    frame = _decode_frame(data)
    if frame.method in ("accountNotification", "logsNotification") and frame.params is not None:
        return frame.method, frame.params
    if frame.error is not None:
        return "error", frame
    return ("acknowledged" if frame.id is not None else "other"), frame


def _same(body: Any) -> Any:
    return body


def solana_source(chain: Solana) -> Source:
    """Solana as a source. Its node is the user's: `SOLANA_WS_URL` and `SOLANA_RPC_URL` in the environment say where it is."""
    decimals: dict[str, int] = {}

    async def discover(ask: Asking) -> InstrumentList:
        return await read_pools(chain.pools, ask, decimals)

    def subscribe(entries: Sequence[VenueSymbol], channels: Sequence[Channel]) -> list[str]:
        calls: list[tuple[str, str, list[Any]]] = []
        for entry in entries:
            if Channel.QUOTES in channels:
                options = {"encoding": "base64", "commitment": chain.commitment}
                calls.append((f"{_ACCOUNT}:{entry.symbol}", "accountSubscribe", [entry.symbol, options]))
            if Channel.TRADES in channels:
                wanted = [{"mentions": [entry.symbol]}, {"commitment": chain.commitment}]
                calls.append((f"{_LOGS}:{entry.symbol}", "logsSubscribe", wanted))
        return [
            msgspec.json.encode({"jsonrpc": "2.0", "id": name, "method": method, "params": params}).decode()
            for name, method, params in calls
        ]

    dialect = Dialect(
        name="JSON-RPC",
        split=_split,
        routes={
            "acknowledged": Route(_same, lambda frame, emitter: emitter.memory.acknowledged(frame, emitter)),
            "accountNotification": Route(_same, lambda params, emitter: emitter.memory.account(params, emitter)),
            "logsNotification": Route(_same, lambda params, emitter: emitter.memory.log(params, emitter)),
        },
        books=frozenset(),
        silent=frozenset(),
        subscribe=subscribe,
        resync=lambda *_: [],
    )
    notes = (
        f"What the node calls {chain.commitment} is told; nothing is taken back. Events have no time of the chain: what is told is a slot.",
        "What happens while the connection is away is told as a gap, RECONNECTED; a pool has no quote until its account changes.",
        "A quote is what a step of one basis point along the pool's curve costs with the fee its account tells; none where the fee adapts to swaps.",
        "Pools of tokens that Token-2022 keeps are refused: such a token can take a fee of each transfer.",
        "Written by hand: an account is bytes, and whose an event is says the nesting of invocations.",
    )
    spec = SourceSpec(
        name=chain.name,
        title="Solana",
        kind=SourceKind.CHAIN,
        documentation="https://solana.com/docs/rpc/websocket",
        read_on="2026-11-30",
        terms="Public chain data; a public node has terms of its own, and one of yours none.",
        verified=frozenset({Verification.MOCK}),
        endpoints=Endpoints(
            f"{{secret:{chain.name}_WS_URL|wss://api.mainnet-beta.solana.com}}",
            f"{{secret:{chain.name}_RPC_URL|https://api.mainnet-beta.solana.com}}",
        ),
        limits=Limits(symbols_per_connection=1_000, messages_per_second=10.0, requests_per_second=4.0),
        heartbeat=Heartbeat(stale_after_s=60.0),
        dialects=(
            DialectSpec(
                name="JSON-RPC",
                subscribe=Subscribe(message=TOPIC, channels={Channel.TRADES: _LOGS, Channel.QUOTES: _ACCOUNT}),
            ),
        ),
        notes=notes,
    )
    return Source.of(spec, (dialect,), Discovery((), discover), new_memory=Conversation)
