"""An instrument with its listings from options of a command line: what is common. The JSON of the API says everything."""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

import click

from alphapulse.api.common.v1 import common_pb2
from alphapulse.api.instrument.v1 import instrument_pb2 as wire
from alphapulse.api.instrument.v1 import instrument_service_pb2 as pb
from alphapulse_cli.moment import Moment
from alphapulse_cli.registry_calls import number_of, stamp

_CLASSES: Final = ("equity", "etf", "fund", "bond", "index")
"""Those whose details are a currency and perhaps a country; the others are registered as JSON."""
_SHORTCUTS: Final = ("isin", "cusip", "sedol", "figi")


def entry_options(function: Callable[..., None]) -> Callable[..., None]:
    """The options; the command gets `flagged`, an InstrumentEntry, or None where none of them is given."""

    @click.option(
        "--name", help="Name of the instrument; with it, the entry is made from these options and FILE is not read."
    )
    @click.option(
        "--class", "asset_class", type=click.Choice(_CLASSES), default="equity", show_default=True, help="Its class."
    )
    @click.option("--currency", default="", help="ISO 4217 code of the currency it is denominated in.")
    @click.option("--country", default="", help="ISO 3166 code of its country.")
    @click.option("--isin", default="", help="Its ISIN.")
    @click.option("--cusip", default="", help="Its CUSIP.")
    @click.option("--sedol", default="", help="Its SEDOL.")
    @click.option("--figi", default="", help="Its FIGI of the share class.")
    @click.option(
        "--identifier",
        "identifiers",
        multiple=True,
        metavar="SCHEME=VALUE[@VENUE]",
        help="Another identifier; can be repeated.",
    )
    @click.option(
        "--listing",
        "listings",
        multiple=True,
        metavar="VENUE:SYMBOL:CURRENCY",
        help="Where it is listed, the primary listing first; can be repeated.",
    )
    @click.option("--since", type=Moment(), help="When the listings began: a day, or a time.")
    @click.option("--source", default="", help="Who says so.")
    @functools.wraps(function)
    def with_entry(**kwargs: Any) -> None:
        names = (
            "name",
            "asset_class",
            "currency",
            "country",
            *_SHORTCUTS,
            "identifiers",
            "listings",
            "since",
            "source",
        )
        given = {name: kwargs.pop(name) for name in names}
        kwargs["flagged"] = _entry(given)
        function(**kwargs)

    return with_entry


def _entry(given: dict[str, Any]) -> pb.InstrumentEntry | None:
    if not given["name"]:
        extra = [name for name, value in given.items() if value and name not in ("name", "asset_class")]
        if extra:
            raise click.UsageError(f"--{extra[0].rstrip('s')} needs --name: without it, FILE is read")
        return None
    kind = given["asset_class"]
    instrument = wire.Instrument(
        name=given["name"],
        asset_class=number_of(common_pb2.AssetClass, "ASSET_CLASS_", kind),
        source=given["source"] or "alphapulse register",
    )
    details = getattr(instrument, kind)
    details.SetInParent()
    for field in ("currency", "country"):
        if given[field]:
            if field not in details.DESCRIPTOR.fields_by_name:
                raise click.UsageError(f"--{field} says nothing of a {kind}")
            setattr(details, field, given[field])
    claims = [f"{scheme}={given[scheme]}" for scheme in _SHORTCUTS if given[scheme]]
    instrument.identifiers.extend(_claim(one) for one in (*claims, *given["identifiers"]))
    return pb.InstrumentEntry(
        instrument=instrument,
        listings=[_listing(one, given["since"], not at) for at, one in enumerate(given["listings"])],
    )


def _claim(text: str) -> wire.IdentifierAssertion:
    scheme, equals, rest = text.partition("=")
    value, _, venue = rest.partition("@")
    if not equals or not value:
        raise click.BadParameter(f"{text!r} is not SCHEME=VALUE or SCHEME=VALUE@VENUE", param_hint="--identifier")
    try:
        number = number_of(common_pb2.IdentifierScheme, "IDENTIFIER_SCHEME_", scheme)
    except ValueError as error:
        raise click.BadParameter(f"{scheme!r} is no naming system", param_hint="--identifier") from error
    return wire.IdentifierAssertion(scheme=number, value=value, venue=venue)


def _listing(text: str, since: datetime | None, primary: bool) -> wire.Listing:
    # A symbol may hold colons; venues and currencies never do.
    venue, colon, rest = text.partition(":")
    symbol, second, currency = rest.rpartition(":")
    if not (colon and second and venue and symbol and currency):
        raise click.BadParameter(f"{text!r} is not VENUE:SYMBOL:CURRENCY", param_hint="--listing")
    return wire.Listing(venue=venue, symbol=symbol, currency=currency, primary=primary, valid_from=stamp(since))
