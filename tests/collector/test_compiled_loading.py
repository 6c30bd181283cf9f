"""The kernel is made ready by a process of its own, while the loop goes on."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from pathlib import Path

import pytest

from collector_service.lane import loading


def _children() -> set[int]:
    return {
        int(number)
        for path in Path(f"/proc/{os.getpid()}/task").glob("*/children")
        for number in path.read_text().split()
    }


async def test_sources_that_want_it_at_once_get_it_one_after_the_other() -> None:
    before = _children()
    most = 0

    async def watch() -> None:
        nonlocal most
        while True:
            most = max(most, len(_children() - before))
            await asyncio.sleep(0.002)

    watching = asyncio.create_task(watch())
    await asyncio.gather(loading.load_beside(), loading.load_beside())
    watching.cancel()
    assert most == 1
    assert not _children() - before


async def test_who_is_stopped_meanwhile_leaves_no_process_behind() -> None:
    before = _children()
    task = asyncio.create_task(loading.load_beside())
    while not _children() - before:  # noqa: ASYNC110 - nothing tells of a process
        await asyncio.sleep(0.002)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert not _children() - before


async def test_a_kernel_that_cannot_be_compiled_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "_COMPILE", "raise SystemExit('no compiler')")
    with pytest.raises(RuntimeError, match="no compiler"):
        await loading.load_beside()
