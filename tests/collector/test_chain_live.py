"""A chain played by a JSON-RPC node on this machine, through the live transport and the runner to a relay's socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any

import pytest
from aiohttp import web

from alphapulse.client import Backoff
from alphapulse.domain.provenance import RecordFlag
from alphapulse.publishing import RelayLink
from collector_service.chain.events import TOPICS
from collector_service.chain.events import PoolKind as Kind
from collector_service.runtime import SourceRunner
from collector_service.sources import SOURCES
from collector_service.transport import ArrivalKind, TransportError
from collector_service.transport.live import LiveTransport

SPEC = SOURCES["ETHEREUM"]
USDC, WETH, USDT = (
    "0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48",
    "0xc02aaa39b223fe8d0a0e5c4f27ead9083c756cc2",
    "0x" + "d" * 40,
)
V3, V2, ODD = (
    "0x88e6a0c2ddd26feeb64f039a2c41296fcb3f5640",
    "0xb4e16d0168e52d35cacd2c6185b44281ec28c9dc",
    "0x0d4a11d5eeaac28ec3f61d100daf4d40471f1852",
)
KEY = "the-users-own-key"


def word(value: int) -> str:
    return f"{value % 2**256:064x}"


def string(text: str) -> str:
    return word(32) + word(len(text)) + text.encode().hex().ljust(64, "0")


CALLS = {
    (V3, "0x0dfe1681"): word(int(USDC, 16)),
    (V3, "0xd21220a7"): word(int(WETH, 16)),
    (V3, "0xddca3f43"): word(500),
    (V2, "0x0dfe1681"): word(int(USDC, 16)),
    (V2, "0xd21220a7"): word(int(WETH, 16)),
    (ODD, "0x0dfe1681"): word(int(WETH, 16)),
    (ODD, "0xd21220a7"): word(int(USDT, 16)),
    (USDC, "0x313ce567"): word(6),
    (USDC, "0x95d89b41"): string("USDC"),
    (WETH, "0x313ce567"): word(18),
    (WETH, "0x95d89b41"): b"WETH".hex().ljust(64, "0"),
    # A token that has no decimals(): its pool cannot be read, and no decimals are made up for it.
    (USDT, "0x95d89b41"): string("USDT"),
}


class Node:
    """Blocks, logs and subscriptions of one chain."""

    def __init__(self, chain_id: int = 1) -> None:
        self.chain_id = chain_id
        self.chain: list[dict[str, Any]] = []
        self.blocks: dict[str, dict[str, Any]] = {}
        self.logs: dict[str, list[dict[str, Any]]] = {}
        self.sockets: list[web.WebSocketResponse] = []
        self.subscribed: dict[str, Any] = {}
        self.asked: list[str] = []
        self.made = 0

    def block(self, *swaps: tuple[str, int, int]) -> dict[str, Any]:
        """One more block: (pool, what went in of the first token, of the second) for each swap."""
        self.made += 1
        number, name = 100 + len(self.chain), f"0x{self.made:064x}"
        parent = self.chain[-1]["hash"] if self.chain else f"0x{'f' * 64}"
        block = {
            "hash": name,
            "parentHash": parent,
            "number": hex(number),
            "timestamp": hex(1_700_000_000 + 12 * number),
        }
        self.logs[name] = [
            {
                "address": pool,
                "topics": [TOPICS[Kind.V3 if pool == V3 else Kind.V2], f"0x{'0' * 64}", f"0x{'0' * 64}"],
                "data": "0x" + (_v3(one, two) if pool == V3 else _v2(one, two)),
                "blockNumber": hex(number),
                "blockHash": name,
                "logIndex": hex(7 * index),
                "removed": False,
            }
            for index, (pool, one, two) in enumerate(swaps)
        ]
        self.blocks[name] = block
        self.chain.append(block)
        return block

    async def mine(self, *swaps: tuple[str, int, int]) -> None:
        """One more block, which is told of."""
        block = self.block(*swaps)
        for log in self.logs[block["hash"]]:
            await self.say("logs", log)
        await self.say("newHeads", block)

    async def undo(self, count: int) -> None:
        """The last blocks are of the chain no more."""
        for block in reversed(self.chain[-count:]):
            for log in reversed(self.logs[block["hash"]]):
                await self.say("logs", {**log, "removed": True})
        del self.chain[-count:]

    async def say(self, stream: str, result: dict[str, Any]) -> None:
        for socket in self.sockets:
            note = {"subscription": f"0x{stream}", "result": result}
            await socket.send_json({"jsonrpc": "2.0", "method": "eth_subscription", "params": note})

    def answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        method, params = asked["method"], asked["params"]
        self.asked.append(method)
        found: Any = None
        if method == "eth_chainId":
            found = hex(self.chain_id)
        elif method == "eth_call":
            called = CALLS.get((params[0]["to"], params[0]["data"]))
            if called is None:
                return {"jsonrpc": "2.0", "id": asked["id"], "error": {"code": 3, "message": "execution reverted"}}
            found = f"0x{called}"
        elif method == "eth_subscribe":
            self.subscribed[params[0]] = params[1] if params[1:] else None
            found = f"0x{params[0]}"
        elif method == "eth_getBlockByHash":
            found = self.blocks.get(params[0])
        elif method == "eth_getLogs":
            found = self.logs.get(params[0]["blockHash"])
        return {"jsonrpc": "2.0", "id": asked["id"], "result": found}

    async def http(self, request: web.Request) -> web.Response:
        # In another order than they were asked in, as the protocol allows.
        return web.json_response([self.answer(one) for one in reversed(await request.json())])

    async def stream(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            asked = json.loads(message.data)
            await socket.send_json(self.answer(asked))
            if asked["params"] == ["newHeads"]:
                self.sockets.append(socket)
        return socket

    async def cut(self) -> None:
        sockets, self.sockets = self.sockets, []
        for socket in sockets:
            await socket.close()


def _v3(one: int, two: int) -> str:
    return word(one) + word(two) + word(2**96) + word(10**18) + word(-201_000)


def _v2(one: int, two: int) -> str:
    return word(max(one, 0)) + word(max(two, 0)) + word(max(-one, 0)) + word(max(-two, 0))


@asynccontextmanager
async def served(node: Node) -> AsyncIterator[dict[str, str]]:
    app = web.Application()
    app.add_routes([web.post(f"/rpc/{KEY}", node.http), web.get(f"/ws/{KEY}", node.stream)])
    server = web.AppRunner(app)
    await server.setup()
    await web.TCPSite(server, "127.0.0.1", 0).start()
    at = f"127.0.0.1:{server.addresses[0][1]}"
    try:
        yield {"ETHEREUM_WS_URL": f"ws://{at}/ws/{KEY}", "ETHEREUM_RPC_URL": f"http://{at}/rpc/{KEY}"}
    finally:
        await server.cleanup()


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


def trade(key: int, number: int, usdc: int, weth: int) -> Trade:
    """What a swap of a pool of USDC (6 digits) and WETH (18) has to become: (listing, time, price, size, aggressor)."""
    size = Context(prec=100).scaleb(Decimal(abs(weth)), -18)
    price = EIGHTEEN.divide(Context(prec=100).scaleb(Decimal(abs(usdc)), -6), size)
    return key, (1_700_000_000 + 12 * number) * 10**9, price, size, 1 if weth < 0 else 2


async def test_swaps_reach_the_relay_once_and_in_order_over_reorganisations_and_a_cut(small_relay: Any) -> None:
    node = Node()

    def trades() -> list[Trade]:
        return [
            (
                int(row["listing_key"]),
                int(row["venue_time_ns"]),
                Decimal(int(row["price"])).scaleb(int(row["price_exponent"])),
                Context(prec=100).scaleb(Decimal(int(row["size"])), int(row["size_exponent"])),
                int(row["aggressor"]),
            )
            for _, _, _, rows in small_relay.frames
            for row in rows
        ]

    async with served(node) as secrets, RelayLink(str(small_relay.path)) as link:
        runner = SourceRunner(SPEC, lambda: transport(secrets), link=link)
        task = asyncio.create_task(runner.run())
        try:
            await until(lambda: bool(node.sockets))
            assert {entry.symbol: entry.pair for entry in runner.listings} == {V3: "WETH/USDC", V2: "WETH/USDC"}
            assert node.subscribed["logs"] == {"address": [V3, V2], "topics": [list(TOPICS.values())]}
            three, two = runner.listings.key(V3), runner.listings.key(V2)
            assert three is not None
            assert two is not None

            await node.mine((V3, 2_000_123_456, -999_999_999_999_999_999))
            await node.mine((V2, -1_234_567, 617_283_951_111_111), (V3, -5_000_000, 2_500_000_000_000_000))
            # Removed before it counts: never told.
            await node.mine((V3, 7, -7))
            await node.undo(1)
            await node.mine()
            await node.mine()
            await node.mine()
            first = [
                trade(three, 100, 2_000_123_456, -999_999_999_999_999_999),
                trade(two, 101, -1_234_567, 617_283_951_111_111),
                trade(three, 101, -5_000_000, 2_500_000_000_000_000),
            ]
            await until(lambda: len(trades()) == 3)
            assert trades() == first

            # Swaps while nobody listened are asked for; nothing is lost, and no gap is told.
            await node.cut()
            for amount in range(1, 6):
                node.block((V2, amount * 10**6, -amount * 10**15))
            await until(lambda: bool(node.sockets))
            await node.mine()
            await node.mine()
            await node.mine()
            await until(lambda: len(trades()) == 8)
            away = [trade(two, 104 + amount, amount * 10**6, -amount * 10**15) for amount in range(1, 6)]
            assert trades() == first + away
            assert not small_relay.gaps
            assert {"eth_getBlockByHash", "eth_getLogs"} <= set(node.asked)

            # A swap that counted is of the chain no more: a gap of its listing, and what replaces it is told.
            await node.undo(4)  # 109, the last that was listened to in vain, to 112
            for _ in range(5):
                await node.mine((V2, 3 * 10**6, -(10**15)))
            await until(lambda: bool(small_relay.gaps) and len(trades()) == 10)
            assert [(gap.reason, gap.listing_key) for gap in small_relay.gaps] == [("REORG", two)]
            assert trades()[8:] == [trade(two, 109 + step, 3 * 10**6, -(10**15)) for step in range(2)]
            # A log whose words are not those of its event costs no other, and is told as a gap.
            broken = node.block((V2, 5 * 10**6, -(10**15)), (V2, 6 * 10**6, -(10**15)))
            node.logs[broken["hash"]][0]["data"] = "0x1234"
            for log in node.logs[broken["hash"]]:
                await node.say("logs", log)
            await node.say("newHeads", broken)
            for _ in range(3):
                await node.mine()
            await until(lambda: len(small_relay.gaps) == 2 and len(trades()) == 14)
            assert (small_relay.gaps[1].reason, small_relay.gaps[1].listing_key) == ("UNREADABLE_LOG", two)
            assert trades()[-1] == trade(two, 114, 6 * 10**6, -(10**15))
            status = runner.status()
            assert not status.rejects
            assert not status.unknown_messages
            flags = {int(row["flags"]) for _, _, _, rows in small_relay.frames for row in rows}
            assert not any(flag & (RecordFlag.OVERSIZE | RecordFlag.UNKNOWN_LISTING) for flag in flags)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_a_pool_that_cannot_be_read_is_refused_alone_and_a_node_of_another_chain_whole() -> None:
    node = Node()
    async with served(node) as secrets, transport(secrets) as live:
        listed = await live.instruments(SPEC)
        assert [entry.symbol for entry in listed.entries] == [V3, V2]
        assert len(listed.refused) == 4
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
