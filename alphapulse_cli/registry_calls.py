"""What the commands that read and write the instrument registry share: naming entries, options of writes, shown enumerations."""

from __future__ import annotations

import functools
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import click
from google.protobuf.timestamp_pb2 import Timestamp

from alphapulse.api.common.v1 import common_pb2
from alphapulse.api.instrument.v1 import instrument_service_pb2 as pb
from alphapulse.api.instrument.v1 import instrument_service_pb2_grpc
from alphapulse.client import READ_DEADLINE, open_channel
from alphapulse.domain.errors import AmbiguousIdentifier, InvalidArgument, NotFound
from alphapulse.domain.ids import InstrumentId, ListingId
from alphapulse_cli.context import Locator, run
from alphapulse_cli.moment import Moment

T = TypeVar("T")
_SCHEME_NAMES: Final = frozenset(common_pb2.IdentifierScheme.keys())
Stub = Any
"""An InstrumentServiceStub over an asyncio channel."""
Enumeration = Any
"""An enumeration of the API. Its stubs call it a class of its values, its code an EnumTypeWrapper."""


def asked(data_dir: Path, call: Callable[[Stub], Awaitable[T]]) -> T:
    """Runs a command's call of the instrument registry; an error of it becomes a message and an exit code."""
    address = Locator(data_dir).address("instrument")

    async def calling() -> T:
        async with open_channel(address) as channel:
            return await call(instrument_service_pb2_grpc.InstrumentServiceStub(channel))

    return run(calling, address)


def write_options(function: Callable[..., None]) -> Callable[..., None]:
    """The options of every write; the command gets them as `write`, a WriteOptions."""

    @click.option(
        "--request-id", default="", help="Makes a repetition safe: the same id gives the same answer for 24 hours."
    )
    @click.option("--etag", default="", help="Refuse where the entry was changed since: the etag that was read.")
    @click.option("--dry-run", is_flag=True, help="Check, and write nothing.")
    @click.option("--actor", default="", help="Who writes, for the history.  [default: alphapulse COMMAND]")
    @functools.wraps(function)
    def with_write(request_id: str, etag: str, dry_run: bool, actor: str, **kwargs: Any) -> None:
        name = click.get_current_context().command_path.partition(" ")[2]
        kwargs["write"] = common_pb2.WriteOptions(
            request_id=request_id or uuid.uuid4().hex,
            etag=etag,
            validate_only=dry_run,
            actor=actor or f"alphapulse {name}",
        )
        function(**kwargs)

    return with_write


def short(kind: Enumeration, prefix: str, number: int) -> str:
    """A value of an enumeration as people write it: `CHANGE_KIND_CREATED` is `created`."""
    name: str = kind.Name(number)
    return name.removeprefix(prefix).lower().replace("_", "-")


def number_of(kind: Enumeration, prefix: str, text: str) -> Any:
    """The value of an enumeration that people wrote."""
    return kind.Value(prefix + text.upper().replace("-", "_"))


def choices(kind: Enumeration, prefix: str) -> click.Choice[str]:
    """The values of an enumeration but 0, as people write them."""
    return click.Choice([short(kind, prefix, number) for number in kind.values() if number], case_sensitive=False)


def stamp(time: datetime | None) -> Timestamp | None:
    """A time that was given without a zone is UTC."""
    if time is None:
        return None
    made = Timestamp()
    made.FromDatetime(time.replace(tzinfo=UTC) if time.tzinfo is None else time)
    return made


def shown_time(time: Timestamp) -> str:
    """A time in UTC, to the second."""
    return time.ToDatetime(UTC).strftime("%Y-%m-%d %H:%M:%S")


async def instrument_id(stub: Stub, text: str) -> str:
    """The id of an instrument named by its id, or as `isin:US0378331005`. NotFound, AmbiguousIdentifier."""
    scheme, _, value = text.partition(":")
    if not value:
        return _own_id(InstrumentId, text, "an id of 32 hexadecimal digits, isin:US0378331005, or XNAS:AAPL")
    (result,) = (
        await stub.BatchLookup(pb.BatchLookupRequest(items=[_item(scheme, value)]), timeout=READ_DEADLINE)
    ).results
    holders = [entry.instrument.instrument_id for entry in result.entries]
    return _only(holders, text, result)


async def listing_id(stub: Stub, text: str) -> str:
    """The id of a listing named by its id, or as `XETR:EXM`. NotFound, AmbiguousIdentifier."""
    venue, _, symbol = text.partition(":")
    if not symbol:
        return _own_id(ListingId, text, "an id of 32 hexadecimal digits, or XNAS:AAPL")
    result = (await stub.LookupSymbol(pb.LookupSymbolRequest(symbol=symbol, venue=venue), timeout=READ_DEADLINE)).result
    return _only(list(result.listing_ids), text, result)


async def entry_id(stub: Stub, text: str) -> str:
    """The id of the instrument that is named in any of these ways, or that is listed as `XETR:EXM`."""
    head = text.partition(":")[0].upper()
    if ":" not in text or f"IDENTIFIER_SCHEME_{head}" in _SCHEME_NAMES:
        return await instrument_id(stub, text)
    venue, _, symbol = text.partition(":")
    result = (await stub.LookupSymbol(pb.LookupSymbolRequest(symbol=symbol, venue=venue), timeout=READ_DEADLINE)).result
    return _only([entry.instrument.instrument_id for entry in result.entries], text, result)


def _own_id(kind: type[InstrumentId | ListingId], text: str, forms: str) -> str:
    """The id; where it is none, how to name what is meant."""
    try:
        return kind.parse(text).hex
    except InvalidArgument as error:
        raise click.UsageError(f"{text!r} names nothing: give {forms}") from error


def _item(scheme: str, value: str) -> pb.LookupItem:
    try:
        number = common_pb2.IdentifierScheme.Value(f"IDENTIFIER_SCHEME_{scheme.upper()}")
    except ValueError as error:
        raise click.UsageError(
            f"{scheme!r} is no naming system; an entry is named by its id, or as isin:US0378331005"
        ) from error
    return pb.LookupItem(scheme=number, value=value)


def _only(ids: list[str], text: str, result: pb.LookupResult) -> str:
    """The one; a command that changes something does not choose."""
    if len(set(ids)) == 1:
        return ids[0]
    outcome = short(common_pb2.LookupOutcome, "LOOKUP_OUTCOME_", result.outcome)
    if result.HasField("violation"):
        raise InvalidArgument.field("name", text, result.violation.rule, result.violation.description)
    if not ids:
        raise NotFound(f"{text}: {outcome}{': ' + result.explanation if result.explanation else ''}")
    raise AmbiguousIdentifier(
        f"{text} is borne by several: {outcome}",
        metadata={"candidates": " ".join(ids)},
        hint=f"name one by its id: {', '.join(ids)}",
    )


def at_option(text: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """An option --at of a time in UTC."""
    return click.option("--at", type=Moment(), help=text)
