"""`alphapulse register`: instruments with their listings, from options or as the proto's JSON."""

from __future__ import annotations

import sys
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import click
import grpc

from alphapulse.api.instrument.v1 import instrument_service_pb2 as pb
from alphapulse.api.instrument.v1 import instrument_service_pb2_grpc
from alphapulse.client import WRITE_DEADLINE, from_rpc_error, open_channel
from alphapulse.domain.errors import DeadlineExceeded, InvalidArgument, Unavailable
from alphapulse.domain.violations import shorten
from alphapulse_cli.context import Locator, as_dict, data_dir_option, json_option, print_json, print_table, run
from alphapulse_cli.entry_flags import entry_options
from alphapulse_cli.exits import Exit, ServiceError

EXAMPLE = """{"instrument": {"asset_class": "ASSET_CLASS_EQUITY", "name": "Apple Inc",
  "equity": {"currency": "USD", "country": "US"},
  "identifiers": [{"scheme": "IDENTIFIER_SCHEME_ISIN", "value": "US0378331005"}]},
 "listings": [{"venue": "XNAS", "symbol": "AAPL", "currency": "USD"}]}"""


@dataclass(frozen=True, slots=True)
class _Refused:
    """An entry that the registry did not take, whatever became of the others."""

    index: int
    name: str
    error: ServiceError


def _entries(text: bytes) -> list[pb.InstrumentEntry]:
    # Only where there is JSON to read: an HTTP server comes with it, which takes a while to load.
    from alphapulse.json_text import decoded, message_from

    try:
        value = decoded(text)
    except InvalidArgument as error:
        raise click.UsageError(f"{_told(error)}. One entry looks like this:\n{EXAMPLE}") from error
    items = value if isinstance(value, list) else [value]
    entries: list[pb.InstrumentEntry] = []
    for index, item in enumerate(items):
        if not isinstance(item, dict):
            raise click.UsageError(f"entries[{index}]: not an object: {item!r}. One entry looks like this:\n{EXAMPLE}")
        try:
            entry = message_from(item, pb.InstrumentEntry)
            assert isinstance(entry, pb.InstrumentEntry)
            entries.append(entry)
        except InvalidArgument as error:
            raise click.UsageError(
                f"entries[{index}]: {_told(error)}. One entry looks like this:\n{EXAMPLE}"
            ) from error
    return entries


def _told(error: InvalidArgument) -> str:
    return "; ".join(str(one) for one in error.violations)


@click.command()
@click.argument("file", type=click.File("rb"), default="-")
@click.option(
    "--request-id", default="", help="Makes a repetition safe: the same id gives the same answer for 24 hours."
)
@click.option("--dry-run", is_flag=True, help="Check, and write nothing.")
@entry_options
@json_option
@data_dir_option
def command(
    file: BinaryIO,
    request_id: str,
    dry_run: bool,
    flagged: pb.InstrumentEntry | None,
    as_json: bool,
    data_dir: Path,
) -> None:
    """Register one instrument from options, or those of FILE (standard input without one): an entry or a list of entries, in the JSON of the API."""
    chosen = click.get_current_context().get_parameter_source("file") is not click.core.ParameterSource.DEFAULT
    if flagged is None and not chosen and file.isatty():
        raise click.UsageError("give --name and the options of one instrument, a FILE, or entries on standard input")
    entries = [flagged] if flagged is not None else _entries(file.read())
    address = Locator(data_dir).address("instrument")

    async def call() -> list[pb.RegisterInstrumentResponse | _Refused]:
        async with open_channel(address) as channel:
            stub = instrument_service_pb2_grpc.InstrumentServiceStub(channel)
            answers = []
            for index, entry in enumerate(entries):
                request = pb.RegisterInstrumentRequest(instrument=entry.instrument, listings=entry.listings)
                request.write.actor = "alphapulse register"
                request.write.validate_only = dry_run
                # Of a list each entry is a request of its own; a single entry keeps the id that was given.
                numbered = f"{request_id}.{index}" if len(entries) > 1 else request_id
                request.write.request_id = numbered if request_id else uuid.uuid4().hex
                answers.append(await _register(stub, request, index, address))
            return answers

    answers = run(call, address)
    taken = [answer for answer in answers if not isinstance(answer, _Refused)]
    refused = [answer for answer in answers if isinstance(answer, _Refused)]
    if as_json:
        print_json([as_dict(answer) for answer in taken])
    elif taken:
        _show(taken)
    for one in refused:
        click.echo(f"entries[{one.index}] {one.name}: {one.error.format_message()}", err=True)
    if refused:
        sys.exit(refused[0].error.exit_code)
    collided = any(a.outcome == pb.REGISTRATION_OUTCOME_COLLISION for a in taken)
    sys.exit(Exit.UNDECIDED if collided else Exit.OK)


async def _register(
    stub: Any, request: pb.RegisterInstrumentRequest, index: int, address: str
) -> pb.RegisterInstrumentResponse | _Refused:
    """What the registry says of one entry. Raises when it says nothing: then the others need not be tried."""
    try:
        answer: pb.RegisterInstrumentResponse = await stub.RegisterInstrument(request, timeout=WRITE_DEADLINE)
    except grpc.RpcError as refusal:
        error = from_rpc_error(refusal)
        if isinstance(error, Unavailable | DeadlineExceeded):
            raise
        return _Refused(index, shorten(request.instrument.name), ServiceError(error, address))
    return answer


def _show(answers: list[pb.RegisterInstrumentResponse]) -> None:
    print_table(
        ("outcome", "instrument", "name", "listings", "collision case"),
        [
            (
                pb.RegistrationOutcome.Name(a.outcome).removeprefix("REGISTRATION_OUTCOME_"),
                a.entry.instrument.instrument_id,
                a.entry.instrument.name,
                " ".join(f"{x.venue}:{x.symbol}" for x in a.entry.listings),
                a.collision_case_id,
            )
            for a in answers
        ],
    )
