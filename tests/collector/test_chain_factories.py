"""Pools that are made while a chain is listened to: listed by their factory's log, told of from their first block on, and withdrawn with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from Crypto.Hash import keccak
from hypothesis import given, settings
from hypothesis import strategies as st

from alphapulse.client import Backoff
from alphapulse.domain.errors import InvalidArgument
from alphapulse.domain.instruments import ListingStatus
from alphapulse.publishing import RelayLink
from alphapulse.records import TRADE
from collector.played_chain import USDC, V2, V3, WBTC, WETH, Event, Node, served, swap, word
from collector_service.chain.events import PoolKind
from collector_service.chain.factories import CREATED, read_creation
from collector_service.chain.pools import UNISWAP_V2, UNISWAP_V3, Factory, Pool
from collector_service.chain.source import chain_source
from collector_service.runtime import RunnerOptions, SourceRunner
from collector_service.sources.chains import CHAINS
from collector_service.transport.live import LiveTransport

PAIRS, BY_FEE = "0x5c69bee701ef814a2b6a3edd4b1652cb9cc5aa6f", "0x1f98431c8ad98523631ae4a59f267346ea31f984"
NOBODY = word(0)
GET_PAIR, GET_POOL = "0xe6a43905", "0x1698ee82"


def asked_pair(one: str, two: str) -> tuple[str, str]:
    return PAIRS, f"{GET_PAIR}{word(int(one, 16))}{word(int(two, 16))}"


def asked_pool(one: str, two: str, fee: int) -> tuple[str, str]:
    return BY_FEE, f"{GET_POOL}{word(int(one, 16))}{word(int(two, 16))}{word(fee)}"


PAIR = asked_pair(WETH, USDC)


def pair_created(pool: str, one: str = USDC, two: str = WETH, factory: str = PAIRS) -> Event:
    topics = [CREATED[PoolKind.V2], f"0x{word(int(one, 16))}", f"0x{word(int(two, 16))}"]
    return factory, topics, word(int(pool, 16)) + word(1)


def pool_created(pool: str, fee: int) -> Event:
    topics = [CREATED[PoolKind.V3], *(f"0x{word(one)}" for one in (int(USDC, 16), int(WETH, 16), fee))]
    return BY_FEE, topics, word(10) + word(int(pool, 16))


def node_with(**told: Any) -> Node:
    node = Node(strict=True, **told)
    node.calls |= {PAIR: NOBODY, asked_pair(WBTC, USDC): NOBODY, asked_pair(WBTC, WETH): NOBODY}
    node.calls |= {asked_pool(WETH, USDC, fee): NOBODY for fee in (500, 3_000)}
    return node


class Listening:
    """A chain's source at a node, whose list is read when a factory says so, and otherwise never again."""

    def __init__(
        self, node: Node, secrets: dict[str, str], link: RelayLink, depth: int, pools: tuple[Pool, ...]
    ) -> None:
        factories = (
            Factory(PAIRS, UNISWAP_V2, (USDC, WETH, WBTC)),
            Factory(BY_FEE, UNISWAP_V3, (USDC, WETH), (500, 3_000)),
        )
        chain = replace(CHAINS[0], confirmations=depth, pools=pools, factories=factories)
        self.source = chain_source(chain)
        self.node = node
        source = self.source
        self.runner = SourceRunner(
            source,
            lambda: LiveTransport(
                source.endpoints,
                source.live.path,
                replace(source.limits, messages_per_second=1_000.0, requests_per_second=1_000.0),
                source.heartbeat,
                backoff=Backoff(0.01, 0.05),
                secrets=secrets,
            ),
            link=link,
            options=RunnerOptions(discovery_seconds=3_600.0, unlisted_seconds=3_600.0),
        )

    def status(self, pool: str) -> ListingStatus | None:
        entry = self.runner.listings.entry(pool)
        return entry.status if entry is not None else None

    async def joined(self, pool: str) -> None:
        """Until the pool is subscribed to, on the node's side."""
        await until(lambda: any(pool in one["address"] for one in self.node.filters))

    async def mine(self, count: int) -> None:
        for _ in range(count):
            await self.node.mine()


@asynccontextmanager
async def listening(node: Node, relay: Any, depth: int = 3, pools: tuple[Pool, ...] = ()) -> AsyncIterator[Listening]:
    async with served(node) as secrets, RelayLink(str(relay.path)) as link:
        found = Listening(node, secrets, link, depth, pools)
        task = asyncio.create_task(found.runner.run())
        try:
            await until(lambda: bool(node.sockets))
            yield found
            status = found.runner.status()
            assert not status.rejects
            assert not status.unknown_messages
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - the other side has no event to wait for
            await asyncio.sleep(0.005)


def sizes(relay: Any) -> list[Decimal]:
    """Of the trades that the relay was given, in its order."""
    return [
        Decimal(int(row["size"])).scaleb(int(row["size_exponent"])).normalize()
        for _, kind, _, rows in relay.frames
        if kind == TRADE.event_type
        for row in rows
    ]


def sold(pool: str, milli: int) -> Event:
    """So many thousandths of WETH."""
    return swap(pool, -2 * milli * 10**6, milli * 10**15)


@pytest.mark.parametrize("depth", [0, 3])
async def test_a_pool_is_told_of_from_the_block_on_that_made_it(small_relay: Any, depth: int) -> None:
    node = node_with()
    async with listening(node, small_relay, depth) as source:
        assert len(source.runner.listings) == 0
        assert len(node.filters) == 1, "factories are listened to where no pool is there yet"
        await node.mine()
        node.calls[PAIR] = word(int(V2, 16))
        # What is exchanged before anybody could subscribe is not lost, however deep a block has to be.
        await node.mine(pair_created(V2), sold(V2, 1))
        await node.mine(sold(V2, 2))
        await source.joined(V2)
        await node.mine(sold(V2, 3))
        node.calls[asked_pool(WETH, USDC, 500)] = word(int(V3, 16))
        await node.mine(pool_created(V3, 500), sold(V2, 4), sold(V3, 5))
        await source.joined(V3)
        await node.mine(sold(V3, 6), sold(V2, 7))
        await source.mine(depth + 1)
        await until(lambda: len(sizes(small_relay)) == 7)
        told = sizes(small_relay)
        pools = {V2: (1, 2, 3, 4, 7), V3: (5, 6)}
        for milli in pools.values():
            assert [one for one in told if int(one * 1000) in milli] == [Decimal(one).scaleb(-3) for one in milli]
        assert not small_relay.gaps
        assert source.status(V2) is source.status(V3) is ListingStatus.TRADING
        # A log cost a question to its factory, where its block counted at once perhaps another one; not a reading of the list.
        assert node.called.count(PAIR) in (2, 2 + (depth == 0))
        assert node.called.count(asked_pair(WBTC, USDC)) == 1
        assert node.called.count((V2, "0x0dfe1681")) == 1


async def test_a_pool_goes_with_the_block_that_made_it_and_may_come_again(small_relay: Any) -> None:
    node = node_with()
    async with listening(node, small_relay, pools=(Pool(V3, UNISWAP_V3, 1),)) as source:
        await node.mine()
        node.calls[PAIR] = word(int(V2, 16))
        await node.mine(pair_created(V2), sold(V2, 1))
        await source.joined(V2)
        # It is made again in the block that takes the place of the first: nothing is withdrawn.
        await node.undo(1)
        await node.mine(pair_created(V2), sold(V2, 2))
        await source.mine(4)
        await until(lambda: len(sizes(small_relay)) == 1)
        assert source.status(V2) is ListingStatus.TRADING
        asked = node.called.count(PAIR)
        # A block that counted already, and took the pool with it.
        node.calls[PAIR] = NOBODY
        await node.undo(5)
        assert node.called.count(PAIR) == asked, "the chain has not grown past it yet"
        await source.mine(6)
        await until(lambda: source.status(V2) is ListingStatus.DELISTED)
        assert [gap.reason for gap in small_relay.gaps] == ["REORG"]
        assert source.status(V3) is ListingStatus.TRADING
        # And made once more, much later.
        subscribed = len(node.filters)
        node.calls[PAIR] = word(int(V2, 16))
        await node.mine(pair_created(V2), sold(V2, 3))
        await until(lambda: len(node.filters) > subscribed)
        await source.mine(4)
        await until(lambda: len(sizes(small_relay)) == 2)
        assert source.status(V2) is ListingStatus.TRADING
        assert sizes(small_relay) == [Decimal("0.002"), Decimal("0.003")]


async def test_pools_made_while_nobody_listened_are_found_when_the_connection_is_back(small_relay: Any) -> None:
    node = node_with()
    async with listening(node, small_relay) as source:
        await source.mine(5)
        await node.cut()
        node.calls[PAIR] = word(int(V2, 16))
        node.block(pair_created(V2), sold(V2, 1))
        for milli in range(2, 8):
            node.block(sold(V2, milli))
        await until(lambda: bool(node.sockets))
        await node.mine()
        await source.joined(V2)
        await source.mine(5)
        await until(lambda: len(sizes(small_relay)) == 7)
        assert sizes(small_relay) == [Decimal(milli).scaleb(-3) for milli in range(1, 8)]
        assert not small_relay.gaps


async def test_a_factory_that_does_not_know_its_pool_yet_is_asked_again_when_the_block_counts(small_relay: Any) -> None:
    node = node_with()
    async with listening(node, small_relay) as source:
        await node.mine()
        await node.mine(pair_created(V2), sold(V2, 1))  # another machine of the node answers, which is behind
        await until(lambda: node.called.count(PAIR) == 2)
        node.calls[PAIR] = word(int(V2, 16))
        await source.mine(3)
        await source.joined(V2)
        await source.mine(1)
        await until(lambda: len(sizes(small_relay)) == 1)
        assert not small_relay.gaps


async def test_what_is_not_asked_for_is_not_believed(small_relay: Any) -> None:
    node = node_with()
    node.strict = False
    async with listening(node, small_relay) as source:
        asked = len(node.called)
        await node.mine(
            pair_created(V2, factory="0x" + "6" * 40),
            pair_created(V2, one="0x" + "7" * 40),
            pool_created(V3, 100),
            # A log of the other kind than the factory's.
            (BY_FEE, *pair_created(V2)[1:]),
        )
        await source.mine(5)
        node.calls[PAIR] = word(int(V2, 16))
        await node.mine(pair_created(V2))
        await source.joined(V2)
        assert node.called[asked] == PAIR
        assert len(source.runner.listings) == 1


async def test_a_node_that_fails_or_repeats_itself_costs_little(small_relay: Any) -> None:
    node = node_with()
    async with listening(node, small_relay) as source:
        await node.mine()
        asked = node.called.count(PAIR)
        del node.calls[PAIR]  # it reverts, where it should answer
        await node.mine(pair_created(V2), sold(V2, 1))
        (log, _) = node.logs[node.chain[-1]["hash"]]
        for _ in range(200):
            await node.say("logs", log)
        await until(lambda: node.called.count(PAIR) > asked)
        assert len(source.runner.listings) == 0
        node.calls[PAIR] = word(int(V2, 16))
        await source.mine(3)
        await source.joined(V2)
        await source.mine(1)
        await until(lambda: len(sizes(small_relay)) == 1)
        assert node.called.count(PAIR) <= asked + 3
        assert not small_relay.gaps


def test_topics_are_the_digests_of_signatures() -> None:
    signatures = {
        PoolKind.V2: b"PairCreated(address,address,address,uint256)",
        PoolKind.V3: b"PoolCreated(address,address,uint24,int24,address)",
    }
    digests = {kind: f"0x{keccak.new(data=one, digest_bits=256).hexdigest()}" for kind, one in signatures.items()}
    assert digests == CREATED


_WORDS = st.integers(0, 2**256 - 1).map(lambda value: f"0x{value:064x}") | st.text(max_size=5)


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(sorted(CREATED.values())), st.lists(_WORDS, max_size=4), st.binary(max_size=96))
def test_a_log_is_read_or_refused_with_a_reason(topic: str, others: list[str], raw: bytes) -> None:
    try:
        found = read_creation(PAIRS, [topic, *others], raw, 7)
    except InvalidArgument:
        return
    assert found.making.tokens <= {f"0x{one[-40:]}" for one in others}
    assert found.making.fee < 2**24
    assert found.pool[2:] in raw.hex()
