"""Rows of SyntheticUpdate, packed one at a time: a struct with the constant bytes among its arguments beats a structured array for single rows."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from alphapulse.records import SYNTHETIC_UPDATE

if TYPE_CHECKING:
    from relay_service.enrichment.synthetics import Outcome

_CODES: Final = {"u1": "B", "u8": "Q", "i8": "q", "u4": "I", "i4": "i", "f8": "d"}


def _compiled() -> tuple[struct.Struct, list[object], dict[str, int]]:
    """(struct, arguments of an empty row, place of each field among them)."""
    dtype = SYNTHETIC_UPDATE.dtype
    fields: Mapping[str, Any] = dtype.fields or {}
    names = dtype.names or ()
    codes = "".join(_CODES[fields[name][0].str.lstrip("<|")] for name in names)
    empty = SYNTHETIC_UPDATE.new(1)[0]
    return struct.Struct("<" + codes), [empty[name].item() for name in names], {n: k for k, n in enumerate(names)}


_STRUCT, _EMPTY, _PLACE = _compiled()
_ORDER: Final = tuple(
    _PLACE[name]
    for name in (
        *("listing_key", "relay_in_ns", "definition_version", "flags", "value", "bid", "ask", "state"),
        *("formula_version", "cause_listing_key", "oldest_input_time_ns", "trigger_sequence", "executable_size"),
    )
)


def synthetic_row(key: int, version: int, outcome: Outcome, trigger: int, now_ns: int) -> bytes:
    """One row of SyntheticUpdate, its sequence not yet given."""
    values = (
        *(key, now_ns, version, outcome.provenance, outcome.value, outcome.bid, outcome.ask, int(outcome.state)),
        *(version, outcome.cause, outcome.oldest_ns, trigger, float("nan")),
    )
    row = _EMPTY.copy()
    for place, value in zip(_ORDER, values, strict=True):
        row[place] = value
    return _STRUCT.pack(*row)
