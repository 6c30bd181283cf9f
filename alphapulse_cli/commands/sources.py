"""`alphapulse sources`: what a collector runs."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import click
import structlog

from alphapulse.api.collector.v1 import collector_service_pb2 as pb
from alphapulse.api.collector.v1 import collector_service_pb2_grpc
from alphapulse.api.marketdata.v1 import marketdata_pb2
from alphapulse.client import READ_DEADLINE, open_channel
from alphapulse.domain.errors import AlphaPulseError
from alphapulse_cli.context import Locator, as_dict, data_dir_option, json_option, print_json, print_table, run
from alphapulse_cli.exits import Exit, ServiceError
from collector_service import catalogue
from collector_service.sources import SOURCES, source_named


def type_name(number: int) -> str:
    """An event type as the summaries name it, such as "quote"."""
    return marketdata_pb2.EventType.Name(marketdata_pb2.EventType.ValueType(number)).removeprefix("EVENT_TYPE_").lower()


def show(sources: list[pb.Source]) -> None:
    """The sources as a table."""
    print_table(
        ("source", "state", "transport", "listings", "events", "rejects", "reconnects", "error"),
        [
            (
                s.name,
                pb.SourceState.Name(s.state).removeprefix("SOURCE_STATE_").lower(),
                pb.TransportKind.Name(s.transport).removeprefix("TRANSPORT_KIND_").lower(),
                s.listings,
                " ".join(f"{type_name(kind)}={n}" for kind, n in sorted(s.events.items())),
                sum(s.rejects.values()),
                s.reconnects,
                s.error,
            )
            for s in sources
        ],
    )


def _ask(data_dir: Path, rpc: str, request: Any) -> Any:
    address = Locator(data_dir).address("collector")

    async def call() -> Any:
        async with open_channel(address) as channel:
            stub = collector_service_pb2_grpc.CollectorServiceStub(channel)
            return await getattr(stub, rpc)(request, timeout=READ_DEADLINE)

    return run(call, address)


def _print(sources: list[pb.Source], as_json: bool) -> None:
    if as_json:
        print_json([as_dict(source) for source in sources])
    else:
        show(sources)


def has_run(source: pb.Source) -> bool:
    """Whether a source runs, or ran since the collector was started."""
    return source.state != pb.SOURCE_STATE_STOPPED or source.frames > 0


@click.group(invoke_without_command=True)
@click.pass_context
@json_option
@data_dir_option
def command(ctx: click.Context, as_json: bool, data_dir: Path) -> None:
    """Show what the collector's sources do; `list` shows every source there is, `show NAME` one of them, `start NAME` and `stop NAME` run it."""
    if ctx.invoked_subcommand is None:
        found = _ask(data_dir, "ListSources", pb.ListSourcesRequest(page_size=1000)).sources
        _print([source for source in found if has_run(source)], as_json)


@command.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List every source there is: what it is, what it gives, how it is known to be right. Asks no service."""
    rows = [catalogue.summary(source) for _, source in sorted(SOURCES.items())]
    if as_json:
        print_json(rows)
    else:
        print_table(tuple(rows[0]), [tuple(_cell(value) for value in row.values()) for row in rows])


@command.command("show")
@click.argument("name")
@click.option("--code", is_flag=True, help="Show the functions that were made of it, too.")
@json_option
def show_(name: str, code: bool, as_json: bool) -> None:
    """Show all there is to know of one source."""
    try:
        source = source_named(name)
    except AlphaPulseError as error:
        raise ServiceError(error, "the catalogue of sources") from error
    told = catalogue.details(source)
    if as_json:
        print_json(told)
        return
    for field, value in told.items():
        click.echo(f"{field}: {_cell(value)}")
    if code:
        click.echo(catalogue.code(source))


def _cell(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


@command.command()
@click.argument("name")
@json_option
@data_dir_option
def start(name: str, as_json: bool, data_dir: Path) -> None:
    """Start a source."""
    _print([_ask(data_dir, "StartSource", pb.StartSourceRequest(name=name.upper())).source], as_json)


@command.command()
@click.argument("name")
@json_option
@data_dir_option
def stop(name: str, as_json: bool, data_dir: Path) -> None:
    """Stop a source."""
    _print([_ask(data_dir, "StopSource", pb.StopSourceRequest(name=name.upper())).source], as_json)


@command.command()
@click.argument("name")
@json_option
def check(name: str, as_json: bool) -> None:
    """Hold a source to what every source has to do, against a venue made from its specification alone; a line for each check.

    Nothing of the platform has to run, and nothing is asked of the real venue. Exit code 4 where a check failed.
    """
    # Not before it is asked for: the other commands of this group need none of it.
    from collector_service.conformance import CHECKS, Verdict, run_check
    from collector_service.sources import source_named

    try:
        source = source_named(name)
    except AlphaPulseError as error:
        raise ServiceError(error, "the catalogue of sources") from error
    # Connections are broken on purpose.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    found = [run_check(one, source) for one in CHECKS]
    if as_json:
        print_json(
            [
                {
                    "check": one.check.id,
                    "says": one.check.says,
                    "verdict": one.verdict.value,
                    "detail": one.detail,
                    "left_out": list(one.left_out),
                }
                for one in found
            ]
        )
    else:
        for one in found:
            click.echo(f"{one.check.id:<22} {one.verdict.value:<8} {one.detail or one.check.says}")
            for text in one.left_out:
                click.echo(f"{'':<22} not tried: {text}")
    if any(one.verdict is Verdict.FAILED for one in found):
        raise click.exceptions.Exit(int(Exit.PLATFORM))
