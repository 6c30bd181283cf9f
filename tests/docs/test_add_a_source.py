"""docs/add-a-source.md shows what is in the source's file, and says its length truly."""

from __future__ import annotations

import re
from pathlib import Path

from collector_service import catalogue
from collector_service.sources.bitvavo import BITVAVO

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/add-a-source.md").read_text(encoding="utf-8")


def test_every_piece_of_the_page_stands_in_the_file() -> None:
    code = (ROOT / "collector_service/sources/bitvavo.py").read_text(encoding="utf-8")
    pieces = re.findall(r"```\n(.*?)```", PAGE, re.DOTALL)
    assert len(pieces) == 4
    for piece in pieces:
        assert piece in code


def test_the_specification_is_as_short_as_the_page_says() -> None:
    lines, hooks = catalogue.sizes(BITVAVO)
    assert f"{lines} lines" in PAGE
    assert lines <= 80
    assert hooks == 0
