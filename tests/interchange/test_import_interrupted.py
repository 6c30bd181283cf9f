"""An import that is interrupted goes on without doubles and losses: Ctrl-C, SIGKILL of the importer, SIGKILL of the registry."""

from __future__ import annotations

import asyncio
import csv
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from alphapulse.api.instrument.v1 import instrument_service_pb2 as service
from alphapulse.client.channel import open_channel
from alphapulse.domain.errors import InvalidArgument
from alphapulse.interchange import FileSource, ImportJob, ImportOptions, Progress, Report

PROGRAM = Path(__file__).parent / "programs" / "import_with_lines.py"
COUNT = 3_000
BATCH = 50


def importer(address: str, path: Path, state: Path) -> subprocess.Popen[str]:
    """The import in a process of its own."""
    command = [sys.executable, str(PROGRAM), address, str(path), str(state), str(BATCH)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def command(address: str, folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """`alphapulse import` in a process of its own, with Ctrl-C not ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return subprocess.Popen(
            [sys.executable, "-m", "alphapulse_cli", "import", *arguments],
            env={**os.environ, "INSTRUMENT_REGISTRY_ADDRESS": address, "ALPHAPULSE_HOME": str(folder / "home")},
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    finally:
        signal.signal(signal.SIGINT, before)


def with_faults(path: Path) -> int:
    """Breaks every 97th row of a file of shares; how many."""
    lines = path.read_text().splitlines()
    broken = range(50, len(lines), 97)
    for at in broken:
        lines[at] = lines[at].replace(",EUR,", ",EURO,")
    path.write_text("\n".join(lines) + "\n")
    return len(broken)


async def require_once(registry: Any, expected: int) -> None:
    """Every instrument is there, written exactly once: a second writing would show in its history."""
    held = await registry.everything()
    assert len(held) == expected
    revisions = sorted(one.instrument.revision for one in held.values())
    assert len(set(revisions)) == expected
    newest = max(held.values(), key=lambda one: one.instrument.revision).instrument
    assert newest.revision == expected, "revisions beyond one an instrument: something was written twice"
    request = service.GetInstrumentHistoryRequest(instrument_id=newest.instrument_id)
    changes = (await registry.stub.GetInstrumentHistory(request)).changes
    assert [one.revision for one in changes] == [newest.revision]


@pytest.mark.parametrize("kills", [(1,), (7, 3, 20)])
async def test_an_importer_killed_at_any_moment_goes_on_without_doubles_or_losses(
    registry: Any, shares: Callable[..., Path], tmp_path: Path, kills: tuple[int, ...]
) -> None:
    path, state = shares(COUNT), tmp_path / "import.state"
    refused = with_faults(path)
    for lines in kills:
        process = importer(registry.address, path, state)
        assert process.stdout is not None
        for _ in range(lines):
            assert await asyncio.to_thread(process.stdout.readline)
        process.kill()
        await asyncio.to_thread(process.wait)
        process.stdout.close()
        assert state.exists()
    process = importer(registry.address, path, state)
    output, _ = await asyncio.to_thread(process.communicate)
    report = json.loads(output.splitlines()[-1])
    # What had been written before a kill is answered as it was the first time: created, not found to be there.
    assert report["counts"]["created"] == COUNT - refused
    assert report["counts"]["refused"] == refused
    assert report["counts"]["unchanged"] == 0
    rows = csv.DictReader(Path(report["rejects"]).read_text().splitlines())  # noqa: ASYNC240 - a few lines
    assert [int(row["line"]) for row in rows] == list(range(51, COUNT + 2, 97))
    assert not state.exists()
    await require_once(registry, COUNT - refused)


async def test_a_registry_killed_and_started_again_costs_nothing(
    service_process: Any, shares: Callable[..., Path], tmp_path: Path
) -> None:
    path = shares(COUNT)
    killed: list[int] = []
    turns = {600, 1_500, 2_400}

    def kill(progress: Progress) -> None:
        due = {turn for turn in turns if turn <= progress.decided}
        if due:
            turns.difference_update(due)
            killed.append(progress.decided)
            service_process.kill()
            service_process.start()

    options = ImportOptions(state=tmp_path / "state", rejects=tmp_path / "rejects.csv", batch=BATCH)
    async with open_channel(service_process.address) as channel:
        report = await ImportJob(channel, [FileSource(path)], options, kill).run()
        assert len(killed) == 3
        assert report.complete
        assert report.counts.created == COUNT
        registry = _Reader(channel)
        await require_once(registry, COUNT)


class _Reader:
    def __init__(self, channel: Any) -> None:
        from alphapulse.api.instrument.v1 import instrument_service_pb2_grpc as rpc

        self.stub = rpc.InstrumentServiceStub(channel)

    async def everything(self) -> dict[str, service.InstrumentEntry]:
        """All entries."""
        found: dict[str, service.InstrumentEntry] = {}
        token = ""
        while True:
            page = await self.stub.ListInstruments(service.ListInstrumentsRequest(page_size=1000, page_token=token))
            found.update({one.instrument.instrument_id: one for one in page.entries})
            token = page.next_page_token
            if not token:
                return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_an_interrupted_command_tells_how_to_go_on(
    registry: Any, shares: Callable[..., Path], tmp_path: Path, number: signal.Signals
) -> None:
    path = shares(6_000)
    arguments = (str(path), "--batch", "20", "--in-flight", "2")
    process = command(registry.address, tmp_path, *arguments)
    state = tmp_path / "home" / "imports"
    assert await asyncio.to_thread(_appears, state, process)
    process.send_signal(number)
    _, errors = await asyncio.to_thread(process.communicate)
    assert process.returncode == 130, errors
    assert "To go on where it stopped:\n  alphapulse import" in errors
    assert "Traceback" not in errors
    (held,) = state.glob("*.json")
    position = json.loads(held.read_text())["position"]
    assert len(await registry.everything()) == position["batch"] * 20 < 6_000
    process = command(registry.address, tmp_path, *arguments, "--json")
    output, errors = await asyncio.to_thread(process.communicate)
    assert process.returncode == 0, errors
    assert json.loads(output)["counts"]["created"] == 6_000
    await require_once(registry, 6_000)


def _appears(folder: Path, process: subprocess.Popen[str]) -> bool:
    """Waits until the import has written down its place."""
    while process.poll() is None:
        if any(folder.glob("*.json")):
            return True
    return False


async def stopped_at_once(registry: Any, path: Path, options: ImportOptions) -> Report:
    """A run that is asked to stop when its first batch is settled."""
    job = ImportJob(registry.channel, [FileSource(path)], options, lambda _: job.stop())
    return await job.run()


async def test_stopping_in_order_decides_what_is_under_way_and_the_rest_follows(
    registry: Any, shares: Callable[..., Path], tmp_path: Path
) -> None:
    path = shares(COUNT)
    options = ImportOptions(state=tmp_path / "state", rejects=tmp_path / "rejects.csv", batch=BATCH)
    stops, total = 0, 0
    while True:
        report = await stopped_at_once(registry, path, options)
        assert report.counts.created > total
        total = report.counts.created
        if report.complete:
            break
        stops += 1
        assert len(await registry.everything()) == total
    assert stops > 2
    assert asdict(report.counts)["created"] == COUNT
    await require_once(registry, COUNT)


async def test_a_file_that_changed_since_is_not_taken_for_the_same(
    registry: Any, shares: Callable[..., Path], tmp_path: Path
) -> None:
    path = shares(COUNT)
    options = ImportOptions(state=tmp_path / "state", rejects=tmp_path / "rejects.csv", batch=BATCH)
    assert not (await stopped_at_once(registry, path, options)).complete
    shares(COUNT, first=10)
    with pytest.raises(InvalidArgument, match="changed"):
        await ImportJob(registry.channel, [FileSource(path)], options).run()
    anew = ImportOptions(**{**asdict(options), "restart": True})
    assert (await ImportJob(registry.channel, [FileSource(path)], anew).run()).complete
