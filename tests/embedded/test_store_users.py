"""The stores run for root and for ordinary users, though Postgres itself refuses root."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from alphapulse.embedded import PostgresStore, StoreStartError


@pytest.fixture
def no_namespaces(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A system that gives root no user namespace, as a container without the right to it."""
    if os.geteuid() != 0:
        pytest.skip("only root needs one")
    refusing = folder / "bin"
    refusing.mkdir()
    (refusing / "unshare").write_text("#!/bin/sh\nexit 1\n")
    (refusing / "unshare").chmod(0o755)
    monkeypatch.setenv("PATH", f"{refusing}{os.pathsep}{os.environ['PATH']}")


def test_an_ordinary_user(folder: Path, launcher: Callable[..., Any], as_nobody: dict[str, Any]) -> None:
    os.chown(folder, as_nobody["user"], as_nobody["group"])
    for _ in range(2):
        made = launcher(**as_nobody)
        said = made.wait_started()
        assert {psutil.Process(pid).uids().real for pid in said["pids"]} == {as_nobody["user"]}
        assert made.end() == 0


def test_no_process_of_an_ordinary_user_outlives_a_killed_launcher(
    folder: Path, launcher: Callable[..., Any], as_nobody: dict[str, Any], gone: Callable[[list[int]], bool]
) -> None:
    os.chown(folder, as_nobody["user"], as_nobody["group"])
    made = launcher(**as_nobody)
    made.wait_started()
    family = [child.pid for child in psutil.Process(made.process.pid).children(recursive=True)]
    made.kill()
    assert gone(family)


def test_root_on_data_of_an_ordinary_user(
    folder: Path, launcher: Callable[..., Any], as_nobody: dict[str, Any]
) -> None:
    os.chown(folder, as_nobody["user"], as_nobody["group"])
    for options in (as_nobody, {}, as_nobody):
        made = launcher(**options)
        said = made.wait_started()
        assert psutil.Process(said["pids"][0]).uids().real == as_nobody["user"]
        assert made.end() == 0


def test_an_ordinary_user_on_a_folder_of_root(
    folder: Path, launcher: Callable[..., Any], as_nobody: dict[str, Any]
) -> None:
    made = launcher(**as_nobody)
    with pytest.raises(AssertionError, match=r"cannot make the data folder|cannot be written by this user"):
        made.wait_started()


def test_root_where_user_namespaces_are_refused(folder: Path, no_namespaces: None) -> None:
    store = PostgresStore(folder / "postgres")
    for _ in range(2):
        try:
            store.start()
        except StoreStartError as error:
            if "cannot reach" in str(error):
                pytest.skip(str(error))
            raise
        assert store.pid is not None
        assert psutil.Process(store.pid).uids().real != 0
        store.stop()


def test_a_folder_out_of_reach_is_a_clear_error(folder: Path, no_namespaces: None) -> None:
    folder.chmod(0o700)
    with pytest.raises(StoreStartError, match=r"the user \w+ cannot reach"):
        PostgresStore(folder / "postgres").start()
