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
from alphapulse.domain.errors import AlphaPulseError, FailedPrecondition
from alphapulse_cli import own_sources
from alphapulse_cli.context import Locator, as_dict, data_dir_option, json_option, print_json, print_table, run
from alphapulse_cli.exits import Exit, ServiceError
from alphapulse_cli.own_sources import VARIABLE, known_here, source_here
from collector_service import catalogue
from collector_service.source import Source


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
                s.error or (f"not recorded: {s.recording_error}" if s.recording_error else ""),
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
    known = known_here()
    rows = [catalogue.summary(source) for _, source in sorted(known.sources.items())]
    if as_json:
        print_json(rows)
    else:
        print_table(tuple(rows[0]), [tuple(_cell(value) for value in row.values()) for row in rows])
    for file, why in known.broken.items():
        click.echo(f"{file} is broken: {why}", err=True)


@command.command("show")
@click.argument("name")
@click.option("--code", is_flag=True, help="Show the functions that were made of it, too.")
@json_option
def show_(name: str, code: bool, as_json: bool) -> None:
    """Show all there is to know of one source."""
    source = source_here(name)
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
@click.option(
    "--from",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A Python file with the specification; without it a file to start from is written.",
)
@click.option(
    "--to",
    "folder",
    envvar=VARIABLE,
    show_envvar=True,
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder of your own sources.",
)
@click.option("--check", "checks", is_flag=True, help="Install it only where `sources check` finds nothing.")
@click.option("--replace", "replaces", is_flag=True, help="Take the place of the file that is there.")
@json_option
def add(name: str, file: Path | None, folder: Path, checks: bool, replaces: bool, as_json: bool) -> None:
    """Add a source of your own: the specification in a file, or one to start from. Collectors with SOURCES_PATH know it from their next start on."""
    name = name.upper()
    if file is None and checks:
        raise click.UsageError("--check tries a file: name it with --from")
    failed: list[str] = []
    try:
        if file is None:
            target = own_sources.begin(name, folder, replaces=replaces)
        else:
            text = file.read_bytes()
            source = own_sources.checked_file(name, file, folder, replaces=replaces)
            if checks:
                failed = [
                    f"{one.check.id}: {one.detail}" for one in _conformance(source) if one.verdict.value == "failed"
                ]
            if failed:
                raise FailedPrecondition(f"{name} fails {len(failed)} checks: {'; '.join(failed)}")
            target = own_sources.install(name, text, folder, replaces=replaces)
    except AlphaPulseError as error:
        raise ServiceError(error, "the folder of sources") from error
    if as_json:
        print_json({"name": name, "file": str(target)})
    else:
        click.echo(f"{name} is {'begun' if file is None else 'installed'}: {target}")


def _conformance(source: Source) -> list[Any]:
    """What the checks say of a source."""
    # Not before it is asked for: the other commands of this group need none of it.
    from collector_service.conformance import CHECKS, run_check

    # Connections are broken on purpose.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    return [run_check(one, source) for one in CHECKS]


@command.command()
@click.argument("name")
@json_option
def check(name: str, as_json: bool) -> None:
    """Hold a source to what every source has to do, against a venue made from its specification alone; a line for each check.

    Nothing of the platform has to run, and nothing is asked of the real venue. Exit code 4 where a check failed.
    """
    from collector_service.conformance import Verdict

    found = _conformance(source_here(name))
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
