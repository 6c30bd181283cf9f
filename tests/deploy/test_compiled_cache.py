"""What the relay compiles is found again by the next process: the image's start depends on it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WARM_UP = (
    "from relay_service.core import RelayCore; from relay_service.egress.warm_up import warm_up; "
    "from collector_service.lane.kernel import load; RelayCore().warm_up(); warm_up(); load()"
)


@pytest.mark.timeout(600)
def test_a_second_process_compiles_nothing() -> None:
    # In the cache of the whole suite, which others fill at the same time: to compile all of it once more takes minutes.
    def events() -> tuple[int, int]:
        environment = {**os.environ, "NUMBA_DEBUG_CACHE": "1"}
        ran = subprocess.run(
            [sys.executable, "-c", WARM_UP], cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE
        )
        return ran.stdout.count(b"[cache] data loaded from"), ran.stdout.count(b"[cache] data saved to")

    loaded, saved = events()
    assert loaded + saved > 10, "the entry points of the relay and the one of the collector"
    assert events() == (loaded + saved, 0)


def test_the_image_fills_it_at_build_from_the_installed_packages() -> None:
    # Without -P the packages of the build's working folder would be compiled, under names that no container looks for.
    assert re.search(r"python -P -c\W+" + re.escape(WARM_UP), (ROOT / "Dockerfile").read_text())
