"""`alphapulse event`: what happens to instruments and listings in their life, recorded from the time it holds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from alphapulse.api.common.v1 import common_pb2
from alphapulse.api.instrument.v1 import instrument_pb2 as wire
from alphapulse.api.instrument.v1 import instrument_service_pb2 as pb
from alphapulse.client import WRITE_DEADLINE
from alphapulse_cli.context import as_dict, data_dir_option, json_option, print_json, print_table
from alphapulse_cli.moment import Moment
from alphapulse_cli.registry_calls import (
    asked,
    at_option,
    entry_id,
    listing_id,
    number_of,
    shown_time,
    stamp,
    write_options,
)

Fill = Callable[[Any, wire.LifecycleEvent], Awaitable[None]]
"""Puts what happened into the event; may ask the registry for ids."""


@click.group()
def command() -> None:
    """Record what happens to an instrument or a listing: it holds from --at on, look-ups of before still find what was."""


def _recorded(function: Callable[..., Fill]) -> Callable[..., None]:
    """The options all events share; `function` gives what the one kind fills in."""

    @at_option("From when on it holds (UTC).  [default: now]")
    @click.option("--reason", default="", help="Why, in words.")
    @click.option("--source", default="", help="Who says so.")
    @write_options
    @json_option
    @data_dir_option
    def recorded(
        at: datetime | None,
        reason: str,
        source: str,
        write: common_pb2.WriteOptions,
        as_json: bool,
        data_dir: Path,
        **given: Any,
    ) -> None:
        if at is None and "request_id" in _given():
            raise click.UsageError(
                "--request-id needs --at: what holds from now on is another event at each repetition"
            )
        fill = function(**given)

        async def call(stub: Any) -> pb.RecordLifecycleEventResponse:
            event = wire.LifecycleEvent(reason=reason, source=source, effective_time=stamp(at or datetime.now(UTC)))
            await fill(stub, event)
            request = pb.RecordLifecycleEventRequest(event=event, write=write)
            answer: pb.RecordLifecycleEventResponse = await stub.RecordLifecycleEvent(request, timeout=WRITE_DEADLINE)
            return answer

        answer = asked(data_dir, call)
        if as_json:
            print_json(as_dict(answer))
        else:
            _show(answer)

    recorded.__name__, recorded.__doc__ = function.__name__, function.__doc__
    # click reads the arguments that were declared on the function it wraps.
    recorded.__click_params__ = [*recorded.__click_params__, *getattr(function, "__click_params__", [])]  # type: ignore[attr-defined]
    return recorded


def _given() -> set[str]:
    """The options that were typed."""
    context = click.get_current_context()
    typed = (click.core.ParameterSource.COMMANDLINE, click.core.ParameterSource.ENVIRONMENT)
    return {name for name in context.params if context.get_parameter_source(name) in typed}


def _show(answer: pb.RecordLifecycleEventResponse) -> None:
    event = answer.event
    kind = (event.WhichOneof("event") or "").replace("_", " ")
    state = "already recorded" if answer.already_recorded else "recorded"
    click.echo(f"{state}: {kind} from {shown_time(event.effective_time)} on  ({event.event_id})")
    print_table(
        ("instrument", "name", "status", "listings"),
        [
            (
                entry.instrument.instrument_id,
                entry.instrument.name,
                wire.InstrumentStatus.Name(entry.instrument.status).removeprefix("INSTRUMENT_STATUS_").lower(),
                " ".join(f"{one.venue}:{one.symbol}" for one in entry.listings),
            )
            for entry in answer.entries
        ],
    )


@command.command()
@click.argument("instrument")
@click.argument("name")
@_recorded
def rename(instrument: str, name: str) -> Fill:
    """An instrument gets another name. INSTRUMENT: its id, isin:..., or VENUE:SYMBOL."""

    async def fill(stub: Any, event: wire.LifecycleEvent) -> None:
        event.instrument_id = await entry_id(stub, instrument)
        event.name_change.new_name = name

    return fill


@command.command()
@click.argument("listing")
@click.argument("new_symbol")
@_recorded
def symbol(listing: str, new_symbol: str) -> Fill:
    """A listing gets another symbol at its venue. LISTING: its id, or VENUE:SYMBOL."""

    async def fill(stub: Any, event: wire.LifecycleEvent) -> None:
        event.listing_id = await listing_id(stub, listing)
        event.symbol_change.new_symbol = new_symbol

    return fill


@command.command()
@click.argument("instrument")
@click.option(
    "--replace",
    "replacements",
    multiple=True,
    required=True,
    metavar="SCHEME:OLD:NEW",
    help="One identifier in the place of another; an empty side ends or adds one. Can be repeated: they change together.",
)
@_recorded
def identifier(instrument: str, replacements: tuple[str, ...]) -> Fill:
    """Identifiers of an instrument change, such as its ISIN with the CUSIP inside it."""
    read = [_replacement(one) for one in replacements]

    async def fill(stub: Any, event: wire.LifecycleEvent) -> None:
        event.instrument_id = await entry_id(stub, instrument)
        event.identifier_change.replacements.extend(read)

    return fill


def _replacement(text: str) -> wire.IdentifierReplacement:
    parts = text.split(":")
    if len(parts) not in (3, 4):
        raise click.BadParameter(f"{text!r} is not SCHEME:OLD:NEW or SCHEME:OLD:NEW:VENUE", param_hint="--replace")
    try:
        scheme = number_of(common_pb2.IdentifierScheme, "IDENTIFIER_SCHEME_", parts[0])
    except ValueError as error:
        raise click.BadParameter(f"{parts[0]!r} is no naming system", param_hint="--replace") from error
    venue = parts[3] if len(parts) == 4 else ""
    return wire.IdentifierReplacement(scheme=scheme, old_value=parts[1], new_value=parts[2], venue=venue)


@command.command()
@click.argument("instrument")
@click.option("--into", multiple=True, required=True, help="What takes its place, registered before; can be repeated.")
@_recorded
def merge(instrument: str, into: tuple[str, ...]) -> Fill:
    """An instrument ceases to exist in favour of others."""

    async def fill(stub: Any, event: wire.LifecycleEvent) -> None:
        event.instrument_id = await entry_id(stub, instrument)
        event.merger.successor_ids.extend([await entry_id(stub, one) for one in into])

    return fill


@command.command("spin-off")
@click.argument("instrument")
@click.option("--out", multiple=True, required=True, help="What came out of it, registered before; can be repeated.")
@_recorded
def spin_off(instrument: str, out: tuple[str, ...]) -> Fill:
    """A part of an instrument becomes instruments of their own."""

    async def fill(stub: Any, event: wire.LifecycleEvent) -> None:
        event.instrument_id = await entry_id(stub, instrument)
        event.spin_off.spun_off_ids.extend([await entry_id(stub, one) for one in out])

    return fill


@command.command()
@click.argument("listing")
@_recorded
def delist(listing: str) -> Fill:
    """A listing leaves its venue."""

    async def fill(stub: Any, event: wire.LifecycleEvent) -> None:
        event.listing_id = await listing_id(stub, listing)
        event.delisting.SetInParent()

    return fill


@command.command()
@click.argument("listing")
@click.option("--symbol", "new_symbol", default="", help="Its symbol from then on; the one it had otherwise.")
@_recorded
def relist(listing: str, new_symbol: str) -> Fill:
    """A listing that left its venue comes back."""

    async def fill(stub: Any, event: wire.LifecycleEvent) -> None:
        event.listing_id = await listing_id(stub, listing)
        event.relisting.symbol = new_symbol
        event.relisting.SetInParent()

    return fill


@command.command()
@click.argument("listing")
@click.option("--until", type=Moment(), help="When it is expected to go on (UTC).")
@_recorded
def halt(listing: str, until: datetime | None) -> Fill:
    """Trading of a listing is interrupted."""

    async def fill(stub: Any, event: wire.LifecycleEvent) -> None:
        event.listing_id = await listing_id(stub, listing)
        event.halt.SetInParent()
        expected = stamp(until)
        if expected is not None:
            event.halt.expected_resumption.CopyFrom(expected)

    return fill


@command.command()
@click.argument("listing")
@_recorded
def resume(listing: str) -> Fill:
    """Trading of a listing goes on, or begins."""

    async def fill(stub: Any, event: wire.LifecycleEvent) -> None:
        event.listing_id = await listing_id(stub, listing)
        event.resumption.SetInParent()

    return fill
