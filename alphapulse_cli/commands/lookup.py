"""`alphapulse lookup SCHEME VALUE`: who bears an identifier."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import click
import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from alphapulse.api.common.v1 import common_pb2
from alphapulse.api.instrument.v1 import instrument_pb2, instrument_service_pb2_grpc
from alphapulse.api.instrument.v1 import instrument_service_pb2 as pb
from alphapulse.api.venue.v1 import venue_service_pb2, venue_service_pb2_grpc
from alphapulse.client import READ_DEADLINE, open_channel
from alphapulse_cli.context import Locator, as_dict, data_dir_option, json_option, print_json, print_table, run
from alphapulse_cli.exits import Exit
from alphapulse_cli.moment import Moment

SCHEMES: Final = ("isin", "cusip", "sedol", "figi", "symbol", "mic", "lei", "caip19", "ticker", "id")
_NAMED_AT_VENUES: Final = ("symbol", "ticker")
"""Names that mean something at a venue; of others --venue prefers one of the listings."""
_EXITS: Final = {
    common_pb2.LOOKUP_OUTCOME_RESOLVED: Exit.OK,
    common_pb2.LOOKUP_OUTCOME_NOT_FOUND: Exit.NOT_FOUND,
    common_pb2.LOOKUP_OUTCOME_INVALID: Exit.USAGE,
}


async def _lookup(
    channel: grpc.aio.Channel, scheme: str, value: str, venue: str, options: pb.LookupOptions
) -> pb.LookupResult:
    stub = instrument_service_pb2_grpc.InstrumentServiceStub(channel)
    if scheme == "isin":
        return (await stub.LookupISIN(pb.LookupISINRequest(isin=value, options=options), timeout=READ_DEADLINE)).result
    if scheme == "cusip":
        return (
            await stub.LookupCUSIP(pb.LookupCUSIPRequest(cusip=value, options=options), timeout=READ_DEADLINE)
        ).result
    if scheme == "sedol":
        return (
            await stub.LookupSEDOL(pb.LookupSEDOLRequest(sedol=value, options=options), timeout=READ_DEADLINE)
        ).result
    if scheme == "figi":
        return (await stub.LookupFIGI(pb.LookupFIGIRequest(figi=value, options=options), timeout=READ_DEADLINE)).result
    if scheme == "symbol":
        asked = pb.LookupSymbolRequest(symbol=value, venue=venue, options=options)
        return (await stub.LookupSymbol(asked, timeout=READ_DEADLINE)).result
    if scheme == "id":
        request = pb.GetInstrumentRequest(instrument_id=value)
        for field in ("as_of", "known_at"):
            if options.HasField(field):
                getattr(request, field).CopyFrom(getattr(options, field))
        entry = (await stub.GetInstrument(request, timeout=READ_DEADLINE)).entry
        return pb.LookupResult(outcome=common_pb2.LOOKUP_OUTCOME_RESOLVED, entries=[entry])
    item = pb.LookupItem(
        scheme=common_pb2.IdentifierScheme.Value(f"IDENTIFIER_SCHEME_{scheme.upper()}"), value=value, venue=venue
    )
    return (
        await stub.BatchLookup(pb.BatchLookupRequest(items=[item], options=options), timeout=READ_DEADLINE)
    ).results[0]


def _show(result: pb.LookupResult, ids: bool) -> None:
    outcome = common_pb2.LookupOutcome.Name(result.outcome).removeprefix("LOOKUP_OUTCOME_")
    click.echo(f"{outcome}{': ' + result.explanation if result.explanation else ''}")
    if result.HasField("violation"):
        v = result.violation
        click.echo(f"  {v.field} = {v.value!r}: {v.description} ({v.rule})")
    if ids:
        _show_ids(result)
    else:
        for entry in result.entries:
            _show_entry(entry)
    if result.spans:
        print_table(
            ("holder", "from", "to"),
            [
                (
                    s.listing_id or s.instrument_id,
                    _day(s.valid_from) if s.HasField("valid_from") else "-",
                    _day(s.valid_to) if s.HasField("valid_to") else "-",
                )
                for s in result.spans
            ],
        )


def _show_ids(result: pb.LookupResult) -> None:
    for entry in result.entries:
        click.echo(entry.instrument.instrument_id)
        for one in entry.listings:
            click.echo(f"  {one.listing_id}  {one.venue}:{one.symbol}")


def _day(time: Timestamp) -> str:
    return time.ToDatetime().date().isoformat()


def _show_entry(entry: pb.InstrumentEntry) -> None:
    instrument = entry.instrument
    kind = common_pb2.AssetClass.Name(instrument.asset_class).removeprefix("ASSET_CLASS_")
    click.echo(f"\n{instrument.name}  [{kind}]\n  id {instrument.instrument_id}")
    for a in instrument.identifiers:
        scheme = common_pb2.IdentifierScheme.Name(a.scheme).removeprefix("IDENTIFIER_SCHEME_")
        click.echo(f"  {scheme} {a.value}{' at ' + a.venue if a.venue else ''}  (source: {a.source or 'not given'})")
    if entry.listings:
        print_table(
            ("  venue", "symbol", "currency", "status", "primary", "listing id"),
            [
                (
                    f"  {x.venue}",
                    x.symbol,
                    x.currency,
                    instrument_pb2.ListingStatus.Name(x.status).removeprefix("LISTING_STATUS_").lower(),
                    "yes" if x.primary else "",
                    x.listing_id,
                )
                for x in entry.listings
            ],
        )


@click.command()
@click.argument("scheme", type=click.Choice(SCHEMES, case_sensitive=False))
@click.argument("value")
@click.option(
    "--venue",
    default="",
    help="Venue of a symbol or ticker, such as BINANCE or XNAS; of another scheme the listing there is preferred.",
)
@click.option("--as-of", type=Moment(), help="Who bore it then (UTC).")
@click.option("--known-at", type=Moment(), help="What was known then (UTC).")
@click.option("--primary-only", is_flag=True, help="Only the primary listing.")
@click.option("--ids", is_flag=True, help="Only the ids of who bears it and of its listings.")
@json_option
@data_dir_option
def command(
    scheme: str,
    value: str,
    venue: str,
    as_of: datetime | None,
    known_at: datetime | None,
    primary_only: bool,
    ids: bool,
    as_json: bool,
    data_dir: Path,
) -> None:
    """Find who bears an identifier: alphapulse lookup isin US0378331005."""
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise click.BadParameter("not a text: it holds bytes that are no UTF-8", param_hint="VALUE") from error
    _check_options(scheme, venue, primary_only, ids)
    view = pb.LOOKUP_VIEW_IDS if ids else pb.LOOKUP_VIEW_UNSPECIFIED
    options = pb.LookupOptions(primary_only=primary_only, view=view)
    if venue and scheme not in _NAMED_AT_VENUES:
        options.preferred_venues.append(venue)
    for field, time in (("as_of", as_of), ("known_at", known_at)):
        if time is not None:
            getattr(options, field).FromDatetime(time)
    locator = Locator(data_dir)
    if scheme == "mic":
        sys.exit(_lookup_mic(locator.address("venue"), value, options, as_json))
    address = locator.address("instrument")

    async def call() -> pb.LookupResult:
        async with open_channel(address) as channel:
            return await _lookup(channel, scheme, value, venue, options)

    result = run(call, address)
    if as_json:
        print_json(as_dict(result))
    else:
        _show(result, ids)
    sys.exit(_EXITS.get(result.outcome, Exit.UNDECIDED))


def _check_options(scheme: str, venue: str, primary_only: bool, ids: bool) -> None:
    """What a question cannot heed is refused, not passed over."""
    for name, given in (("--venue", bool(venue)), ("--primary-only", primary_only)):
        if given and scheme in ("id", "mic"):
            raise click.UsageError(f"{name} chooses between listings: it says nothing of a look-up by {scheme}")
    if ids and scheme in ("id", "mic"):
        raise click.UsageError(f"--ids asks whose name it is: it says nothing of a look-up by {scheme}")


def _lookup_mic(address: str, mic: str, options: pb.LookupOptions, as_json: bool) -> int:
    request = venue_service_pb2.LookupMICRequest(mic=mic)
    for field in ("as_of", "known_at"):
        if options.HasField(field):
            getattr(request, field).CopyFrom(getattr(options, field))

    async def call() -> venue_service_pb2.LookupMICResponse:
        async with open_channel(address) as channel:
            stub = venue_service_pb2_grpc.VenueServiceStub(channel)
            return await stub.LookupMIC(request, timeout=READ_DEADLINE)

    answer: Any = run(call, address)
    if as_json:
        print_json(as_dict(answer))
    else:
        click.echo(common_pb2.LookupOutcome.Name(answer.outcome).removeprefix("LOOKUP_OUTCOME_"))
        venues = [answer.venue, *answer.segments] if answer.HasField("venue") else []
        print_table(
            ("code", "name", "country", "time zone", "operating MIC"),
            [(v.code, v.name, v.country, v.time_zone, v.operating_mic) for v in venues],
        )
        if answer.HasField("violation"):
            wrong = answer.violation
            click.echo(f"  {wrong.field} = {wrong.value!r}: {wrong.description} ({wrong.rule})")
    return int(_EXITS.get(answer.outcome, Exit.UNDECIDED))
