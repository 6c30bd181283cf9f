"""A chain that is played by a JSON-RPC node on this machine: its contracts, blocks, logs and subscriptions."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from collector_service.chain.events import TOPICS
from collector_service.chain.events import LogKind as Kind

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
BAL, WBTC = "0xba100000625a3754423978a60c9317c58a424e3d", "0x2260fac5e5542a773aa44fbcfedf7c193bc2c599"
VAULT, MANAGER = "0xba12222222228d8ba445958a75a0704d566bf2c8", "0x000000000004444c5dc75cb358380d2e3de08a90"
BALANCER = "0x5c6ee304399dbdb9c8ef030ab642b10820db8f56000200000000000000000014"
V4 = "0x21c67e77068de97969ba93d4aab21826d33ca12bb9f565d8496e8fda8a82ca27"
TRI = "0x7f86bf177dd4f3494b841a37e810a34dd56c829b"
KEY = "the-users-own-key"


def word(value: int) -> str:
    return f"{value % 2**256:064x}"


def string(text: str) -> str:
    return word(32) + word(len(text)) + text.encode().hex().ljust(64, "0")


CALLS = {
    (V3, "0x0dfe1681"): word(int(USDC, 16)),
    (V3, "0xd21220a7"): word(int(WETH, 16)),
    (V3, "0xddca3f43"): word(500),
    (V3, "0xd0c93a7c"): word(10),
    (V2, "0x0dfe1681"): word(int(USDC, 16)),
    (V2, "0xd21220a7"): word(int(WETH, 16)),
    (ODD, "0x0dfe1681"): word(int(WETH, 16)),
    (ODD, "0xd21220a7"): word(int(USDT, 16)),
    (USDC, "0x313ce567"): word(6),
    (USDC, "0x95d89b41"): string("USDC"),
    (WETH, "0x313ce567"): word(18),
    (WETH, "0x95d89b41"): b"WETH".hex().ljust(64, "0"),
    **{(TRI, f"0xc6610657{word(place)}"): word(int(coin, 16)) for place, coin in enumerate((USDC, WBTC, WETH))},
    # The pool's own share is among its tokens, as in a composable pool.
    (VAULT, f"0xf94d4668{BALANCER[2:]}"): "".join(
        map(word, (96, 256, 9, 3, int(BAL, 16), int(BALANCER[:42], 16), int(WETH, 16), 3, 1, 2, 3))
    ),
    (WBTC, "0x313ce567"): word(8),
    (WBTC, "0x95d89b41"): string("WBTC"),
    (BAL, "0x313ce567"): word(18),
    (BAL, "0x95d89b41"): string("BAL"),
    # A token that has no decimals(): its pool cannot be read, and no decimals are made up for it.
    (USDT, "0x95d89b41"): string("USDT"),
}


Event = tuple[str, list[str], str]
"""Contract, topics, data."""


class Node:
    """Blocks, logs and subscriptions of one chain."""

    def __init__(self, chain_id: int = 1, *, strict: bool = False) -> None:
        """A `strict` one says only what was subscribed to."""
        self.chain_id = chain_id
        self.strict = strict
        self.calls = dict(CALLS)
        self.called: list[tuple[str, str]] = []
        self.chain: list[dict[str, Any]] = []
        self.blocks: dict[str, dict[str, Any]] = {}
        self.logs: dict[str, list[dict[str, Any]]] = {}
        self.sockets: list[web.WebSocketResponse] = []
        self.filters: list[dict[str, Any]] = []
        self.asked: list[str] = []
        self.made = 0

    def block(self, *events: Event) -> dict[str, Any]:
        """One more block."""
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
                "address": contract,
                "topics": topics,
                "data": f"0x{data}",
                "blockNumber": hex(number),
                "blockHash": name,
                "logIndex": hex(7 * index),
                "removed": False,
            }
            for index, (contract, topics, data) in enumerate(events)
        ]
        self.blocks[name] = block
        self.chain.append(block)
        return block

    async def mine(self, *events: Event) -> None:
        """One more block, which is told of."""
        block = self.block(*events)
        for log in self.logs[block["hash"]]:
            if not self.strict or any(_passes(one, log) for one in self.filters):
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
            self.called.append((params[0]["to"], params[0]["data"]))
            called = self.calls.get(self.called[-1])
            if called is None:
                return {"jsonrpc": "2.0", "id": asked["id"], "error": {"code": 3, "message": "execution reverted"}}
            found = f"0x{called}"
        elif method == "eth_subscribe":
            self.filters += params[1:]
            found = f"0x{params[0]}"
        elif method == "eth_getBlockByHash":
            found = self.blocks.get(params[0])
        elif method == "eth_getLogs":
            logs = self.logs.get(params[0]["blockHash"])
            found = None if logs is None else [log for log in logs if _passes(params[0], log)]
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


def _passes(wanted: dict[str, Any], log: dict[str, Any]) -> bool:
    places = zip(wanted["topics"], log["topics"], strict=False)
    return log["address"] in wanted["address"] and all(topic in allowed for allowed, topic in places)


def swap(pool: str, one: int, two: int) -> Event:
    """What went in of the first token, and of the second."""
    if pool == V3:
        return event(pool, Kind.V3_SWAP, (0, 0), (one, two, 2**96, 10**18, 0))
    return event(pool, Kind.V2_SWAP, (0, 0), (max(one, 0), max(two, 0), max(-one, 0), max(-two, 0)))


def event(contract: str, kind: Kind, indexed: tuple[int, ...], values: tuple[int, ...]) -> Event:
    return contract, [TOPICS[kind], *(f"0x{word(one)}" for one in indexed)], "".join(map(word, values))


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
