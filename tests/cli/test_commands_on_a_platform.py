"""Every command against a running platform, as people and as scripts use it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from alphapulse.domain.identifiers import Isin

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]
PATIENCE: Final = 60.0


def _entry(number: int, **fields: Any) -> dict[str, Any]:
    isin = Isin.from_nsin("DE", f"CLI{number:06d}").value
    return {
        "instrument": {
            "asset_class": "ASSET_CLASS_EQUITY",
            "name": f"Command {number}",
            "equity": {"currency": "EUR"},
            "identifiers": [{"scheme": "IDENTIFIER_SCHEME_ISIN", "value": isin}],
            **fields,
        },
        "listings": [{"venue": "XETR", "symbol": f"CLI{number}", "currency": "EUR"}],
    }


def _until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"not within {PATIENCE} s: {what}"
        time.sleep(0.1)


class Lines:
    """The lines of a pipe, gathered as they come."""

    def __init__(self, pipe: Any) -> None:
        self.seen: list[str] = []
        self._thread = threading.Thread(target=self._read, args=(pipe,), daemon=True)
        self._thread.start()

    def _read(self, pipe: Any) -> None:
        for line in pipe:
            self.seen.append(line)

    def finish(self) -> list[str]:
        """All of them, once the pipe is closed."""
        self._thread.join(PATIENCE)
        return self.seen


# --- look-ups
def test_lookup_shows_the_one_holder(platform: Any) -> None:
    done = platform.run("lookup", "isin", "US0378331005")
    assert done.returncode == 0, done.stderr
    assert "Apple Inc." in done.stdout
    assert "XNAS" in done.stdout
    found = platform.json("lookup", "isin", "US0378331005")
    assert found["outcome"] == "LOOKUP_OUTCOME_RESOLVED"
    assert found["entries"][0]["instrument"]["name"] == "Apple Inc."
    by_id = platform.json("lookup", "id", found["entries"][0]["instrument"]["instrument_id"])
    assert by_id["entries"][0]["instrument"] == found["entries"][0]["instrument"]


def test_lookup_of_ids_shows_nothing_else(platform: Any) -> None:
    (entry,) = platform.json("lookup", "isin", "US0378331005")["entries"]
    done = platform.run("lookup", "isin", "US0378331005", "--ids")
    assert done.returncode == 0, done.stderr
    shown = [f"  {one['listing_id']}  {one['venue']}:{one['symbol']}" for one in entry["listings"]]
    assert done.stdout.splitlines() == ["RESOLVED", entry["instrument"]["instrument_id"], *shown]
    (brief,) = platform.json("lookup", "isin", "US0378331005", "--ids")["entries"]
    assert set(brief["instrument"]) == {"instrument_id", "asset_class", "status"}
    assert platform.run("lookup", "isin", "US0000000010", "--ids").returncode == 1


@pytest.mark.parametrize(
    ("scheme", "value", "code", "told"),
    [
        ("isin", "US0378331006", 2, "isin-check-digit"),
        ("isin", "US0000000010", 1, "NOT_FOUND"),
        ("cusip", "037833100", 0, "Apple Inc."),
        ("cusip", "037833109", 2, "check digit"),
        ("mic", "XNYS", 0, "America/New_York"),
        ("mic", "ZZZZ", 1, "NOT_FOUND"),
        ("id", "zz", 2, "32 hexadecimal digits"),
        ("id", "f" * 32, 1, "NOT_FOUND"),
    ],
)
def test_lookup_says_what_is_wrong(platform: Any, scheme: str, value: str, code: int, told: str) -> None:
    done = platform.run("lookup", scheme, value)
    assert done.returncode == code, done.stdout + done.stderr
    assert told in done.stdout + done.stderr


def test_a_refused_lookup_is_json_too(platform: Any) -> None:
    done = platform.run("lookup", "isin", "US0378331006", "--json")
    assert done.returncode == 2
    found = json.loads(done.stdout)
    assert found["outcome"] == "LOOKUP_OUTCOME_INVALID"
    assert found["violation"]["rule"] == "isin-check-digit"


# --- registration
def test_register_creates_once(platform: Any) -> None:
    text = json.dumps(_entry(1))
    assert platform.json("register", "--dry-run", text=text)[0]["outcome"] == "REGISTRATION_OUTCOME_CREATED"
    first = platform.json("register", text=text)
    assert [one["outcome"] for one in first] == ["REGISTRATION_OUTCOME_CREATED"]
    again = platform.json("register", text=text)
    assert [one["outcome"] for one in again] == ["REGISTRATION_OUTCOME_UNCHANGED"]
    identity = first[0]["entry"]["instrument"]["instrument_id"]
    assert again[0]["entry"]["instrument"]["instrument_id"] == identity
    shown = platform.run("register", text=text)
    assert identity in shown.stdout  # whole, though a pipe is no wide terminal


def test_one_bad_entry_does_not_hold_up_the_others(platform: Any) -> None:
    bad = _entry(3)
    bad["instrument"]["identifiers"][0]["value"] = "DE0000000000"
    done = platform.run("register", "--json", text=json.dumps([_entry(2), bad, _entry(4)]))
    assert done.returncode == 2
    assert "entries[1] Command 3" in done.stderr
    assert "isin-check-digit" in done.stderr
    assert [one["entry"]["instrument"]["name"] for one in json.loads(done.stdout)] == ["Command 2", "Command 4"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "not JSON"),
        ("\ufeff\x00", "not JSON"),
        ("[5]", "entries[0]: not an object"),
        ('{"instrument": {"asset_class": "ASSET_CLASS_BEANS"}}', "ASSET_CLASS_BEANS"),
        ('{"instrument": {"colour": "red"}}', "colour"),
        (json.dumps(_entry(5, equity={}, bond={"currency": "EUR"})), "instrument."),
        (json.dumps(_entry(6, name="A" * 10_000_000)), "10000"),
        (json.dumps(_entry(7, equity={"currency": "EURO"})), "currency"),
        (json.dumps({**_entry(8), "listings": [{"venue": "NOSUCHVENUE!", "symbol": "X", "currency": "EUR"}]}), "venue"),
    ],
)
def test_what_cannot_be_registered_is_told(platform: Any, text: str, told: str) -> None:
    done = platform.run("register", text=text)
    assert done.returncode == 2, done.stdout + done.stderr[:2000]
    assert told in done.stderr
    assert len(done.stderr) < 4_000


def test_watch_sees_a_registration_made_meanwhile(platform: Any) -> None:
    with platform.start("watch", "instruments", "--count", "1") as process:
        lines = Lines(process.stdout)
        number = 100
        while process.poll() is None:  # the watch begins at some moment: one of them comes after it
            assert number < 140
            platform.json("register", text=json.dumps(_entry(number)))
            number += 1
        assert process.returncode == 0
        (line,) = lines.finish()
    assert "CREATED" in line
    assert "by alphapulse register" in line


# --- market events
def test_subscribe_prints_what_was_asked_for(platform: Any) -> None:
    done = platform.run("subscribe", "--type", "trade", "--type", "quote", "--venue", "KRAKEN", "--count", "20")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 20
    assert {line.split()[1] for line in lines} <= {"TRADE", "QUOTE"}
    assert {line.split()[2] for line in lines} == {"KRAKEN"}


@pytest.mark.parametrize("way", [(), ("--grpc",)])
def test_subscribe_prints_json_lines(platform: Any, way: tuple[str, ...]) -> None:
    done = platform.run(
        "subscribe", "--json", "--class", "spot_pair", "--type", "quote", "--symbol", "BTCUSDT", "--count", "5", *way
    )
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["number"] for event in events] == list(range(1, 6))
    for event in events:
        assert (event["type"], event["venue"], event["symbol"]) == ("QUOTE", "BINANCE", "BTCUSDT")
        assert event["provenance"] == "SIMULATED"
        assert float(event["bid"]) < float(event["ask"])
        assert event["collector_time_ns"] > 0


def test_subscribe_tells_gaps_and_ends_quietly(platform: Any) -> None:
    status = platform.json("status")
    relay = next(one for one in status["services"] if one["name"] == "relay")
    with platform.start("subscribe", "--json", "--type", "trade") as process:
        events, errors = Lines(process.stdout), Lines(process.stderr)
        _until(lambda: events.seen, "an event")
        os.kill(relay["pid"], signal.SIGKILL)
        _until(lambda: errors.seen, "a gap")
        before = len(events.seen)
        _until(lambda: len(events.seen) > before, "events go on")
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0
        gaps = [json.loads(line) for line in errors.finish()]
    assert {gap["type"] for gap in gaps} == {"GAP"}
    assert "RELAY_RESTARTED" in {gap["reason"] for gap in gaps}, "it was killed: what it relayed last is not in the log"
    assert "RECONNECTED" not in {gap["reason"] for gap in gaps}, "the stream went on where it stopped"
    _until(lambda: platform.run("status").returncode == 0, "all of it serves again")
    again = next(one for one in platform.json("status")["services"] if one["name"] == "relay")
    assert again["restarts"] == relay["restarts"] + 1


def test_a_reader_that_goes_away_is_no_error(platform: Any) -> None:
    with platform.start("subscribe") as process:
        assert process.stdout.readline()
        process.stdout.close()
        assert process.wait(PATIENCE) == 0
        assert process.stderr.read() == ""


# --- sources
def test_sources_are_listed_stopped_and_started(platform: Any) -> None:
    def states() -> dict[str, str]:
        return {one["name"]: one["state"] for one in platform.json("sources")}

    _until(lambda: set(states().values()) == {"SOURCE_STATE_RUNNING"}, "all sources run")
    assert set(states()) == {"BINANCE", "COINBASE", "KRAKEN"}
    stopped = platform.json("sources", "stop", "kraken")
    assert [(one["name"], one["state"]) for one in stopped] == [("KRAKEN", "SOURCE_STATE_STOPPED")]
    assert states()["KRAKEN"] == "SOURCE_STATE_STOPPED"
    assert states()["BINANCE"] == "SOURCE_STATE_RUNNING"
    platform.json("sources", "start", "KRAKEN")
    _until(lambda: states()["KRAKEN"] == "SOURCE_STATE_RUNNING", "it runs again")
    shown = platform.run("sources")
    assert "simulated" in shown.stdout
    unknown = platform.run("sources", "stop", "NYSE")
    assert unknown.returncode == 1
    assert "BINANCE, " in unknown.stderr


# --- the platform itself
def test_seeding_again_changes_nothing(platform: Any) -> None:
    report = platform.json("seed")
    assert report["created"] == 0
    assert report["unchanged"] > 4_000
    assert report["venues"] >= 2_700
    assert report["instruments_with_isin"] >= 1_300


def test_status_and_doctor_find_everything_in_order(platform: Any) -> None:
    status = platform.json("status")
    assert status["healthy"]
    assert status["ready"]
    names = [one["name"] for one in status["services"]]
    assert names == ["instrument", "venue", "synthetic", "relay", "collector"]
    assert {one["name"] for one in status["stores"]} == {"postgres", "valkey"}
    assert all(one["serving"] for one in status["services"])
    checks = platform.json("doctor")
    assert checks["ok"]
    assert {"Python", "postgres", "valkey", "relay", "clock", "disk"} <= {one["what"] for one in checks["checks"]}


def test_a_second_platform_over_the_folder_is_refused(platform: Any) -> None:
    for arguments in (("up", "--free-ports"), ("up", "--detach", "--free-ports")):
        done = platform.run(*arguments)
        assert done.returncode == 4
        assert "runs already" in done.stderr
    assert platform.json("status")["healthy"]


# --- nothing runs
@pytest.mark.parametrize(
    "arguments",
    [
        ("lookup", "isin", "US0378331005"),
        ("lookup", "mic", "XNYS"),
        ("register",),
        ("seed",),
        ("sources",),
        ("sources", "stop", "KRAKEN"),
        ("watch", "venues"),
        ("subscribe", "--count", "1"),
    ],
)
def test_a_service_that_does_not_answer_is_named_with_a_hint(nowhere: Any, arguments: tuple[str, ...]) -> None:
    done = nowhere.run(*arguments, text=json.dumps(_entry(9)))
    assert done.returncode == 6, done.stderr
    assert "127.0.0.1:1" in done.stderr
    assert "alphapulse doctor" in done.stderr


def test_where_nothing_runs_status_and_down_say_so(nowhere: Any) -> None:
    status = nowhere.run("status")
    assert status.returncode == 1
    assert "alphapulse up" in status.stdout
    down = nowhere.run("down")
    assert down.returncode == 0
    assert "nothing runs" in down.stdout


def test_the_doctor_says_how_to_mend_what_is_wrong(nowhere: Any) -> None:
    environment = {"DATABASE_URL": "postgresql://nobody:secret@127.0.0.1:1/none"}
    done = nowhere.run("doctor", environment=environment)
    assert done.returncode == 4
    bad = next(line for line in done.stdout.splitlines() if "postgres" in line)
    assert bad.startswith("BAD")
    assert "DATABASE_URL" in bad
    assert "secret" not in done.stdout


def test_a_start_that_is_interrupted_says_so_and_leaves_nothing(nowhere: Any, tmp_path: Path) -> None:
    with nowhere.start("up", "--free-ports", "--data-dir", str(tmp_path / "data")) as process:
        lines = Lines(process.stderr)
        _until(lambda: lines.seen, "it starts")
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 130
        assert "stopped before it was ready" in "".join(lines.finish())
    assert not (tmp_path / "data" / "platform.json").exists()


def test_a_detached_start_that_is_interrupted_is_not_left_behind(nowhere: Any, tmp_path: Path) -> None:
    data = tmp_path / "data"
    process: subprocess.Popen[str]
    with nowhere.start("up", "--detach", "--free-ports", "--data-dir", str(data)) as process:
        lines = Lines(process.stderr)
        _until(lambda: lines.seen, "it starts")
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) != 0
    assert not (data / "platform.json").exists()
    assert "nothing runs" in nowhere.run("down", "--data-dir", str(data)).stdout
