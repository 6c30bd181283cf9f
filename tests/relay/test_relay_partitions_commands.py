"""`alphapulse record` and `alphapulse subscribe` on a market that two relays divide."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pytest
from support.relay_partitions import INSTRUMENTS, PATIENCE, Source, parts, source_of, ways

from alphapulse.recording import read_gaps, read_rows


@pytest.fixture
def open_part(open_relay: Any, build: Any, fresh_redis_url: str, socket_folder: Path) -> Callable[..., Any]:
    """A relay that is one of two."""
    return parts(open_relay, build, fresh_redis_url, socket_folder)


@pytest.fixture
async def source(build: Any, socket_folder: Path) -> AsyncIterator[Source]:
    """Connected to both as soon as they are there."""
    async with source_of(build, socket_folder) as made:
        yield made


async def command(*arguments: str, **environment: str) -> Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "alphapulse_cli", *arguments),
        stdout=PIPE,
        stderr=PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
    )


async def told_by(*arguments: str, **environment: str) -> tuple[int | None, str]:
    """The exit code and what a command that ends by itself wrote."""
    process = await command(*arguments, **environment)
    async with asyncio.timeout(PATIENCE):
        out, told = await process.communicate()
    return process.returncode, out.decode() + told.decode()


async def until(process: Process, reached: Callable[[], Any]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not reached():
            assert process.returncode is None, (await process.communicate())[1].decode()
            await asyncio.sleep(0.01)


def journals(folder: Path) -> list[Path]:
    return sorted(folder.glob("partition=*/journal/*.frames"))


def bid(number: int) -> bytes:
    return number.to_bytes(8, "little", signed=True)


def recorded(folder: Path, index: int) -> list[tuple[int, int]]:
    return [
        pair
        for _, rows in read_rows(folder / f"partition={index}-of-2")
        for pair in zip(rows["listing_key"].tolist(), rows["bid_price"].tolist(), strict=True)
    ]


async def test_a_recorder_of_both_killed_and_run_again_has_all_of_both(
    open_part: Any, source: Source, tmp_path: Path
) -> None:
    folder = tmp_path / "recording"
    async with open_part(0) as first, open_part(1) as second:
        arguments = ["record", "--json", "--type", "quote", "--out", str(folder)]
        for way in ways(first, second):
            arguments += ["--relay", way]
        bids = iter(range(1_000_001, 2_000_000))

        def send() -> dict[int, int]:
            """A quote of each listing; the last bid of each."""
            last = {key: next(bids) for key in INSTRUMENTS}
            for key, price in last.items():
                source.send(key, bid_price=price, ask_price=price + 1)
            return last

        def written(last: dict[int, int]) -> bool:
            held = b"".join(path.read_bytes() for path in journals(folder))
            return all(bid(price) in held for price in last.values())

        recorder = await command(*arguments)
        await until(recorder, lambda: len(journals(folder)) == 2)
        for _ in range(10):
            last = send()
        await until(recorder, lambda: written(last))
        recorder.kill()
        await recorder.communicate()
        for _ in range(10):  # nobody records these as they come
            send()
        recorder = await command(*arguments)
        last = send()
        await until(recorder, lambda: written(last))
        recorder.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE):
            out, told = await recorder.communicate()
        assert recorder.returncode == 0, told.decode()
        summary = json.loads(out)
        assert (summary["events"], summary["gaps"]) == (21 * len(INSTRUMENTS), 0)
        for index in range(2):
            own = [pair for pair in source.sent if INSTRUMENTS[pair[0]] % 2 == index]
            assert recorded(folder, index) == own
            assert list(read_gaps(folder / f"partition={index}-of-2")) == []
        table = ds.dataset(sorted(folder.glob("partition=*/quote/date=*/*.parquet"))).to_table()
        assert table.num_rows == len(source.sent)

        # Another division, or one relay, would mix what does not belong together.
        code, text = await told_by("record", "--out", str(folder), "--relay", ways(first)[0])
        assert (code, "recording-partitions" in text) == (2, True), text
        other = tmp_path / "whole"
        (other / "journal").mkdir(parents=True)
        (other / "journal" / "1.frames").touch()
        code, text = await told_by(*arguments[:5], str(other), *arguments[6:])
        assert (code, "the recording of one relay" in text) == (2, True), text


async def test_a_recorder_that_is_ended_before_all_have_answered_counts_what_it_has(
    open_part: Any, source: Source, tmp_path: Path, socket_folder: Path
) -> None:
    """One relay says welcome and then nothing: its part ends without a subscription, and the other's rows are told all the same."""
    folder, silent = tmp_path / "recording", socket_folder / "silent.sock"
    async with open_part(0) as first, open_part(1) as second:
        at, other = ways(first, second)

        over = asyncio.Event()

        async def welcome(asked: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
            relay, to_relay = await asyncio.open_unix_connection(other)
            to_relay.write(await asked.read(1 << 16))
            client.write(await relay.read(1 << 16))
            while await asked.read(1 << 16):
                pass
            for one in (to_relay, client):
                one.close()
                await one.wait_closed()
            over.set()

        server = await asyncio.start_unix_server(welcome, silent)
        recorder = await command(
            *("record", "--json", "--type", "quote", "--out", str(folder), "--relay", at, "--relay", str(silent))
        )
        await until(recorder, lambda: len(journals(folder)) == 1)
        source.send(*INSTRUMENTS)
        wanted = [price for key, price in source.sent if INSTRUMENTS[key] % 2 == 0]
        await until(recorder, lambda: all(bid(price) in journals(folder)[0].read_bytes() for price in wanted))
        recorder.send_signal(signal.SIGINT)
        async with asyncio.timeout(PATIENCE):
            out, told = await recorder.communicate()
            await over.wait()
        server.close()
        await server.wait_closed()
    assert (recorder.returncode, json.loads(out)["events"]) == (0, len(wanted)), told.decode()
    assert [price for _, price in recorded(folder, 0)] == wanted


async def test_a_recorder_that_is_ended_before_anybody_answered_leaves_nothing(tmp_path: Path) -> None:
    recorder = await command("record", "--json", "--out", str(tmp_path / "recording"), "--relay", "127.0.0.1:1")
    await asyncio.sleep(2)
    recorder.send_signal(signal.SIGINT)
    async with asyncio.timeout(PATIENCE):
        out, told = await recorder.communicate()
    assert (recorder.returncode, json.loads(out)["events"]) == (0, 0), told.decode()
    assert not (tmp_path / "recording").exists()


async def test_subscribe_prints_what_both_have(open_part: Any, source: Source) -> None:
    async with open_part(0) as first, open_part(1) as second:
        told = {"RELAY_EGRESS_SOCKET": ";".join(ways(first, second))}
        addresses = {"RELAY_ADDRESS": ";".join(one.handle.address for one in (first, second))}
        count = 2 * len(INSTRUMENTS)
        for environment, arguments in ((told, []), (addresses, ["--grpc"])):
            following = await command("subscribe", "--json", "--count", str(count), *arguments, **environment)
            waiting = asyncio.create_task(following.communicate())
            async with asyncio.timeout(PATIENCE):
                while not waiting.done():
                    source.send(*INSTRUMENTS)
                    await asyncio.sleep(0.05)
            out, errors = waiting.result()
            assert following.returncode == 0, errors.decode()
            lines = [json.loads(line) for line in out.splitlines()]
            assert len(lines) == count
            assert {line["symbol"] for line in lines} == {f"S{key}" for key in INSTRUMENTS}


async def test_wrong_ways_are_refused_with_what_is_wrong(open_part: Any) -> None:
    async with open_part(0) as first, open_part(1) as second:
        at, other = ways(first, second)
        swapped = await told_by("subscribe", "--relay", other, "--relay", at)
        assert swapped[0] not in (0, None), swapped
        assert all(part in swapped[1] for part in ("0/2", "1/2")), swapped
        alone = await told_by("subscribe", "--relay", at)
        assert alone[0] not in (0, None), alone
        assert "0/2" in alone[1], alone
        twice = await told_by("record", "--out", "nowhere", "--relay", at, "--relay", at)
        assert (twice[0], "is given twice" in twice[1]) == (2, True), twice
        explained = await told_by("relay", "explain", "5", RELAY_ADDRESS="core0:50061;core1:50061")
        assert (explained[0], "several partitions" in explained[1]) == (2, True), explained
        by_sockets = await told_by("relay", "explain", "5", RELAY_EGRESS_SOCKET=f"{at};{other}")
        assert (by_sockets[0], "RELAY_EGRESS_SOCKET" in by_sockets[1]) == (2, True), by_sockets
        nobody = await told_by("subscribe", "--relay", "here")
        assert (nobody[0], "neither host:port nor the path" in nobody[1]) == (2, True), nobody


async def test_a_mistaken_recorder_leaves_nothing_that_is_in_the_way(
    open_part: Any, source: Source, tmp_path: Path
) -> None:
    folder = tmp_path / "recording"
    async with open_part(0) as first, open_part(1) as second:
        at, other = ways(first, second)
        arguments = ["record", "--json", "--type", "quote", "--out", str(folder)]
        for wrong in ([at], [other, at], [at, other, str(tmp_path)]):
            code, told = await told_by(*arguments, *(part for way in wrong for part in ("--relay", way)))
            assert code not in (0, None), told
            assert "Traceback" not in told, told
            assert "Error" in told, told
        recorder = await command(*arguments, "--relay", at, "--relay", other)
        await until(recorder, lambda: len(journals(folder)) == 2)
        recorder.send_signal(signal.SIGTERM)
        out, told = await recorder.communicate()
        assert (recorder.returncode, json.loads(out)["gaps"]) == (0, 0), told.decode()
