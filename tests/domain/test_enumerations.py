"""The numbers of the domain's enumerations are those of the API; flags and currencies are what they claim."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import pycountry
import pytest

from alphapulse.domain.asset_class import AssetClass
from alphapulse.domain.currencies import ISO_4217, METALS, WITHDRAWN, minor_units
from alphapulse.domain.identifiers import Level, Scheme
from alphapulse.domain.instruments import CurrencyKind, ExerciseStyle, InstrumentStatus, ListingStatus, OptionRight
from alphapulse.domain.outcomes import LookupOutcome, LookupView
from alphapulse.domain.provenance import Provenance, RecordFlag, flags_of, marks_of, provenance_of

COMMON = "alphapulse.api.common.v1.common_pb2"
INSTRUMENT = "alphapulse.api.instrument.v1.instrument_pb2"
LOOKUPS = "alphapulse.api.instrument.v1.instrument_service_pb2"


@pytest.mark.parametrize(
    ("module", "name", "prefix", "ours"),
    [
        (COMMON, "AssetClass", "ASSET_CLASS_", AssetClass),
        (COMMON, "IdentifierScheme", "IDENTIFIER_SCHEME_", Scheme),
        (COMMON, "IdentifierLevel", "IDENTIFIER_LEVEL_", Level),
        (COMMON, "LookupOutcome", "LOOKUP_OUTCOME_", LookupOutcome),
        (LOOKUPS, "LookupView", "LOOKUP_VIEW_", LookupView),
        (COMMON, "Provenance", "PROVENANCE_", Provenance),
        (INSTRUMENT, "InstrumentStatus", "INSTRUMENT_STATUS_", InstrumentStatus),
        (INSTRUMENT, "ListingStatus", "LISTING_STATUS_", ListingStatus),
        (INSTRUMENT, "CurrencyKind", "CURRENCY_KIND_", CurrencyKind),
        (INSTRUMENT, "OptionRight", "OPTION_RIGHT_", OptionRight),
        (INSTRUMENT, "ExerciseStyle", "EXERCISE_STYLE_", ExerciseStyle),
    ],
)
def test_numbers_equal_those_of_the_api(module: str, name: str, prefix: str, ours: type[IntEnum]) -> None:
    theirs: Any = getattr(pytest.importorskip(module), name)
    wanted = {text.removeprefix(prefix): number for text, number in theirs.items() if number}
    assert {member.name: member.value for member in ours} == wanted


def test_flag_bits_equal_those_of_the_api() -> None:
    theirs: Any = pytest.importorskip("alphapulse.api.marketdata.v1.marketdata_pb2").EventFlag
    wanted = {text.removeprefix("EVENT_FLAG_"): 1 << number for text, number in theirs.items() if number}
    assert {flag.name: flag.value for flag in RecordFlag} == wanted


@pytest.mark.parametrize("provenance", list(Provenance))
def test_flags_hold_provenance_and_marks(provenance: Provenance) -> None:
    flags = flags_of(provenance, RecordFlag.STALE, RecordFlag.CROSSED)
    assert provenance_of(flags) is provenance
    assert marks_of(flags) == (RecordFlag.CROSSED, RecordFlag.STALE)


def test_nobody_said_is_no_provenance() -> None:
    assert provenance_of(RecordFlag.STALE) is None


def test_currencies_are_those_of_iso_4217() -> None:
    assert {currency.alpha_3 for currency in pycountry.currencies} == ISO_4217
    assert not ISO_4217 & WITHDRAWN
    assert METALS < ISO_4217
    assert [minor_units(code) for code in ("USD", "JPY", "KWD", "CLF", "XAU", "BTC")] == [2, 0, 3, 4, None, None]
