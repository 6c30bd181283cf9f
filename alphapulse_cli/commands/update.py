"""`alphapulse update`: fields of an instrument or of a listing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec
from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.message import Message

from alphapulse.api.common.v1 import common_pb2
from alphapulse.api.instrument.v1 import instrument_pb2 as wire
from alphapulse.api.instrument.v1 import instrument_service_pb2 as pb
from alphapulse.client import WRITE_DEADLINE
from alphapulse_cli.context import as_dict, data_dir_option, json_option, print_json
from alphapulse_cli.registry_calls import asked, entry_id, listing_id, write_options

_SET = click.option(
    "--set",
    "fields",
    multiple=True,
    required=True,
    metavar="FIELD=VALUE",
    help="A field and its value, as text or as JSON; an empty value clears it. Can be repeated.",
)


@click.group()
def command() -> None:
    """Change fields of an instrument or a listing. What happens at a time (a rename, a delisting) is recorded with `event`."""


@command.command()
@click.argument("name", metavar="INSTRUMENT")
@_SET
@write_options
@json_option
@data_dir_option
def instrument(
    name: str, fields: tuple[str, ...], write: common_pb2.WriteOptions, as_json: bool, data_dir: Path
) -> None:
    """Change an instrument. INSTRUMENT: its id, isin:..., or VENUE:SYMBOL."""
    message = wire.Instrument()
    mask = _fill(message, fields)

    async def call(stub: Any) -> Any:
        message.instrument_id = await entry_id(stub, name)
        request = pb.UpdateInstrumentRequest(instrument=message, write=write)
        request.update_mask.paths.extend(mask)
        return await stub.UpdateInstrument(request, timeout=WRITE_DEADLINE)

    answer = asked(data_dir, call)
    _show(answer, answer.instrument.name, answer.instrument, as_json)


@command.command()
@click.argument("name", metavar="LISTING")
@_SET
@write_options
@json_option
@data_dir_option
def listing(name: str, fields: tuple[str, ...], write: common_pb2.WriteOptions, as_json: bool, data_dir: Path) -> None:
    """Change a listing. LISTING: its id, or VENUE:SYMBOL."""
    message = wire.Listing()
    mask = _fill(message, fields)

    async def call(stub: Any) -> Any:
        message.listing_id = await listing_id(stub, name)
        request = pb.UpdateListingRequest(listing=message, write=write)
        request.update_mask.paths.extend(mask)
        return await stub.UpdateListing(request, timeout=WRITE_DEADLINE)

    answer = asked(data_dir, call)
    _show(answer, f"{answer.listing.venue}:{answer.listing.symbol}", answer.listing, as_json)


def _fill(message: Message, fields: tuple[str, ...]) -> list[str]:
    """Puts the values into the message; the names are the update_mask."""
    names = []
    for text in fields:
        name, equals, value = text.partition("=")
        if not equals:
            raise click.BadParameter(f"{text!r} is not FIELD=VALUE", param_hint="--set")
        names.append(name)
        if value:
            _set(message, name, value)
    return names


def _set(message: Message, name: str, value: str) -> None:
    field = message.DESCRIPTOR.fields_by_name.get(name)
    if field is None:
        known = ", ".join(one.name for one in message.DESCRIPTOR.fields)
        raise click.BadParameter(f"there is no field {name!r}; there are {known}", param_hint="--set")
    given: Any = value
    if field.enum_type is not None:
        # DELISTED is LISTING_STATUS_DELISTED.
        prefix = field.enum_type.values[0].name.removesuffix("UNSPECIFIED")
        given = value if value.startswith(prefix) else prefix + value.upper()
    elif field.type != field.TYPE_STRING and (field.message_type is None or value[:1] in '{["'):
        try:
            given = msgspec.json.decode(value)
        except msgspec.DecodeError as error:
            raise click.BadParameter(f"{name}: {value!r} is not JSON: {error}", param_hint="--set") from error
    try:
        ParseDict({name: given}, message)
    except ParseError as error:
        raise click.BadParameter(str(error), param_hint="--set") from error


def _show(answer: Any, name: str, entry: Any, as_json: bool) -> None:
    if as_json:
        print_json(as_dict(answer))
    else:
        click.echo(f"{name} is at revision {entry.revision}, etag {entry.etag}")
