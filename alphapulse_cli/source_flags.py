"""Where a platform on this machine has its events from: options that the commands which start one share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click


def source_options(function: Callable[..., None]) -> Callable[..., None]:
    """Adds `source`, `recordings`, `speed` and `seed_number` to a command."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


_OPTIONS = (
    click.option(
        "--source",
        type=click.Choice(["simulated", "live"]),
        default="simulated",
        show_default=True,
        help="Where events come from.",
    ),
    click.option(
        "--recordings",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        help="Replay these recordings instead.",
    ),
    click.option(
        "--speed",
        type=click.FloatRange(min=0),
        default=4.0,
        show_default=True,
        help="Of the replay; 0 is as fast as it goes.",
    ),
    click.option("--seed-number", type=int, default=1, show_default=True, help="Of the simulated venues."),
)
