"""Faults that the tests have to find, and the test that finds each: it is run with the fault planted, and has to fail."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

HERE: Final = Path(__file__).parent
PROJECT: Final = HERE.parents[1]
FOUND_BY: Final = {
    "a-sequence-instead-of-the-counter": (
        "tests/storage/test_store_writes.py::test_a_refused_operation_leaves_nothing_and_gives_its_revisions_back"
    ),
    "a-negative-entry-that-outlives-its-registration": (
        "tests/instrument/test_lookup_cache.py::test_a_negative_answer_does_not_outlive_its_registration_on_any_replica"
    ),
    "a-lost-request-id": "tests/storage/test_store_writes.py::test_the_same_request_id_gives_the_same_answer",
    "an-off-by-one-in-a-validity-bound": (
        "tests/instrument/test_bitemporal_model.py::test_the_registry_equals_a_naive_bitemporal_model"
    ),
    "a-breaker-that-never-closes": (
        "tests/relay_core/test_breakers.py::test_it_closes_again_when_what_comes_is_sound_and_marks_where_rows_are_missing"
    ),
}
PLANTED_WHERE_THEY_ARE_FOUND: Final = {
    "a-cache-set-without-a-revision-check": (
        "tests/instrument/test_lookup_cache.py",
        (
            "test_a_cache_set_without_a_revision_check_is_caught",
            "test_a_set_of_redis_without_a_revision_check_is_caught",
        ),
    ),
    "a-snapshot-that-misses-a-concurrent-commit": (
        "tests/watch/test_watch_interleavings.py",
        ("test_a_planted_fault_is_found",),
    ),
    "a-resume-off-by-one": ("tests/relay/test_relay_resumes.py", ("test_a_planted_fault_of_the_resume_is_found",)),
    "a-lost-notice-of-a-hole": ("tests/relay/test_relay_resumes.py", ("test_a_lost_notice_of_a_hole_is_found",)),
    "what-the-fault-harness-finds": ("tests/faults/test_planted.py", ("test_a_planted_fault_of_the_relay_is_found",)),
}
_FAILED: Final = 1


@pytest.mark.timeout(120)
@pytest.mark.parametrize("fault", FOUND_BY)
def test_a_planted_fault_is_found(fault: str) -> None:
    test = FOUND_BY[fault]
    command = [sys.executable, "-m", "pytest", test, "-q", "-x", "-n0", "-p", "planted", "--tb=no", "--no-header"]
    environ = {**os.environ, "PLANTED_FAULT": fault, "PYTHONPATH": str(HERE)}
    done = subprocess.run(command, cwd=PROJECT, env=environ, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == _FAILED, f"{test} does not see it\n{done.stdout}\n{done.stderr}"
    assert "1 failed" in done.stdout


@pytest.mark.parametrize("fault", PLANTED_WHERE_THEY_ARE_FOUND)
def test_the_other_faults_have_a_test_that_plants_them(fault: str) -> None:
    file, names = PLANTED_WHERE_THEY_ARE_FOUND[fault]
    text = (PROJECT / file).read_text()
    assert all(f"def {name}(" in text for name in names)
