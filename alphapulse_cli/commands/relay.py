"""`alphapulse relay`: evidence of what the relay relayed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from alphapulse.api.marketdata.v1 import marketdata_pb2 as market
from alphapulse.api.relay.v1 import relay_service_pb2 as pb
from alphapulse.api.relay.v1 import relay_service_pb2_grpc
from alphapulse.client import READ_DEADLINE, open_channel
from alphapulse.domain.domains import Domain
from alphapulse.domain.errors import FailedPrecondition, Unavailable
from alphapulse.embedded import ValkeyStore, running_stores
from alphapulse_cli.context import Locator, as_dict, data_dir_option, json_option, print_json, run
from alphapulse_cli.exits import Exit
from alphapulse_cli.explanation import lines

_domain_option = click.option(
    "--domain",
    "domain_name",
    type=click.Choice([domain.title for domain in Domain]),
    default=Domain.MARKET.title,
    show_default=True,
    help="The stream that numbered it.",
)


@click.group()
def command() -> None:
    """Evidence of what the relay relayed: where one event came from, and that all of it comes out the same again."""


@command.command()
@click.argument("sequence", type=click.IntRange(1, (1 << 64) - 1))
@click.option("--relay-id", default="", help="The life of the relay that numbered it; the one that runs otherwise.")
@_domain_option
@json_option
@data_dir_option
def explain(sequence: int, relay_id: str, domain_name: str, as_json: bool, data_dir: Path) -> None:
    """Show where the event of this SEQUENCE came from: its frame, why it is flagged, the definition it was enriched with, the time each hop took."""
    address = Locator(data_dir).address("relay")

    async def call() -> pb.ExplainEventResponse:
        async with open_channel(address) as channel:
            stub: Any = relay_service_pb2_grpc.RelayServiceStub(channel)
            domain = market.Domain.ValueType(Domain[domain_name.upper()])
            request = pb.ExplainEventRequest(sequence=sequence, relay_id=relay_id, domain=domain)
            answer: pb.ExplainEventResponse = await stub.ExplainEvent(request, timeout=READ_DEADLINE)
            return answer

    answer = run(call, address)
    if as_json:
        print_json(as_dict(answer))
    else:
        for line in lines(answer):
            click.echo(line)


@command.command()
@click.option(
    "--log", "url", envvar="RELAY_LOG_URL", show_envvar=True, help="The log's Redis; the platform's otherwise."
)
@click.option(
    "--name",
    default="relay",
    envvar="RELAY_ID",
    show_default=True,
    show_envvar=True,
    help="RELAY_ID of the relay that wrote it.",
)
@click.option("--relay-id", default="", help="The life of the relay to replay; the last one otherwise.")
@_domain_option
@json_option
@data_dir_option
def replay(url: str | None, name: str, relay_id: str, domain_name: str, as_json: bool, data_dir: Path) -> None:
    """Put a life of the relay through a whole relay once more, from the log of a domain, and hold what comes out against the log, byte for byte.

    Nothing is written. Exit code 0: all of it is the same; 4: something differs, and the first event that does is told; 7: the log does not hold
    all that it takes.
    """
    # Heavy: it compiles the relay's kernel.
    from relay_service.evidence import reading
    from relay_service.evidence.lives import incarnation_in
    from relay_service.evidence.replaying import NotReplayableError
    from relay_service.log.store import FAILURES, LogStore

    where, domain = url or _platform_log(data_dir), Domain[domain_name.upper()]

    async def call() -> reading.Replayed:
        store = LogStore(where, name, domain)
        try:
            life = incarnation_in(relay_id, name) if relay_id else await reading.newest_life(store)
            if life is None:
                raise FailedPrecondition(
                    f"the log of {name} is empty", hint="--name names the RELAY_ID of another relay"
                )
            return await reading.replay(store, life, f"{name}.{life:x}", domain)
        except NotReplayableError as error:
            raise FailedPrecondition(f"it cannot be replayed: {error}") from error
        except FAILURES as error:
            raise Unavailable(f"the log does not answer: {type(error).__name__}: {error}") from error
        finally:
            await store.close()

    found = run(call, "the log's server")
    divergence = found.divergence
    if as_json:
        differences = [] if divergence is None else [list(one) for one in divergence.differences]
        print_json(
            {
                "relay_id": found.relay_id,
                "events": found.rows,
                "gaps": found.gaps,
                "last_sequence": found.last_sequence,
                "stopped": found.stopped,
                "divergence": None
                if divergence is None
                else {"sequence": divergence.sequence, "what": divergence.what, "differences": differences},
            }
        )
    else:
        click.echo(f"{found.relay_id}: {found.rows:,} events and {found.gaps:,} gaps came out byte for byte")
        if divergence is not None:
            click.echo(f"event {divergence.sequence} is the first that differs: {divergence.what}")
            for field, logged, made in divergence.differences:
                click.echo(f"  {field}: {logged!r} in the log, {made!r} replayed")
        elif found.stopped:
            click.echo(f"it stopped behind event {found.last_sequence}: {found.stopped}")
    if divergence is not None:
        sys.exit(Exit.PLATFORM)
    sys.exit(Exit.FAILED if found.stopped else Exit.OK)


def _platform_log(data_dir: Path) -> str:
    """Where the platform of a data folder keeps the log."""
    stores = data_dir / "stores"
    if not any(one.name == ValkeyStore.name for one in running_stores(stores)):
        raise click.UsageError(f"no platform runs over {data_dir}: --log names the log's Redis")
    store = ValkeyStore(stores / ValkeyStore.name)
    store.start()  # it runs: this attaches to it
    return store.url
