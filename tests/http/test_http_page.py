"""The curl lines of docs/http.md work as they stand."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from pathlib import Path
from typing import Any, Final

import pytest

PAGE: Final = (Path(__file__).resolve().parents[2] / "docs" / "http.md").read_text(encoding="utf-8")
PORTS: Final = {"8051": "instrument", "8052": "venue", "8053": "synthetic"}
pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")


async def test_the_examples_of_the_page_are_answered(registries: Any) -> None:
    lines = re.findall(r"^    (curl .+)$", PAGE, re.MULTILINE)
    assert len(lines) >= 4
    for line in lines:
        command = line
        for port, service in PORTS.items():
            command = command.replace(f"127.0.0.1:{port}", registries.bases[service].removeprefix("http://"))
        stream = "-sN" in command
        if stream:
            command = command.replace("-sN", "-sN --max-time 1")
        process = await asyncio.create_subprocess_shell(command, stdout=asyncio.subprocess.PIPE)
        printed, _ = await process.communicate()
        assert process.returncode == (28 if stream else 0), line
        answers = [json.loads(one) for one in printed.splitlines()]
        assert answers, line
        # The registries are empty: that nobody is found is an answer, an argument that is not understood is none.
        assert all(one.get("code") in (None, "not_found") for one in answers), (line, answers)


async def test_the_page_names_what_is_served(registries: Any) -> None:
    listed = (await registries.get("instrument", "/")).json
    paths = {one["path"] for one in listed["rpcs"]} | {one["short_path"] for one in listed["rpcs"]}
    for path in re.findall(r"`(?:GET|POST) (/[\w./]*)", PAGE):
        known = {"/", *listed["pages"]}
        served = path in paths | known or any(one.endswith("/") and path.startswith(one) for one in known - {"/"})
        assert served, path
