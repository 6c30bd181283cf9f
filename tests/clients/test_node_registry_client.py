"""A client in another language, made from proto/ with public packages, against a real registry process."""

from __future__ import annotations

import json
import subprocess
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from alphapulse.domain.identifiers import Isin

ROOT = Path(__file__).resolve().parents[2]
ISIN = Isin.from_nsin("DE", "000A1EWWW"[-9:]).value
WRONG = ISIN[:-1] + str((int(ISIN[-1]) + 1) % 10)


@pytest.fixture
def results(instrument_registry: str, node_clients: Path) -> dict[str, Any]:
    google = str(resources.files("google.rpc").joinpath("../.."))
    done = subprocess.run(
        ["node", "registry.js", instrument_registry, str(ROOT / "proto"), google, ISIN, WRONG],
        cwd=node_clients,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answers: dict[str, Any] = json.loads(done.stdout)
    return answers


def test_a_node_client_registers_looks_up_and_reads_errors(results: dict[str, Any]) -> None:
    registered, found = results["registered"], results["found"]["result"]
    assert registered["outcome"] == "REGISTRATION_OUTCOME_CREATED"
    assert results["again"]["outcome"] == "REGISTRATION_OUTCOME_UNCHANGED"
    assert found["outcome"] == "LOOKUP_OUTCOME_RESOLVED"
    (entry,) = found["entries"]
    assert entry["instrument"]["instrument_id"] == registered["entry"]["instrument"]["instrument_id"]
    assert entry["instrument"]["name"] == "Node Example AG"
    assert [one["symbol"] for one in entry["listings"]] == ["NODE"]
    assert results["unknown"]["result"]["outcome"] == "LOOKUP_OUTCOME_NOT_FOUND"

    # A look-up answers what cannot be an ISIN with the broken rule; a write of it is refused as a whole.
    wrong = results["wrong"]["result"]
    assert wrong["outcome"] == "LOOKUP_OUTCOME_INVALID"
    assert wrong["violation"]["rule"] == "isin-check-digit"
    assert wrong["violation"]["value"] == WRONG

    refused = results["refused"]["error"]
    assert refused["code"] == "INVALID_ARGUMENT"
    details = refused["status"]["details"]
    assert details["ErrorInfo"]["reason"] == "INVALID_ARGUMENT"
    (violation,) = details["BadRequest"]["field_violations"]
    assert violation["field"] == "instrument.identifiers[0].value"
    assert "check digit" in violation["description"]
