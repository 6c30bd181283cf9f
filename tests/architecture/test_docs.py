"""The documents hold: every test that a guarantee names exists, every RPC that answers UNIMPLEMENTED is listed, every link leads somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from registry_service.instrument.servicer import UNSERVED as INSTRUMENT
from registry_service.synthetic.servicer import UNSERVED as SYNTHETIC
from registry_service.venue.servicer import UNSERVED as VENUE
from relay_service.servicer import UNSERVED as RELAY

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])


def defined_tests() -> set[str]:
    return {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"def (test_\w+)\(", path.read_text())
    }


def test_every_guarantee_names_tests_that_exist() -> None:
    text = (ROOT / "docs/guarantees.md").read_text()
    sections = re.split(r"^## ", text, flags=re.M)[1:]
    assert [section.split()[0] for section in sections] == [f"G{n}" for n in range(1, 11)]
    named = [set(re.findall(r"`(test_\w+)`", section)) for section in sections]
    assert all(named), "a guarantee without a test"
    assert set().union(*named) <= defined_tests(), set().union(*named) - defined_tests()


def test_every_rpc_that_is_not_served_is_listed() -> None:
    text = (ROOT / "docs/not-yet.md").read_text()
    listed = set(re.findall(r"`(\w+)Service\.(\w+)`", text))
    unserved = {"Instrument": INSTRUMENT, "Venue": VENUE, "Synthetic": SYNTHETIC, "Relay": RELAY}
    assert listed == {(service, rpc) for service, rpcs in unserved.items() for rpc in rpcs}


def test_every_benchmark_has_its_row() -> None:
    listed = re.findall(r"^\| `(\w+)` \|", (ROOT / "docs/benchmarks.md").read_text(), flags=re.M)
    assert sorted(listed) == sorted(
        path.stem.removeprefix("bench_") for path in (ROOT / "benchmarks").glob("bench_*.py")
    )


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", document.read_text())
    missing = [t for t in targets if "://" not in t and not (document.parent / t).exists()]
    assert not missing
