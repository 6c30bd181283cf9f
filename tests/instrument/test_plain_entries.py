"""Identifiers of the usual kind are read in one pass: it must say what the rules say one by one."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given, settings
from hypothesis import strategies as st

from alphapulse.api.instrument.v1 import instrument_pb2 as wire
from alphapulse.domain.identifiers import Scheme, identifier_type
from alphapulse.domain.validation import TEXT_LENGTH
from registry_service.instrument import convert
from registry_service.instrument.registering.drafts import Draft, Minter, prepare

_VALUES = (
    *(
        "US0378331005",
        "us0378331005",
        " US0378331005",
        "US0378331006",
        "GB0002634946",
        "037833100",
        "037833101",
        "0263494",
    ),
    *(
        "BBG000B9XRY4",
        "bbg000b9xry4",
        "BBG000B9XRY5",
        "549300MLUDYVRQOOXS22",
        "ESVUFR",
        "OPASPS",
        "XNAS",
        "AAPL",
        "AAPL.O",
    ),
    *(
        "eip155:1",
        "eip155:1/erc20:0xdAC17F958D2ee523a2206206994597C13D831ec7",
        "eip155:1/erc20:0xdac17f958d2ee523a2206206994597c13d831ec7",
    ),
    *("X9J9K872S", "AAPL  240119C00190000", "own/1", "", "x" * 300, "tab\there", "ж"),
)
_TIMES = st.none() | st.sampled_from([Timestamp(seconds=0), Timestamp(seconds=5, nanos=1), Timestamp(seconds=1 << 50)])
_TEXTS = st.sampled_from(["", "feed", "\x00", "ж", "s" * TEXT_LENGTH, "s" * (TEXT_LENGTH + 1)])


@st.composite
def _identifier(draw: st.DrawFn) -> wire.IdentifierAssertion:
    made = wire.IdentifierAssertion(value=draw(st.sampled_from(_VALUES)), source=draw(_TEXTS))
    fitting = [one for one in Scheme if identifier_type(one).is_valid(made.value)]
    usual = st.sampled_from(fitting or list(Scheme)).map(int)
    made.scheme = draw(usual | usual | st.integers(0, 17))  # type: ignore[assignment]
    made.level = draw(st.just(2) | st.integers(0, 6))  # type: ignore[assignment]
    if draw(st.integers(0, 3)) == 0:
        made.venue = draw(st.sampled_from(["", "XNAS", "nasdaq"]))
        for name in ("valid_from", "valid_to", "recorded_from", "recorded_to"):
            if (time := draw(_TIMES)) is not None:
                getattr(made, name).CopyFrom(time)
    return made


@st.composite
def _entry(draw: st.DrawFn) -> tuple[wire.Instrument, list[wire.Listing]]:
    made = wire.Instrument(
        asset_class=draw(st.integers(0, 17) | st.just(1)),  # type: ignore[arg-type]
        name=draw(st.sampled_from(["Apple", "", " ", "\n", "a\x07", "n" * 513, "　"])),
        source=draw(_TEXTS),
        status=draw(st.integers(0, 5)),  # type: ignore[arg-type]
        equity=wire.EquityDetails(
            currency=draw(st.sampled_from(["USD", "usd", ""])), sector=draw(_TEXTS), country="US"
        ),
        identifiers=draw(st.lists(_identifier(), max_size=5)),
    )
    venues = st.sampled_from(["XNAS", "BATS", "nasdaq"])
    listings = [wire.Listing(venue=one, symbol="AAPL", currency="USD") for one in draw(st.lists(venues, max_size=2))]
    return made, listings


def _told(message: wire.Instrument, listings: Sequence[wire.Listing]) -> tuple[Draft, tuple[object, ...]]:
    copy = wire.Instrument.FromString(message.SerializeToString())
    draft = prepare(copy, listings, Minter())
    kept = (draft.violations, draft.instrument, draft.listings, draft.text, draft.id, draft.hex, draft.listing_ids)
    return draft, (*kept, draft.claims, draft.references, draft.symbols, copy.SerializeToString(deterministic=True))


@settings(max_examples=400, deadline=None)
@given(_entry())
def test_identifiers_read_in_one_pass_are_what_they_are_one_by_one(
    entry: tuple[wire.Instrument, list[wire.Listing]],
) -> None:
    """Violations, ids, claims and the message that is kept do not depend on which way an identifier was read."""
    quick, found = _told(*entry)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(convert, "_PLAIN", {})
        slow, expected = _told(*entry)
    assert found == expected
    assert not slow.plain or not entry[0].identifiers
    if quick.plain:  # what was sent is what is kept
        assert list(quick.message.identifiers) == list(entry[0].identifiers)


def test_usual_identifiers_are_read_in_one_pass() -> None:
    """The comparison above is about something: a share's ISIN, CUSIP and FIGI are read so, a ticker at a venue is not."""
    sent = [(1, "US0378331005"), (2, "037833100"), (4, "BBG000B9XRY4")]
    usual = [wire.IdentifierAssertion(scheme=scheme, value=value, level=2, source="feed") for scheme, value in sent]  # type: ignore[arg-type]
    ticker = wire.IdentifierAssertion(scheme=13, value="AAPL", level=4, source="feed", venue="XNAS")  # type: ignore[arg-type]
    for identifiers, plain in ((usual, True), ([*usual, ticker], False)):
        message = wire.Instrument(
            asset_class=1,  # type: ignore[arg-type]
            name="Apple",
            equity=wire.EquityDetails(currency="USD"),
            identifiers=identifiers,
        )
        draft = prepare(message, [], Minter())
        assert draft.plain is plain
        assert not draft.violations
