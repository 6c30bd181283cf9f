"""Figures of the venue files that a tool reads out of ccxt: what is written by hand holds over them, and none is taken that cannot be."""

from __future__ import annotations

import functools
import importlib
import re
import sys
import tomllib
from collections.abc import Iterator
from datetime import UTC, date, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphapulse.api.venue.v1 import venue_pb2 as wire
from alphapulse_cli.seed import trading_venues
from alphapulse_cli.seed.venue_files import read_file

ccxt = pytest.importorskip("ccxt")

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "alphapulse_cli/seed/data/venues"
HEAD = 'code = "BIGONE"\nname = "BigONE"\ntype = "CRYPTO_EXCHANGE"\nalways_open = true\n'
BY_HAND = {
    "SPOT": '\n[[fee_schedules]]\nproduct = "SPOT"\nvolume_currency = "EUR"\n'
    'tiers = [{ min_volume = "0", maker_bps = "7", taker_bps = "8" }]\n',
    "PERPETUAL": '\n[[fee_schedules]]\nproduct = "PERPETUAL"\nvolume_currency = "EUR"\n'
    'tiers = [{ min_volume = "0", maker_bps = "1", taker_bps = "2" }]\n',
    "": '\n[[fee_schedules]]\nvolume_currency = "EUR"\ntiers = [{ min_volume = "0", maker_bps = "5", taker_bps = "6" }]\n',
    "candles a request": '\n[[limits]]\nname = "candles a request"\nvalue = 3\n',
    "requests": '\n[[limits]]\nname = "requests"\nvalue = 4\n',
    "pace": '\n[[endpoints]]\nprotocol = "REST"\nurl = "https://big.one"\nrate_limit = 9\nrate_interval_ms = 1000\n',
}
"""Parts of a file as somebody might write them."""


@pytest.fixture(scope="module")
def tool() -> Iterator[Any]:
    """The tool that writes the files' last parts."""
    sys.path.insert(0, str(ROOT / "tools"))
    try:
        yield importlib.import_module("venue_figures")
    finally:
        sys.path.remove(str(ROOT / "tools"))


@functools.cache
def exchange(name: str) -> Any:
    """An exchange of ccxt."""
    return getattr(ccxt, name)()


def as_venue(folder: Path, text: str) -> wire.Venue:
    path = folder / "bigone.toml"
    path.write_text(text, encoding="utf-8")
    return read_file(path).venue


def test_doing_it_again_on_another_day_changes_no_file(tool: Any) -> None:
    said = re.search(r"ccxt/blob/v([0-9.]+)/", (FOLDER / "bigone.toml").read_text(encoding="utf-8"))
    assert said is not None
    if said[1] != ccxt.__version__:
        pytest.skip(f"the files are of ccxt {said[1]}: run tools/venue_figures.py")
    for path, text in tool.written(FOLDER, date(2031, 5, 17)):
        assert path.read_text(encoding="utf-8") == text, path.name


def test_a_schedule_is_what_the_exchange_it_names_states(tool: Any) -> None:
    """The digits, by fractions instead of the tool's decimals."""
    checked = 0
    for venue in (one.venue for one in trading_venues.shipped()):
        for schedule in venue.fee_schedules:
            found = re.match(
                r"https://github\.com/ccxt/ccxt/blob/v([0-9.]+)/python/ccxt/(\w+)\.py: .*\bfees(\S*) of ccxt",
                schedule.source,
            )
            if found is None or found[1] != ccxt.__version__:
                continue
            fees = exchange(found[2]).describe()["fees"]
            for name in found[3].strip(".").split("."):
                fees = fees[name] if name else fees
            for side in ("maker", "taker"):
                exact = [getattr(tier, f"{side}_bps") for tier in schedule.tiers]
                bps = [one.mantissa * Fraction(10) ** one.exponent for one in exact]
                stated = [fee for _, fee in (fees.get("tiers") or {}).get(side, ())][: len(bps)] or [fees[side]]
                assert bps == [Fraction(repr(fee)) * 10_000 for fee in stated], (venue.code, side)
            assert schedule.HasField("valid_from")
            checked += 1
    assert checked >= 40


@settings(max_examples=40, deadline=None)
@given(parts=st.sets(st.sampled_from(sorted(BY_HAND))))
def test_what_is_written_by_hand_stays_and_is_not_said_again(
    tool: Any, tmp_path_factory: pytest.TempPathFactory, parts: set[str]
) -> None:
    if "" in parts:
        parts -= {"SPOT", "PERPETUAL"}
    by_hand = HEAD + "".join(BY_HAND[one] for one in sorted(parts))
    reading = tool.Reading("bigone", {"SPOT": "trading", "PERPETUAL": "trading"})
    text = tool.rewritten(by_hand, exchange("bigone"), reading, date(2026, 1, 1))
    assert text.startswith(by_hand)
    assert tool.rewritten(text, exchange("bigone"), reading, date(2026, 1, 1)) == text
    added = tomllib.loads(text[len(by_hand) :])
    assert {one["product"] for one in added.get("fee_schedules", ())} == (
        set() if "" in parts else {"SPOT", "PERPETUAL"} - parts
    )
    names = {one["name"] for one in added.get("limits", ())}
    assert names >= {"own trades a request", "open orders a request"}
    assert ("candles a request" in names) == ("candles a request" not in parts)
    assert ("requests" in names) == (not parts & {"requests", "pace"})
    as_venue(tmp_path_factory.mktemp("venue"), text)


def test_other_fees_end_the_schedule_and_begin_a_new_one(tool: Any, tmp_path: Path) -> None:
    reading = tool.Reading("bigone")
    first = tool.rewritten(HEAD, exchange("bigone"), reading, date(2026, 1, 1))
    # As if a release had stated 12 basis points then.
    first = first.replace('taker_bps = "10"', 'taker_bps = "12"')
    second = tool.rewritten(first, exchange("bigone"), reading, date(2026, 6, 1))
    schedules = as_venue(tmp_path, second).fee_schedules
    spans = [(one.tiers[0].taker_bps.mantissa, one.valid_from.seconds, one.valid_to.seconds) for one in schedules]
    start, turn = (int(datetime(2026, month, 1, tzinfo=UTC).timestamp()) for month in (1, 6))
    assert spans == [(12, start, turn), (10, turn, 0)]
    assert tool.rewritten(second, exchange("bigone"), reading, date(2027, 1, 1)) == second
    # Read twice on one day, the later reading takes the place of the earlier.
    again = tool.rewritten(first, exchange("bigone"), reading, date(2026, 1, 1))
    assert [one.tiers[0].taker_bps.mantissa for one in as_venue(tmp_path, again).fee_schedules] == [10]


@pytest.mark.parametrize(
    ("fees", "words"),
    [
        ({"maker": 0.025, "taker": 0.03}, "more than 100 basis points"),
        ({"maker": 0.1, "taker": 0.1}, "more than 100 basis points"),
        ({"maker": 0.001, "taker": 0.001, "tiers": [[0, 0.002], [1, 0.001]]}, "begin with"),
        ({"maker": 0.001, "taker": 0.001, "tiers": [[0, 0.001], [1, 0.002]]}, "a tier of 1 at 0.002"),
        ({"maker": 0.001, "taker": 0.001, "tiers": [[0, 0.001], [5, 0.0009], [5, 0.0008]]}, "a tier of 5 at 0.0008"),
        ({"maker": 0.001, "taker": 0.001, "tiers": [[0, 0.001], [5, -0.02]]}, "more than 100 basis points"),
    ],
    ids=["digits moved", "percent", "another first tier", "dearer for more", "twice", "rebate of percents"],
)
def test_fees_that_cannot_be_are_refused(tool: Any, fees: dict[str, Any], words: str) -> None:
    if "tiers" in fees:
        fees["tiers"] = {"maker": fees["tiers"], "taker": fees["tiers"]}
    with pytest.raises(ValueError, match=words):
        tool.tiers_of({"trading": fees}, "trading", tool.Reading("bigone", volume="USD"))


def test_no_fees_are_taken_of_an_exchange_that_is_left_out_with_a_reason(tool: Any) -> None:
    readings = importlib.import_module("venue_readings")
    assert set(readings.LEFT_OUT) <= set(ccxt.exchanges)
    taken = {one.ccxt_id for one in readings.READINGS.values() if one.fees}
    assert not taken & set(readings.LEFT_OUT)


def test_a_broken_part_by_hand_is_told_with_its_file_and_left_as_it_is(tool: Any, tmp_path: Path) -> None:
    for path in FOLDER.iterdir():
        (tmp_path / path.name).symlink_to(path)
    broken = tmp_path / "alpaca.toml"
    broken.unlink()
    broken.write_text("code = ", encoding="utf-8")
    with pytest.raises(ValueError, match=r"alpaca\.toml: Invalid value"):
        next(tool.written(tmp_path, date(2026, 1, 1)))
    assert broken.read_text(encoding="utf-8") == "code = "
