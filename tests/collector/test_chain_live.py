"""A chain played by a JSON-RPC node on this machine, through the live transport and the runner to a relay's socket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal
from hashlib import sha256
from typing import Any

import pytest

from alphapulse.client import Backoff
from alphapulse.domain.provenance import RecordFlag
from alphapulse.domain.wide import WideDecimal, mantissa_of
from alphapulse.publishing import RelayLink
from alphapulse.records import QUOTE, TRADE, WIDE_AMOUNT
from collector.played_chain import (
    BAL,
    BALANCER,
    KEY,
    MANAGER,
    ODD,
    TRI,
    V2,
    V3,
    V4,
    VAULT,
    WETH,
    Node,
    event,
    served,
    swap,
)
from collector_service.chain.events import TOPICS
from collector_service.chain.events import LogKind as Kind
from collector_service.runtime import SourceRunner
from collector_service.sources import SOURCES
from collector_service.sources.chains import CHAINS
from collector_service.transport import ArrivalKind, TransportError
from collector_service.transport.live import LiveTransport

SPEC = SOURCES["ETHEREUM"]


def transport(secrets: dict[str, str]) -> LiveTransport:
    return LiveTransport(
        SPEC.endpoints, SPEC.live.path, SPEC.limits, SPEC.heartbeat, backoff=Backoff(0.01, 0.05), secrets=secrets
    )


async def until(condition: Callable[[], bool]) -> None:
    """Polls: what is waited for happens on the other side of a socket."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - the other side has no event to wait for
            await asyncio.sleep(0.005)


Trade = tuple[int, int, Decimal, Decimal, int]
EIGHTEEN = Context(prec=18, rounding=ROUND_HALF_EVEN)
PAIRS = {
    V3: "WETH/USDC",
    V2: "WETH/USDC",
    V4: "ETH/USDC",
    f"{TRI}/0/1": "WBTC/USDC",
    f"{TRI}/0/2": "WETH/USDC",
    f"{TRI}/1/2": "WETH/WBTC",
    BALANCER: "BAL/WETH",
}


def trades(relay: Any) -> list[Trade]:
    """What the relay was given, in its order."""
    return [
        (
            int(row["listing_key"]),
            int(row["venue_time_ns"]),
            Decimal(int(row["price"])).scaleb(int(row["price_exponent"])),
            Context(prec=100).scaleb(Decimal(int(row["size"])), int(row["size_exponent"])),
            int(row["aggressor"]),
        )
        for _, kind, _, rows in relay.frames
        if kind == TRADE.event_type
        for row in rows
    ]


def quotes(relay: Any, key: int) -> list[tuple[Any, ...]]:
    """(block, bid, its size, ask, its size) of a listing."""
    return [
        (
            (int(row["venue_time_ns"]) // 10**9 - 1_700_000_000) // 12,
            *(
                Decimal(int(row[name])).scaleb(int(row[f"{field}_exponent"]))
                for name, field in (
                    ("bid_price", "price"),
                    ("bid_size", "size"),
                    ("ask_price", "price"),
                    ("ask_size", "size"),
                )
            ),
        )
        for _, kind, _, rows in relay.frames
        if kind == QUOTE.event_type
        for row in rows
        if int(row["listing_key"]) == key
    ]


def trade(key: int, number: int, usdc: int, weth: int) -> Trade:
    """What a swap of a pool of USDC (6 digits) and WETH (18) has to become: (listing, time, price, size, aggressor)."""
    size = Context(prec=100).scaleb(Decimal(abs(weth)), -18)
    price = EIGHTEEN.divide(Context(prec=100).scaleb(Decimal(abs(usdc)), -6), size)
    return key, (1_700_000_000 + 12 * number) * 10**9, price, size, 1 if weth < 0 else 2


async def test_swaps_reach_the_relay_once_and_in_order_over_reorganisations_and_a_cut(small_relay: Any) -> None:
    node = Node()

    async with served(node) as secrets, RelayLink(str(small_relay.path)) as link:
        runner = SourceRunner(SPEC, lambda: transport(secrets), link=link)
        task = asyncio.create_task(runner.run())
        try:
            await until(lambda: bool(node.sockets))
            assert {entry.symbol: entry.pair for entry in runner.listings} == PAIRS
            own = (Kind.V3_SWAP, Kind.V3_MINT, Kind.V3_BURN, Kind.V2_SWAP, Kind.V2_SYNC)
            curve = (Kind.CURVE_STABLE, Kind.CURVE_CRYPTO, Kind.CURVE_CRYPTO_NG)
            assert node.filters == [
                {"address": [V3, V2, TRI], "topics": [[TOPICS[kind] for kind in (*own, *curve)]]},
                {"address": [MANAGER], "topics": [[TOPICS[Kind.V4_SWAP]], [V4]]},
                {"address": [VAULT], "topics": [[TOPICS[Kind.BALANCER_V2]], [BALANCER]]},
            ]
            three, two = runner.listings.key(V3), runner.listings.key(V2)
            assert three is not None
            assert two is not None

            await node.mine(swap(V3, 2_000_123_456, -999_999_999_999_999_999))
            await node.mine(swap(V2, -1_234_567, 617_283_951_111_111), swap(V3, -5_000_000, 2_500_000_000_000_000))
            # Removed before it counts: never told.
            await node.mine(swap(V3, 7, -7))
            await node.undo(1)
            await node.mine()
            await node.mine()
            await node.mine()
            first = [
                trade(three, 100, 2_000_123_456, -999_999_999_999_999_999),
                trade(two, 101, -1_234_567, 617_283_951_111_111),
                trade(three, 101, -5_000_000, 2_500_000_000_000_000),
            ]
            await until(lambda: len(trades(small_relay)) == 3)
            assert trades(small_relay) == first

            # Swaps while nobody listened are asked for; nothing is lost, and no gap is told.
            await node.cut()
            for amount in range(1, 6):
                node.block(swap(V2, amount * 10**6, -amount * 10**15))
            await until(lambda: bool(node.sockets))
            await node.mine()
            await node.mine()
            await node.mine()
            await until(lambda: len(trades(small_relay)) == 8)
            away = [trade(two, 104 + amount, amount * 10**6, -amount * 10**15) for amount in range(1, 6)]
            assert trades(small_relay) == first + away
            assert not small_relay.gaps
            assert {"eth_getBlockByHash", "eth_getLogs"} <= set(node.asked)

            # A swap that counted is of the chain no more: a gap of its listing, and what replaces it is told.
            await node.undo(4)  # 109, the last that was listened to in vain, to 112
            for _ in range(5):
                await node.mine(swap(V2, 3 * 10**6, -(10**15)))
            await until(lambda: bool(small_relay.gaps) and len(trades(small_relay)) == 10)
            assert [(gap.reason, gap.listing_key) for gap in small_relay.gaps] == [("REORG", two)]
            assert trades(small_relay)[8:] == [trade(two, 109 + step, 3 * 10**6, -(10**15)) for step in range(2)]
            # A log whose words are not those of its event costs no other, and is told as a gap.
            broken = node.block(swap(V2, 5 * 10**6, -(10**15)), swap(V2, 6 * 10**6, -(10**15)))
            node.logs[broken["hash"]][0]["data"] = "0x1234"
            for log in node.logs[broken["hash"]]:
                await node.say("logs", log)
            await node.say("newHeads", broken)
            for _ in range(3):
                await node.mine()
            await until(lambda: len(small_relay.gaps) == 2 and len(trades(small_relay)) == 14)
            assert (small_relay.gaps[1].reason, small_relay.gaps[1].listing_key) == ("UNREADABLE_LOG", two)
            assert trades(small_relay)[-1] == trade(two, 114, 6 * 10**6, -(10**15))
            status = runner.status()
            assert not status.rejects
            assert not status.unknown_messages
            flags = {int(row["flags"]) for _, _, _, rows in small_relay.frames for row in rows}
            assert not any(flag & (RecordFlag.OVERSIZE | RecordFlag.UNKNOWN_LISTING) for flag in flags)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_a_swap_of_more_than_64_bits_has_its_size_in_a_row_before_it(small_relay: Any) -> None:
    node = Node()
    sold, large = 20 * 10**18 + 1, 12_345_678_901_234_567_890_123
    async with served(node) as secrets, RelayLink(str(small_relay.path)) as link:
        runner = SourceRunner(SPEC, lambda: transport(secrets), link=link)
        task = asyncio.create_task(runner.run())
        try:
            await until(lambda: bool(node.sockets))
            key = runner.listings.key(V3) or 0
            await node.mine(swap(V3, 40_000 * 10**6, -sold), swap(V3, 5_000_000, -2_500_000_000_000_000))
            await node.mine(swap(V3, 24_000_000 * 10**6, -large))
            for _ in range(3):
                await node.mine()
            await until(lambda: len(trades(small_relay)) == 3)
            counted = node.chain[:2]
            # Another block in the place of one that counted: its trades are others, in the same places.
            await node.undo(4)
            for _ in range(5):
                await node.mine(swap(V3, 60_000 * 10**6, -large))
            await until(lambda: len(trades(small_relay)) == 5)
            counted += node.chain[1:3]
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    places = [(counted[0], 0), (counted[0], 7), (counted[1], 0), (counted[2], 0), (counted[3], 0)]
    numbers = [
        int.from_bytes(sha256(f"{block['hash']}:{place}".encode()).digest()[:8], "big") for block, place in places
    ]
    assert [int(block["number"], 16) for block in counted] == [100, 101, 101, 102]
    rows = [row for _, kind, _, rows in small_relay.frames if kind == TRADE.event_type for row in rows]
    assert [int(row["trade_id"]) for row in rows] == numbers
    assert [bool(int(row["flags"]) & RecordFlag.OVERSIZE) for row in rows] == [True, False, True, True, True]
    assert [one[3] for one in trades(small_relay)] == [0, Decimal("0.0025"), 0, 0, 0]
    wide = [row for _, kind, _, rows in small_relay.frames if kind == WIDE_AMOUNT.event_type for row in rows]
    held = {
        (int(row["listing_key"]), int(row["trade_id"]), int(row["venue_time_ns"])): WideDecimal(
            mantissa_of([row[f"word_{place}"] for place in range(4)]), int(row["exponent"])
        )
        for row in wide
    }
    second = 10**9
    assert held == {
        (key, numbers[0], (1_700_000_000 + 1_200) * second): WideDecimal(sold, -18),
        (key, numbers[2], (1_700_000_000 + 1_212) * second): WideDecimal(large, -18),
        (key, numbers[3], (1_700_000_000 + 1_212) * second): WideDecimal(large, -18),
        (key, numbers[4], (1_700_000_000 + 1_224) * second): WideDecimal(large, -18),
    }
    # In what was sent each stands before its trade.
    seen: set[int] = set()
    for _, kind, _, rows in small_relay.frames:
        if kind == WIDE_AMOUNT.event_type:
            seen |= {int(row["trade_id"]) for row in rows}
        elif kind == TRADE.event_type:
            assert {int(row["trade_id"]) for row in rows if int(row["flags"]) & RecordFlag.OVERSIZE} <= seen


def library_quote(block: int, quote: int, base: int) -> tuple[int, Decimal, Decimal, Decimal, Decimal]:
    """What UniswapV2Library asks and pays for a 20,000th of a pool's base of 18 digits, in a quote of 6."""
    size = base // 20_000
    got = size * 997 * quote // (base * 1000 + size * 997)
    cost = quote * size * 1000 // ((base - size) * 997) + 1
    told = Decimal(size).scaleb(-18).quantize(Decimal("1e-15"), ROUND_FLOOR)
    bid, ask = (
        Context(prec=18, rounding=rounding).divide(Decimal(amount), Decimal(size)).scaleb(12)
        for amount, rounding in ((got, ROUND_FLOOR), (cost, ROUND_CEILING))
    )
    return block, bid, told, ask, told


async def test_pools_of_several_tokens_and_what_pools_hold_reach_the_relay(small_relay: Any) -> None:
    node = Node()
    weth = int(WETH, 16)
    bal, pool, other = int(BAL, 16), int(BALANCER, 16), int(BALANCER, 16) + 1
    async with served(node) as secrets, RelayLink(str(small_relay.path)) as link:
        runner = SourceRunner(SPEC, lambda: transport(secrets), link=link)
        task = asyncio.create_task(runner.run())
        try:
            await until(lambda: bool(node.sockets))
            keys = {symbol: runner.listings.key(symbol) or 0 for symbol in PAIRS}
            base, quote = 2_000 * 10**18, 4_000_000 * 10**6
            await node.mine(
                event(V2, Kind.V2_SYNC, (), (quote, base)),
                # 0.5 WETH for 1,000.5 USDC; 2 WBTC for 120,000 USDC; 30 WETH for 1 WBTC.
                event(TRI, Kind.CURVE_CRYPTO_NG, (7,), (0, 1_000_500_000, 2, 5 * 10**17, 30, 1)),
                event(TRI, Kind.CURVE_CRYPTO_NG, (7,), (1, 2 * 10**8, 0, 120_000 * 10**6, 30, 1)),
                event(TRI, Kind.CURVE_CRYPTO_NG, (7,), (1, 10**8, 2, 30 * 10**18, 30, 1)),
                event(VAULT, Kind.BALANCER_V2, (pool, weth, bal), (10**18, 250 * 10**18)),
                # V4 tells what the swapper gets: 1 ETH for 2,001 USDC.
                event(MANAGER, Kind.V4_SWAP, (int(V4, 16), 9), (10**18, -2_001 * 10**6, 2**96, 1, 0, 500)),
                # Deposits, other pools, other contracts, other protocols: none of them is a trade of these.
                event(VAULT, Kind.BALANCER_V2, (pool, weth, int(BALANCER[:42], 16)), (10**18, 10**18)),
                event(VAULT, Kind.BALANCER_V2, (other, weth, bal), (10**18, 10**18)),
                event("0x" + "6" * 40, Kind.BALANCER_V2, (pool, weth, bal), (10**18, 10**18)),
                event("0x" + "6" * 40, Kind.V4_SWAP, (int(V4, 16), 9), (10**18, -(10**9), 2**96, 1, 0, 500)),
                event("0x" + "6" * 40, Kind.V2_SYNC, (), (1, 1)),
                event(V2, Kind.V3_SWAP, (0, 0), (1, -1, 2**96, 1, 0)),
                event(TRI, Kind.CURVE_CRYPTO_NG, (7,), (0, 1, 3, 1, 30, 1)),
            )
            for _ in range(3):
                await node.mine()
            await until(lambda: len(trades(small_relay)) == 5)
            at = (1_700_000_000 + 12 * 100) * 10**9
            assert trades(small_relay) == [
                (keys[f"{TRI}/0/2"], at, Decimal(2001), Decimal("0.5"), 1),
                (keys[f"{TRI}/0/1"], at, Decimal(60_000), Decimal(2), 2),
                (keys[f"{TRI}/1/2"], at, EIGHTEEN.divide(Decimal(1), Decimal(30)), Decimal(30), 1),
                (keys[BALANCER], at, Decimal("0.004"), Decimal(250), 1),
                (keys[V4], at, Decimal(2001), Decimal(1), 1),
            ]
            lost = [keys[f"{TRI}/{pair}"] for pair in ("0/1", "0/2", "1/2")]
            assert [(gap.reason, gap.listing_key) for gap in small_relay.gaps] == [
                ("UNREADABLE_LOG", key) for key in lost
            ]
            two = keys[V2]
            assert quotes(small_relay, two) == [library_quote(100, quote, base)]

            # Two changes in a block are one quote, one that a reorganisation takes back gives way to what stands below it.
            later = base + 10**18, base + 7 * 10**18
            await node.mine(event(V2, Kind.V2_SYNC, (), (1, 1)), event(V2, Kind.V2_SYNC, (), (quote, later[0])))
            await node.mine(event(V2, Kind.V2_SYNC, (), (quote, later[1])))
            for _ in range(3):
                await node.mine()
            await until(lambda: len(quotes(small_relay, two)) == 3)
            await node.undo(5)
            await node.mine(event(V2, Kind.V2_SYNC, (), (quote, base + 1)))
            for _ in range(5):
                await node.mine()
            await until(lambda: len(quotes(small_relay, two)) >= 6)
            assert quotes(small_relay, two)[1:] == [
                library_quote(104, quote, later[0]),
                library_quote(105, quote, later[1]),
                # The node takes back the newest block first.
                library_quote(104, quote, later[0]),
                library_quote(100, quote, base),
                library_quote(104, quote, base + 1),
            ]
            assert len(small_relay.gaps) == 3

            # What happened while nobody listened is asked for of each contract, and told in its order.
            await node.cut()
            node.block(
                event(MANAGER, Kind.V4_SWAP, (int(V4, 16), 9), (10**18, -2_002 * 10**6, 2**96, 1, 0, 500)),
                swap(V2, -4_000 * 10**6, 2 * 10**18),
                event(VAULT, Kind.BALANCER_V2, (pool, bal, weth), (100 * 10**18, 3 * 10**17)),
            )
            await until(lambda: bool(node.sockets))
            for _ in range(4):
                await node.mine()
            await until(lambda: len(trades(small_relay)) == 8)
            at = int(node.chain[-5]["timestamp"], 16) * 10**9
            assert trades(small_relay)[5:] == [
                (keys[V4], at, Decimal(2002), Decimal(1), 1),
                (two, at, Decimal(2000), Decimal(2), 2),
                (keys[BALANCER], at, Decimal("0.003"), Decimal(100), 2),
            ]
            assert len(small_relay.gaps) == 3
            status = runner.status()
            assert not status.rejects
            assert not status.unknown_messages
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_a_pool_that_cannot_be_read_is_refused_alone_and_a_node_of_another_chain_whole() -> None:
    node = Node()
    async with served(node) as secrets, transport(secrets) as live:
        listed = await live.instruments(SPEC)
        assert {entry.symbol: entry.pair for entry in listed.entries} == PAIRS
        assert len(listed.refused) == len(CHAINS[0].pools) - 5
        assert any(ODD in line and "execution reverted" in line for line in listed.refused)
        node.chain_id = 137
        runner = SourceRunner(SPEC, lambda: transport(secrets), backoff=Backoff(30.0, 30.0))
        task = asyncio.create_task(runner.run())
        try:
            await until(lambda: bool(runner.status().error))
            assert "a node of chain 1" in runner.status().error
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_no_message_shows_the_key_of_a_node() -> None:
    async with served(Node()) as secrets:
        not_there = {name: f"{url}/nothing" for name, url in secrets.items()}
        for told in (not_there, dict.fromkeys(secrets, f"no address {KEY}")):
            async with transport(told) as live:
                with pytest.raises(TransportError) as error:
                    await live.instruments(SPEC)
                assert KEY not in str(error.value)
                arrivals = live.arrivals(1)
                async with asyncio.timeout(20):
                    seen = [await anext(arrivals), await anext(arrivals)]
                await arrivals.aclose()  # type: ignore[attr-defined]
            assert {one.kind for one in seen} == {ArrivalKind.CLOSED}
            assert not any(KEY in one.url or KEY.encode() in one.data for one in seen)
