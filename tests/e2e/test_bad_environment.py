"""A machine that is not as it should be: stores away, ports taken, folders in use. Each a clear error, or a service that recovers."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from alphapulse.api.common.v1 import common_pb2 as common
from alphapulse.api.venue.v1 import venue_pb2
from alphapulse.api.venue.v1 import venue_service_pb2 as service
from alphapulse.api.venue.v1 import venue_service_pb2_grpc as venue_rpc
from alphapulse.client import open_channel
from alphapulse.domain.provenance import RecordFlag
from alphapulse.embedded import LaunchOptions, PostgresStore, ValkeyStore
from alphapulse_cli.platform import Platform, PlatformError
from alphapulse_cli.platform.plan import DEFAULT_PORTS, HEALTH_NAMES
from strategy_sdk import EventType, connect

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]
PATIENCE: Final = 60.0
VENUE: Final = HEALTH_NAMES["venue"]
TRANSIENT: Final = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def stores(open_folder: Path) -> Iterator[tuple[PostgresStore, ValkeyStore]]:
    """Two stores that come back at their old ports; neither runs yet."""
    made = (
        PostgresStore(open_folder / "postgres", LaunchOptions(port=_free_port())),
        ValkeyStore(open_folder / "valkey", LaunchOptions(port=_free_port())),
    )
    for store in made:  # so that the data exists and the addresses are known
        store.start()
        store.stop()
    yield made
    for store in made:
        store.stop()


@asynccontextmanager
async def _registry(postgres: PostgresStore, valkey: ValkeyStore) -> AsyncIterator[str]:
    """A venue registry as a process; its address."""
    port = _free_port()
    environment = {
        **os.environ,
        "GRPC_PORT": str(port),
        "METRICS_PORT": "off",
        "DATABASE_URL": postgres.url,
        "REDIS_URL": valkey.url,
    }
    process = subprocess.Popen(  # noqa: ASYNC220 - it takes no time
        [sys.executable, "-m", "registry_service", "venue"], env=environment
    )
    try:
        yield f"127.0.0.1:{port}"
        assert process.poll() is None, "the registry ended"
    finally:
        process.terminate()
        assert await asyncio.to_thread(process.wait, 20) == 0


async def _health(channel: grpc.aio.Channel) -> int:
    stub = health_pb2_grpc.HealthStub(channel)
    answer = await stub.Check(health_pb2.HealthCheckRequest(service=VENUE), timeout=PATIENCE, wait_for_ready=True)
    return int(answer.status)


async def _until_health(channel: grpc.aio.Channel, wanted: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while await _health(channel) != wanted:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.05)


async def _register(channel: grpc.aio.Channel, number: int) -> None:
    venue = venue_pb2.Venue(code=f"BAD{number}", name=f"Venue {number}", type=venue_pb2.VENUE_TYPE_EXCHANGE)
    request = service.RegisterVenueRequest(venue=venue)
    request.write.request_id = f"bad-{number}"
    await venue_rpc.VenueServiceStub(channel).RegisterVenue(request, timeout=20)


async def _until_registered(channel: grpc.aio.Channel, number: int) -> None:
    """As a client does it: the same request again while the answer says that a retry helps."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                return await _register(channel, number)
            except grpc.aio.AioRpcError as error:
                if error.code() not in TRANSIENT:
                    raise
            await asyncio.sleep(0.05)


async def _known(channel: grpc.aio.Channel, number: int, *, latest: bool = False) -> bool:
    request = service.GetVenueRequest(code=f"BAD{number}")
    if latest:
        request.read.CopyFrom(common.ReadOptions(latest=True))
    try:
        answer = await venue_rpc.VenueServiceStub(channel).GetVenue(request, timeout=20)
    except grpc.aio.AioRpcError as error:
        if error.code() is not grpc.StatusCode.NOT_FOUND:
            raise
        return False
    return bool(answer.venue.code == f"BAD{number}")


async def test_a_registry_waits_for_its_stores_and_outlives_their_loss(
    stores: tuple[PostgresStore, ValkeyStore],
) -> None:
    postgres, valkey = stores
    async with _registry(postgres, valkey) as address, open_channel(address) as channel:
        assert await _health(channel) == NOT_SERVING  # both are away at its start
        await asyncio.to_thread(postgres.start)
        await _until_health(channel, SERVING)  # Redis is never needed for a right answer
        await _register(channel, 1)
        await asyncio.to_thread(valkey.start)
        await _register(channel, 2)
        assert await _known(channel, 2)

        await asyncio.to_thread(postgres.stop)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await _register(channel, 3)
        assert refused.value.code() in TRANSIENT
        await asyncio.to_thread(postgres.start)
        await _until_registered(channel, 3)

        await asyncio.to_thread(valkey.stop)
        await _register(channel, 4)
        assert [await _known(channel, number) for number in (1, 2, 3, 4, 5)] == [True, True, True, True, False]
        await asyncio.to_thread(valkey.start)
        await _register(channel, 5)
        assert [await _known(channel, number, latest=True) for number in (1, 2, 3, 4, 5, 6)] == [True] * 5 + [False]


def test_ports_in_use_are_named(alphapulse: Any, open_folder: Path) -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            other.bind(("127.0.0.1", DEFAULT_PORTS["relay"]))
        except OSError:
            pass  # somebody else has it: as good
        else:
            other.listen()
        for arguments in ((), ("--detach",)):
            process = alphapulse.start("up", *arguments, "--data-dir", str(open_folder / "data"))
            output, _ = process.communicate(timeout=60)
            assert process.returncode == 3, output
            assert str(DEFAULT_PORTS["relay"]) in output
            assert "--free-ports" in output
    assert alphapulse.processes() == []


@pytest.mark.parametrize("arguments", [(), ("--detach",)])
def test_a_folder_that_cannot_be_used_is_named(alphapulse: Any, open_folder: Path, arguments: tuple[str, ...]) -> None:
    (open_folder / "file").write_text("")
    process = alphapulse.start("up", *arguments, "--free-ports", "--data-dir", str(open_folder / "file" / "data"))
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 4, output
    assert str(open_folder / "file" / "data") in output
    assert "--data-dir" in output
    assert "Traceback" not in output


async def test_one_folder_holds_one_platform(alphapulse: Any, make_options: Any, open_folder: Path) -> None:
    options = make_options(open_folder, registry_enabled=False)
    async with Platform(options):
        with pytest.raises(PlatformError, match=f"runs already over .*process {os.getpid()}.*alphapulse down"):
            await Platform(options).__aenter__()
        for arguments in ((), ("--detach",), ("--free-ports",)):
            process = alphapulse.start("up", *arguments, "--data-dir", str(options.data_dir))
            output, _ = await asyncio.to_thread(process.communicate, None, 60)
            assert process.returncode == 4, output
            assert f"a platform runs already over {options.data_dir} (process {os.getpid()})" in output
    assert not (options.data_dir / "platform.json").exists()


async def test_without_registries_the_relay_relays(make_options: Any, open_folder: Path) -> None:
    options = make_options(open_folder, registry_enabled=False)
    async with Platform(options) as platform:
        assert set(platform.processes) == {"relay"}
        async with connect(platform.addresses.of("relay"), egress_socket="") as stream:
            await stream.subscribe(include_unknown=True)
            await platform.start_collector()
            seen: set[EventType] = set()
            try:
                async with asyncio.timeout(PATIENCE):
                    async for batch in stream.batches():
                        seen |= set(batch.rows)
                        for _, rows in batch.runs:
                            assert (rows["flags"] & RecordFlag.NO_REGISTRY).all()
                        if {EventType.TRADE, EventType.QUOTE, EventType.BOOK_LEVEL} <= seen:
                            break
            except TimeoutError:
                logs = "\n".join(f"{name}:\n{process.tail(40)}" for name, process in platform.processes.items())
                pytest.fail(f"only {seen} in {PATIENCE} s; {stream.stats()}\n{logs}")
            assert stream.stats().undeclared_gaps == 0


async def test_a_folder_deeper_than_a_socket_may_be_works(make_options: Any, open_folder: Path) -> None:
    deep = open_folder / ("d" * 100)
    async with Platform(make_options(deep, registry_enabled=False)) as platform:
        folder = Path(platform.addresses.egress_socket).parent
        assert not folder.is_relative_to(deep)
        async with connect(egress_socket=platform.addresses.egress_socket) as stream:
            await stream.subscribe()
    assert not folder.exists()


def test_a_state_file_of_a_dead_platform_hinders_nobody(alphapulse: Any, open_folder: Path) -> None:
    data = open_folder / "data"
    process = alphapulse.start("up", "--free-ports", "--no-registries", "--data-dir", str(data))
    assert process.stdout is not None
    assert any("ready" in line for line in process.stdout)
    process.kill()
    process.communicate(timeout=20)
    assert (data / "platform.json").exists()
    for command, code in (("status", 1), ("down", 0), ("down", 0)):
        asked = alphapulse.start(command, "--json", "--data-dir", str(data))
        output, _ = asked.communicate(timeout=30)
        assert asked.returncode == code, output
        assert json.loads(output)
    again = alphapulse.start("up", "--detach", "--free-ports", "--no-registries", "--data-dir", str(data))
    output, _ = again.communicate(timeout=100)
    assert again.returncode == 0, output
    ended = alphapulse.start("down", "--data-dir", str(data))
    output, _ = ended.communicate(timeout=60)
    assert (ended.returncode, output) == (0, "stopped: platform\n")
    assert alphapulse.processes() == []


async def test_a_setting_that_no_service_takes_ends_the_start_with_its_log(
    make_options: Any, open_folder: Path
) -> None:
    options = make_options(open_folder, registry_enabled=False, environment={"RELAY_TICK_MS": "soon"})
    with pytest.raises(PlatformError, match=r"relay does not start[\s\S]*RELAY_TICK_MS") as refused:
        async with Platform(options):
            pass
    assert refused.value.exit_code == 4
    assert not (options.data_dir / "platform.json").exists()
