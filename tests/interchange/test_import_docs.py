"""docs/import-export.md tells the columns there are, and its mapping is one."""

from __future__ import annotations

import re
from pathlib import Path

from alphapulse.interchange import read_mapping
from alphapulse.interchange.datasets import DATASETS
from alphapulse.interchange.describe import tables
from alphapulse.interchange.layout import FILLED_ASSERTION, FILLED_INSTRUMENT, FILLED_LISTING

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "import-export.md"


def test_the_page_has_the_columns_of_the_layout() -> None:
    """Made by `python -m alphapulse.interchange.describe`."""
    between = PAGE.read_text().partition("<!-- columns -->\n")[2].partition("<!-- end of columns -->")[0]
    assert between == tables()


def test_what_the_registry_fills_is_not_exported() -> None:
    """By the comments of the API, so that a field added there is not forgotten here."""
    proto = (ROOT / "proto/alphapulse/api/instrument/v1/instrument.proto").read_text()
    kept = {"instrument_id", "listing_id"}
    for message, known in (
        ("Instrument", FILLED_INSTRUMENT),
        ("Listing", FILLED_LISTING),
        ("IdentifierAssertion", FILLED_ASSERTION),
    ):
        body = re.search(rf"^message {message} {{\n(.*?)^}}", proto, re.DOTALL | re.MULTILINE)
        assert body is not None
        found = re.findall(r"Filled by\s+(?://\s+)?the registry\.\n\s*(?:repeated )?[\w.]+ (\w+) =", body[1])
        assert set(found) - kept <= set(known), message
        assert len(found) >= 3


def test_the_mapping_of_the_page_is_one(tmp_path: Path) -> None:
    (document,) = re.findall(r"^```yaml\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    path = tmp_path / "page.yaml"
    path.write_text(document)
    mapping = read_mapping(path)
    assert {"isin", "tick_size", "listing_symbol", "currency"} <= set(mapping.rules)
    assert mapping.group_by == ("ISIN",)


def test_the_page_names_every_data_set() -> None:
    text = PAGE.read_text()
    assert all(f"| `{name}` |" in text for name in DATASETS)
