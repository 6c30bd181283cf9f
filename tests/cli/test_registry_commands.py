"""What the commands of the registry make of their arguments, and how they end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import click
import pytest
from click.testing import CliRunner

from alphapulse.api.common.v1 import common_pb2
from alphapulse.api.instrument.v1 import instrument_pb2 as wire
from alphapulse.api.instrument.v1 import instrument_service_pb2 as pb
from alphapulse.client import Reset
from alphapulse.domain.errors import InvalidArgument, SnapshotRequired
from alphapulse.domain.violations import FieldViolation
from alphapulse_cli import registry_calls
from alphapulse_cli.commands import demo, register, update, watch
from alphapulse_cli.exits import ServiceError
from alphapulse_cli.main import cli
from alphapulse_cli.registry_calls import stamp


@pytest.fixture(autouse=True)
def nobody_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """No registry answers: what is refused here is refused before it is asked."""
    for name in ("INSTRUMENT", "VENUE", "SYNTHETIC"):
        monkeypatch.setenv(f"{name}_REGISTRY_ADDRESS", "127.0.0.1:1")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("register --isin DE000EXA0015", "needs --name"),
        ("register --name A --listing XETR", "VENUE:SYMBOL:CURRENCY"),
        ("register --name A --listing XETR:A", "VENUE:SYMBOL:CURRENCY"),
        ("register --name A --listing :A:EUR", "VENUE:SYMBOL:CURRENCY"),
        ("register --name A --identifier ISIN", "SCHEME=VALUE"),
        ("register --name A --identifier BARCODE=1", "no naming system"),
        ("register --name A --class index --country DE", "--country says nothing of a index"),
        ("lookup id abc --venue XETR", "says nothing of a look-up by id"),
        ("lookup mic XETR --primary-only", "says nothing of a look-up by mic"),
        ("lookup id abc --ids", "says nothing of a look-up by id"),
        ("event symbol XETR:A B --request-id r-1", "--request-id needs --at"),
        ("event symbol XETR:A B --at yesterday", "is not of the form 2024-12-31"),
        ("search Apple --as-of 2024-12-31T25:00:00Z", "is no time"),
        ("history AAPL", "an id of 32 hexadecimal digits, isin:US0378331005, or XNAS:AAPL"),
        ("event delist AAPL", "an id of 32 hexadecimal digits, or XNAS:AAPL"),
        ("export /nowhere/at/all.csv", "there is no folder /nowhere/at [file-missing]"),
        ("event identifier isin:A --replace ISIN:A", "SCHEME:OLD:NEW"),
        ("event identifier isin:A --replace EAN:A:B", "no naming system"),
        ("event merge isin:A", "--into"),
        ("cases resolve c-1 guess --reason r", "is not one of"),
        ("cases resolve c-1 merge", "--reason"),
        ("cases resolve c-1 split --reason r --identifier CUSIP", "SCHEME=VALUE"),
        ("cases list --state lost", "is not one of"),
        ("update listing XETR:A", "--set"),
        ("update listing XETR:A --set status", "FIELD=VALUE"),
        ("update listing XETR:A --set colour=red", "there is no field 'colour'"),
        ("update listing XETR:A --set primary=perhaps", "is not JSON"),
        ("update listing XETR:A --set status=SLEEPING", "SLEEPING"),
        ("update instrument isin:A --set equity={", "is not JSON"),
        ("search Apple --class shoes", "is not one of"),
        ("search Apple --limit 1000", "is not in the range"),
        ("history", "INSTRUMENT"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(arguments: str, told: str) -> None:
    done = CliRunner().invoke(cli, arguments.split())
    assert done.exit_code == 2, done.output
    assert told in done.output


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "not JSON"),
        ('{"instrument": {"nam": "A"}}', "instrument.nam='A': Instrument has no such field; did you mean name?"),
        ('[{}, {"instrument": {"name": "A", "name": "B"}}]', "the name stands twice in one object"),
        ('[{}, {"instrument": {"name": 1, "status": "ASLEEP"}}]', "entries[1]: instrument.name='1': must be a text"),
        ('[{}, {"instrument": {"name": 1, "status": "ASLEEP"}}]', "instrument.status='ASLEEP': must be one of"),
    ],
)
def test_an_entry_that_does_not_fit_is_told_by_field(text: str, told: str) -> None:
    done = CliRunner().invoke(cli, ["register"], input=text)
    assert done.exit_code == 2, done.output
    assert told in done.output


@pytest.mark.parametrize(
    "arguments", ["cases list", "history isin:DE000EXA0015", "search Apple", "event delist XETR:A"]
)
def test_a_registry_that_does_not_answer_is_named(arguments: str) -> None:
    done = CliRunner().invoke(cli, arguments.split())
    assert done.exit_code == 6, done.output
    assert "127.0.0.1:1" in done.output


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("2024-12-31", "2024-12-31T00:00:00Z"),
        ("2024-12-31 23:59:58", "2024-12-31T23:59:58Z"),
        ("2024-12-31T23:59:58", "2024-12-31T23:59:58Z"),
        ("2024-12-31T23:59:58Z", "2024-12-31T23:59:58Z"),
        ("2024-12-31t23:59:58.25z", "2024-12-31T23:59:58.250Z"),
        ("2024-12-31T23:59:58.123456+01:00", "2024-12-31T22:59:58.123456Z"),
    ],
)
@pytest.mark.parametrize(
    "arguments",
    [
        "search Apple --as-of",
        "lookup isin US0378331005 --as-of",
        "lookup isin US0378331005 --known-at",
        "export all.csv --as-of",
        "event delist XETR:A --at",
        "event halt XETR:A --until",
        "cases resolve c-1 split --reason r --at",
        "register --name A --since",
    ],
)
def test_times_are_taken_as_they_are_printed(arguments: str, text: str, meant: str) -> None:
    command: Any = cli
    names = arguments.split()
    while isinstance(command, click.Group):
        found = command.get_command(click.Context(command), names.pop(0))
        assert found is not None
        command = found
    (option,) = (one for one in command.params if names[-1] in one.opts)
    taken = stamp(option.type_cast_value(click.Context(command), text))
    assert taken is not None
    assert taken.ToJsonString() == meant


def test_a_broken_rule_is_told_once() -> None:
    one = FieldViolation("a", "x", "a-rule", "it is no a")
    other = FieldViolation("b", "y", "b-rule", "it is no b")
    told = ServiceError(InvalidArgument.of([one]), "here").format_message()
    assert told == "a='x': it is no a [a-rule] [INVALID_ARGUMENT]"
    told = ServiceError(InvalidArgument.of([one, other]), "here").format_message()
    assert told.splitlines() == ["2 rules are broken [INVALID_ARGUMENT]", f"  {one}", f"  {other}"]
    told = ServiceError(InvalidArgument("not so", violations=[one]), "here").format_message()
    assert told.splitlines() == ["not so [INVALID_ARGUMENT]", f"  {one}"]


def test_a_name_that_cannot_be_is_an_invalid_argument() -> None:
    result = pb.LookupResult(outcome=common_pb2.LOOKUP_OUTCOME_INVALID)
    result.violation.rule, result.violation.description = "isin-check-digit", "the check digit is 6"
    with pytest.raises(InvalidArgument) as raised:
        registry_calls._only([], "isin:US0378331006", result)
    assert [(v.value, v.rule) for v in raised.value.violations] == [("isin:US0378331006", "isin-check-digit")]
    assert ServiceError(raised.value, "here").exit_code == 2


def test_register_alone_on_a_terminal_does_not_wait() -> None:
    ours, theirs = os.openpty()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "alphapulse_cli", "register"],
            stdin=theirs,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        os.close(ours)
        os.close(theirs)
    assert done.returncode == 2, done.stderr
    assert "a FILE, or entries on standard input" in done.stderr


def test_an_entry_from_options(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(register, "run", lambda call, where: asked.append(call) or [])
    arguments = ["--name", "Example", "--currency", "EUR", "--country", "DE", "--isin", "DE000EXMPL17"]
    arguments += [
        "--identifier",
        "TICKER=EX@XETR",
        "--listing",
        "BINANCE:a:b:EUR",
        "--listing",
        "XETR:EX:EUR",
        "--since",
        "2024-01-31",
    ]
    seen: list[pb.InstrumentEntry | None] = []
    inner = register.command.callback
    assert inner is not None
    original = inner.__wrapped__  # type: ignore[attr-defined]

    def spying(**kwargs: Any) -> None:
        seen.append(kwargs["flagged"])
        original(**kwargs)

    from alphapulse_cli.entry_flags import entry_options

    monkeypatch.setattr(register.command, "callback", entry_options(spying))
    done = CliRunner().invoke(cli, ["register", *arguments])
    assert done.exit_code == 0, done.output
    (entry,) = seen
    assert entry is not None
    assert entry.instrument.asset_class == common_pb2.ASSET_CLASS_EQUITY
    assert (entry.instrument.equity.currency, entry.instrument.equity.country) == ("EUR", "DE")
    assert [(one.scheme, one.value, one.venue) for one in entry.instrument.identifiers] == [
        (common_pb2.IDENTIFIER_SCHEME_ISIN, "DE000EXMPL17", ""),
        (common_pb2.IDENTIFIER_SCHEME_TICKER, "EX", "XETR"),
    ]
    assert [(one.venue, one.symbol, one.currency, one.primary) for one in entry.listings] == [
        ("BINANCE", "a:b", "EUR", True),
        ("XETR", "EX", "EUR", False),
    ]
    assert entry.listings[0].valid_from.ToJsonString() == "2024-01-31T00:00:00Z"


def test_fields_are_set_by_their_kind() -> None:
    listing = wire.Listing()
    names = update._fill(
        listing, ("status=delisted", "primary=true", 'rules={"tick_size": {"mantissa": "5"}}', "valid_to=")
    )
    assert names == ["status", "primary", "rules", "valid_to"]
    assert (listing.status, listing.primary, listing.rules.tick_size.mantissa) == (
        wire.LISTING_STATUS_DELISTED,
        True,
        5,
    )
    instrument = wire.Instrument()
    assert update._fill(instrument, ("name=5 % notes = good", "status=INSTRUMENT_STATUS_RETIRED")) == ["name", "status"]
    assert instrument.name == "5 % notes = good"
    listing = wire.Listing()
    update._fill(listing, ("valid_to=2024-01-31T00:00:00Z",))
    assert listing.valid_to.ToJsonString() == "2024-01-31T00:00:00Z"


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_a_watch_tells_that_changes_were_missed(monkeypatch: pytest.MonkeyPatch, form: tuple[str, ...]) -> None:
    async def changes(address: str, start: Any) -> AsyncIterator[Any]:
        yield Reset(SnapshotRequired.since("t-1"))
        change = pb.InstrumentChange(
            revision=7, kind=common_pb2.CHANGE_KIND_CREATED, instrument=wire.Instrument(name="Later")
        )
        yield pb.WatchInstrumentsResponse(changes=pb.InstrumentChanges(changes=[change]))

    async def ready(address: str, timeout: float) -> None:
        return None

    monkeypatch.setitem(watch._WATCHES, "instruments", ("instrument", changes))
    monkeypatch.setattr(watch, "wait_ready", ready)
    done = CliRunner().invoke(cli, ["watch", "instruments", "--count", "1", *form])
    assert done.exit_code == 0, done.output
    if form:
        assert json.loads(done.stderr)["reason"] == "SNAPSHOT_REQUIRED"
        assert json.loads(done.stdout)["revision"] == "7"
    else:
        assert done.stderr.startswith("RESET: changes were missed")
        assert "Later" in done.stdout


def test_an_interrupt_in_the_first_moment_is_no_abort(monkeypatch: pytest.MonkeyPatch) -> None:
    async def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "_demo", interrupted)
    done = CliRunner().invoke(cli, ["demo", "--seconds", "1"])
    assert done.exit_code == 130
    assert done.stderr == "interrupted\n"
    assert "Aborted" not in done.output
