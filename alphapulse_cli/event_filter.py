"""Which market events: the options that every command on a stream has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import click

from alphapulse.domain.asset_class import AssetClass
from strategy_sdk import Domain, EventFilter, EventType

_OPTIONS: Final = (
    click.option(
        "--type",
        "types",
        type=click.Choice([kind.name.lower() for kind in EventType], case_sensitive=False),
        multiple=True,
        help="Only events of this type; can be given again.",
    ),
    click.option(
        "--domain",
        type=click.Choice([domain.title for domain in Domain], case_sensitive=False),
        help="market, signal or execution; that of the types where it is not given, and market without any.",
    ),
    click.option(
        "--venue", "venues", multiple=True, help="Only events of this venue, such as BINANCE; can be given again."
    ),
    click.option(
        "--symbol", "symbols", multiple=True, help="Only this symbol, as the venue spells it; can be given again."
    ),
    click.option(
        "--class",
        "classes",
        type=click.Choice([kind.name.lower() for kind in AssetClass], case_sensitive=False),
        multiple=True,
        help="Only instruments of this asset class; can be given again.",
    ),
    click.option("--unknown", is_flag=True, help="Events of listings that the registries do not know, too."),
)


def filter_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a command the options; `filter_of` takes what they were given."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def filter_of(
    types: tuple[str, ...],
    domain: str | None,
    venues: tuple[str, ...],
    symbols: tuple[str, ...],
    classes: tuple[str, ...],
    unknown: bool,
) -> EventFilter:
    """The filter the options say."""
    return EventFilter(
        event_types=[EventType[name.upper()] for name in types],
        domain=Domain[domain.upper()] if domain else None,
        venues=venues,
        symbols=symbols,
        asset_classes=[AssetClass[name.upper()] for name in classes],
        include_unknown=unknown,
    )
