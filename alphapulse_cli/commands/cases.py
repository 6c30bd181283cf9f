"""`alphapulse cases`: the collision cases of the instrument registry, listed, shown, decided."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import click

from alphapulse.api.common.v1 import common_pb2
from alphapulse.api.instrument.v1 import instrument_pb2 as wire
from alphapulse.api.instrument.v1 import instrument_service_pb2 as pb
from alphapulse.client import READ_DEADLINE, WRITE_DEADLINE
from alphapulse_cli.context import as_dict, data_dir_option, json_option, print_json, print_table
from alphapulse_cli.registry_calls import (
    asked,
    at_option,
    choices,
    entry_id,
    number_of,
    short,
    shown_time,
    stamp,
    write_options,
)

_STATES = (wire.CollisionState, "COLLISION_STATE_")
_KINDS = (wire.CollisionKind, "COLLISION_KIND_")
_RESOLUTIONS = (wire.CollisionResolution, "COLLISION_RESOLUTION_")


@click.group()
def command() -> None:
    """List, show and decide collision cases: claims that cannot both be true, both kept until somebody decides."""


@command.command("list")
@click.option("--state", type=choices(*_STATES), help="Only open or only resolved ones.")
@click.option("--kind", type=choices(*_KINDS), multiple=True, help="Only of this kind; can be repeated.")
@click.option("--instrument", default="", help="Touching this instrument: its id, isin:..., or VENUE:SYMBOL.")
@click.option(
    "--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="How many, the newest first."
)
@json_option
@data_dir_option
def list_(state: str | None, kind: tuple[str, ...], instrument: str, limit: int, as_json: bool, data_dir: Path) -> None:
    """List cases, the newest first."""

    async def call(stub: Any) -> Any:
        request = pb.ListCollisionCasesRequest(page_size=limit)
        request.states.extend([number_of(*_STATES, state)] if state else [])
        request.kinds.extend(number_of(*_KINDS, one) for one in kind)
        request.instrument_id = await entry_id(stub, instrument) if instrument else ""
        return await stub.ListCollisionCases(request, timeout=READ_DEADLINE)

    cases = asked(data_dir, call).cases
    if as_json:
        print_json([as_dict(case) for case in cases])
        return
    print_table(
        ("case", "state", "kind", "identifier", "newcomer", "opened"),
        [
            (
                case.case_id,
                short(*_STATES, case.state),
                short(*_KINDS, case.kind),
                _identifier(case),
                case.challenger.name,
                shown_time(case.create_time),
            )
            for case in cases
        ],
    )


@command.command()
@click.argument("case_id")
@json_option
@data_dir_option
def show(case_id: str, as_json: bool, data_dir: Path) -> None:
    """Show a case: who holds what, who claims it, how it was decided."""

    async def call(stub: Any) -> Any:
        return await stub.GetCollisionCase(pb.GetCollisionCaseRequest(case_id=case_id), timeout=READ_DEADLINE)

    case = asked(data_dir, call).collision_case
    if as_json:
        print_json(as_dict(case))
    else:
        show_case(case)


@command.command()
@click.argument("case_id")
@click.argument("resolution", type=choices(*_RESOLUTIONS))
@click.option("--reason", required=True, help="Why; kept with the decision.")
@click.option(
    "--winner", default="", help="Who bears it from now on, of merge and split: an id, isin:..., or VENUE:SYMBOL."
)
@click.option(
    "--identifier",
    "identifiers",
    multiple=True,
    metavar="SCHEME=VALUE",
    help="Of split: what the newcomer bears instead.",
)
@at_option("Of split in favour of the newcomer: from when on it bears it (UTC).")
@click.option("--retroactive", is_flag=True, help="Of split in favour of the newcomer: the holder never bore it.")
@write_options
@json_option
@data_dir_option
def resolve(
    case_id: str,
    resolution: str,
    reason: str,
    winner: str,
    identifiers: tuple[str, ...],
    at: datetime | None,
    retroactive: bool,
    write: common_pb2.WriteOptions,
    as_json: bool,
    data_dir: Path,
) -> None:
    """Decide a case: merge (one thing), split (two; one of them bears it), keep-both (two, both bear it), reject (no newcomer)."""
    claims = [_claim(one) for one in identifiers]

    async def call(stub: Any) -> Any:
        request = pb.ResolveCollisionCaseRequest(
            case_id=case_id,
            resolution=number_of(*_RESOLUTIONS, resolution),
            reason=reason,
            winner_id=await entry_id(stub, winner) if winner else "",
            challenger_identifiers=claims,
            effective_time=stamp(at),
            retroactive=retroactive,
            write=write,
        )
        return await stub.ResolveCollisionCase(request, timeout=WRITE_DEADLINE)

    answer = asked(data_dir, call)
    if as_json:
        print_json(as_dict(answer))
    else:
        show_case(answer.collision_case)


def show_case(case: wire.CollisionCase) -> None:
    """A case for people."""
    click.echo(f"{case.case_id}  {short(*_KINDS, case.kind)}  {short(*_STATES, case.state)}")
    click.echo(f"  {case.explanation}")
    if case.HasField("identifier"):
        click.echo(f"  contested: {_identifier(case)}")
    for holder in case.incumbent_ids:
        click.echo(f"  held by: {holder}")
    click.echo(f"  claimed by: {case.challenger.name}  {case.challenger_id}")
    for one in case.challenger_listings:
        click.echo(f"    listed as {one.venue}:{one.symbol}")
    for difference in case.differences:
        click.echo(f"  {difference.field}: held {difference.held!r}, sent {difference.sent!r}")
    if case.state == wire.COLLISION_STATE_RESOLVED:
        click.echo(
            f"  resolved: {short(*_RESOLUTIONS, case.resolution)} by {case.resolved_by}: {case.resolution_reason}"
        )


def _identifier(case: wire.CollisionCase) -> str:
    one = case.identifier
    if not case.HasField("identifier"):
        return ""
    scheme = short(common_pb2.IdentifierScheme, "IDENTIFIER_SCHEME_", one.scheme)
    return f"{scheme} {one.value}{' at ' + one.venue if one.venue else ''}"


def _claim(text: str) -> wire.IdentifierAssertion:
    scheme, equals, value = text.partition("=")
    try:
        number = number_of(common_pb2.IdentifierScheme, "IDENTIFIER_SCHEME_", scheme)
    except ValueError as error:
        raise click.BadParameter(f"{scheme!r} is no naming system", param_hint="--identifier") from error
    if not equals or not value:
        raise click.BadParameter(f"{text!r} is not SCHEME=VALUE", param_hint="--identifier")
    return wire.IdentifierAssertion(scheme=number, value=value)
