"""`alphapulse register FILE`: instruments with their listings, as the proto's JSON."""

from __future__ import annotations

import sys
import uuid
from pathlib import Path
from typing import Any, TextIO

import click
import msgspec
from google.protobuf.json_format import ParseDict, ParseError

from alphapulse.api.instrument.v1 import instrument_service_pb2 as pb
from alphapulse.api.instrument.v1 import instrument_service_pb2_grpc
from alphapulse.client import WRITE_DEADLINE, open_channel
from alphapulse_cli.context import Locator, as_dict, data_dir_option, json_option, print_json, print_table, run
from alphapulse_cli.exits import Exit

EXAMPLE = """{"instrument": {"asset_class": "ASSET_CLASS_EQUITY", "name": "Apple Inc",
  "equity": {"currency": "USD", "country": "US"},
  "identifiers": [{"scheme": "IDENTIFIER_SCHEME_ISIN", "value": "US0378331005"}]},
 "listings": [{"venue": "XNAS", "symbol": "AAPL", "currency": "USD"}]}"""


def _entries(text: str) -> list[pb.InstrumentEntry]:
    try:
        value: Any = msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise click.UsageError(f"not JSON: {error}. One entry looks like this:\n{EXAMPLE}") from error
    items = value if isinstance(value, list) else [value]
    entries = []
    for index, item in enumerate(items):
        try:
            entries.append(ParseDict(item, pb.InstrumentEntry()))
        except (ParseError, AttributeError, TypeError) as error:
            raise click.UsageError(f"entries[{index}]: {error}. One entry looks like this:\n{EXAMPLE}") from error
    return entries


@click.command()
@click.argument("file", type=click.File("r"), default="-")
@click.option(
    "--request-id", default="", help="Makes a repetition safe: the same id gives the same answer for 24 hours."
)
@click.option("--dry-run", is_flag=True, help="Check, and write nothing.")
@json_option
@data_dir_option
def command(file: TextIO, request_id: str, dry_run: bool, as_json: bool, data_dir: Path) -> None:
    """Register the instruments of FILE (standard input without one): an entry or a list of entries, in the JSON of the API."""
    entries = _entries(file.read())
    address = Locator(data_dir).address("instrument")

    async def call() -> list[pb.RegisterInstrumentResponse]:
        async with open_channel(address) as channel:
            stub = instrument_service_pb2_grpc.InstrumentServiceStub(channel)
            answers = []
            for index, entry in enumerate(entries):
                request = pb.RegisterInstrumentRequest(instrument=entry.instrument, listings=entry.listings)
                request.write.actor = "alphapulse register"
                request.write.validate_only = dry_run
                request.write.request_id = f"{request_id}.{index}" if request_id else uuid.uuid4().hex
                answers.append(await stub.RegisterInstrument(request, timeout=WRITE_DEADLINE))
            return answers

    answers = run(call, address)
    if as_json:
        print_json([as_dict(answer) for answer in answers])
    else:
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
    collided = any(a.outcome == pb.REGISTRATION_OUTCOME_COLLISION for a in answers)
    sys.exit(Exit.UNDECIDED if collided else Exit.OK)
