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


@pytest.mark.timeout(300)
def test_a_second_process_compiles_nothing() -> None:
    # Kept between runs: only the first one after a change of the kernel has to compile.
    cache = ROOT / ".build/numba"
    cache.mkdir(parents=True, exist_ok=True)

    def kept() -> dict[Path, int]:
        environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache), "NUMBA_CPU_NAME": "generic"}
        subprocess.run([sys.executable, "-c", WARM_UP], cwd=ROOT, env=environment, check=True)
        return {path: path.stat().st_mtime_ns for path in cache.rglob("*") if path.is_file()}

    first = kept()
    assert any(path.suffix == ".nbc" for path in first)
    assert kept() == first


def test_the_image_fills_it_at_build_from_the_installed_packages() -> None:
    # Without -P the packages of the build's working folder would be compiled, under names that no container looks for.
    assert re.search(r"python -P -c\W+" + re.escape(WARM_UP), (ROOT / "Dockerfile").read_text())
