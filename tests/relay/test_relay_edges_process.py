"""A relay and two edges as processes: one edge is killed, then the relay; the strategy at them misses nothing that was logged."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from alphapulse.api.relay.v1 import relay_service_pb2 as pb
from alphapulse.client import Backoff
from alphapulse.domain.decimal import ExactDecimal
from alphapulse.domain.domains import Domain
from alphapulse.records import QUOTE, FrameType, encode_control, encode_frame, row_sizes
from strategy_sdk import Event, ExecutionReport, Gap, OrderSide, OrderState, OrderUpdate, connect, publish

PATIENCE = 120.0


def start(folder: Path, url: str, **variables: str) -> subprocess.Popen[str]:
    role = variables.get("RELAY_EDGE_ID", "core")
    environ = {
        **os.environ,
        "GRPC_PORT": "0",
        "METRICS_PORT": "off",
        "LOG_FORMAT": "text",
        "REGISTRY_ENABLED": "false",
        "RELAY_LOG_URL": url,
        "RELAY_INGRESS_SOCKET": str(folder / "in.sock"),
        "RELAY_EGRESS_SOCKET": str(folder / f"{role}.sock"),
        **variables,
    }
    return subprocess.Popen([sys.executable, "-m", "relay_service"], env=environ, stdout=subprocess.PIPE, text=True)


async def ready(process: subprocess.Popen[str]) -> str:
    """The address it listens on, once it does."""
    assert process.stdout is not None
    line = await asyncio.wait_for(asyncio.to_thread(process.stdout.readline), PATIENCE)
    return dict(part.split("=") for part in line.split()[1:])["grpc"]


async def until(found: Callable[[], Any]) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            if found():
                return
            await asyncio.sleep(0.01)


def reports(found: list[Any]) -> list[ExecutionReport]:
    return [one for one in found if isinstance(one, ExecutionReport)]


async def test_what_was_logged_comes_whoever_is_killed(socket_folder: Path, fresh_redis_url: str, build: Any) -> None:
    roles: list[dict[str, str]] = [{}, *({"RELAY_ROLE": "edge", "RELAY_EDGE_ID": name} for name in ("one", "two"))]
    processes = [start(socket_folder, fresh_redis_url, **role) for role in roles]
    core, first, _ = processes
    try:
        _, *edges = await asyncio.gather(*map(ready, processes))
        _, writer = await asyncio.open_unix_connection(str(socket_folder / "in.sock"))
        hello = pb.SourceHello(source="A", slot=1, epoch=1, provenance=1, row_sizes=row_sizes())  # type: ignore[arg-type]
        writer.write(encode_control(FrameType.HELLO, hello))
        sent = 0

        def send() -> None:
            nonlocal sent
            rows = build.quotes([1, 2, 3], first_bid=100 + sent)
            writer.write(encode_frame(QUOTE.event_type, rows, slot=1, sequence=sent + 1))
            sent += 3

        found: list[Any] = []

        async def read(stream: Any) -> None:
            async for batch in stream.batches():
                found.extend([*batch.gaps, *batch.events()])

        def order() -> None:
            out.execution(OrderUpdate(1, str(next(numbers)), OrderSide.BUY, OrderState.OPEN, ExactDecimal(1, 0)))

        backoff, numbers = Backoff(first=0.01, cap=0.1), itertools.count()
        way = str(socket_folder / "in.sock")
        async with (
            connect(",".join(edges), heartbeat_seconds=0.1, backoff=backoff) as stream,
            publish("GATEWAY", Domain.EXECUTION, "", ingress_socket=way, backoff=backoff) as out,
        ):
            await stream.subscribe(include_unknown=True)
            await stream.subscribe(domain=Domain.EXECUTION, include_unknown=True)
            reading = asyncio.create_task(read(stream))
            for killed in range(200):
                send()
                if killed % 4 == 0:
                    order()
                if killed == 100:
                    first.send_signal(signal.SIGKILL)
                await asyncio.sleep(0.001)
            await until(lambda: len(found) >= sent + 50)
            quoted = [one for one in found if isinstance(one, Event) and not isinstance(one, ExecutionReport)]
            assert [one.values["bid_price"] for one in quoted] == list(range(100, 100 + sent))
            assert [one.client_order_id for one in reports(found)] == [str(number) for number in range(50)]
            assert not any(one.possible_duplicate for one in reports(found))
            assert stream.edge_id.startswith("two.")
            for _ in range(3):
                order()  # logged, or not, when the relay dies
            core.send_signal(signal.SIGKILL)
            began = time.time_ns()
            await until(
                lambda: (beat := stream.last_heartbeat) and beat.behind_ns > 2_000_000_000 and beat.time_ns > began
            )
            assert stream.last_heartbeat is not None
            assert stream.last_heartbeat.last_sequence == sent
            stats = stream.stats()
            assert (stats.duplicates, stats.undeclared_gaps, stats.gaps_declared) == (0, 0, 0)
            processes.append(start(socket_folder, fresh_redis_url))
            order()
            await out.settled(timeout=PATIENCE)
            await until(lambda: reports(found)[-1].client_order_id == "53")
            assert [one.client_order_id for one in reports(found) if not one.possible_duplicate][:50] == [
                str(number) for number in range(50)
            ]
            came = list(dict.fromkeys(one.client_order_id for one in reports(found)))
            assert came == [str(number) for number in range(54)], "every one, in order"
            again = len(reports(found)) - len(came)
            assert again <= sum(one.possible_duplicate for one in reports(found)), "what came twice is marked"
            assert {one.reason for one in found if isinstance(one, Gap)} == {"RELAY_RESTARTED"}
            assert stream.stats().undeclared_gaps == 0
            await stream.close()
            await reading
        writer.close()
    finally:
        for process in processes:
            process.kill()
            process.communicate()
