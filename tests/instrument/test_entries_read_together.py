"""Entries of one shape are read as a table and staged as a run: of each it must come to what reading and staging it alone comes to."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphapulse.api.instrument.v1 import instrument_pb2 as wire
from alphapulse.api.instrument.v1 import instrument_service_pb2 as service
from alphapulse.domain.identifiers import Isin, Scheme, check_digits, identifier_type
from alphapulse.domain.identifiers.check_digits import double_add_double, sedol_weighted
from registry_service.instrument.registering import columns, soundness, usual
from registry_service.instrument.registering.columns import read_together
from registry_service.instrument.registering.drafts import Draft, Minter
from registry_service.instrument.registering.holdings import Holdings
from registry_service.instrument.registering.runs import create_run
from registry_service.instrument.registering.usual import Usual, create_usual, read
from registry_service.storage.model import ChangeKind, Entity, IdentifierRow

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
LENGTHS = {Scheme.ISIN: 12, Scheme.CUSIP: 9, Scheme.SEDOL: 7, Scheme.FIGI: 12}


def cusip(number: int, first: str = "0") -> str:
    body = f"{first}{number:07d}"
    return body + str(double_add_double(body))


def filled(scheme: Scheme, body: str) -> str:
    """A value of the scheme around these characters, with the check digit that belongs to them."""
    if scheme is Scheme.ISIN:
        return body[:11] + str(check_digits.luhn_expanded(body[:11]))
    if scheme is Scheme.SEDOL:
        vowelless = body[:6].translate(str.maketrans("AEIOU", "BCDFG"))
        return vowelless + str(sedol_weighted(vowelless))
    if scheme is Scheme.FIGI:
        body = "".join(char if char not in "AEIOU" else "B" for char in f"{body[:2]}G{body[3:]}")[:11]
    return (payload := body[: LENGTHS[scheme] - 1]) + str(double_add_double(payload))


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(sorted(LENGTHS)),
    st.lists(
        st.tuples(
            st.text(ALPHABET, min_size=12, max_size=12),
            st.sampled_from(["", "US", "GB", "KY", "BBG", "BSG", "9", "I"]),
            st.none() | st.tuples(st.integers(0, 11), st.sampled_from([*ALPHABET, "*", "#", "a", "é", "\0"])),
        ),
        min_size=1,
        max_size=30,
    ),
)
def test_a_column_is_as_sound_as_its_values(
    scheme: Scheme, made: list[tuple[str, str, tuple[int, str] | None]]
) -> None:
    """Against `broken_rule`, of values with right check digits, and of values spoilt."""
    values = []
    for text, begin, spoilt in made:
        value = filled(scheme, (begin + text)[:12])
        if spoilt is not None:
            at = spoilt[0] % len(value)
            value = value[:at] + spoilt[1] + value[at + 1 :]
        values.append(value)
    table = np.frombuffer("".join(values).encode("latin-1"), np.uint8).reshape(len(values), LENGTHS[scheme])
    sound = soundness.surely_sound(int(scheme), table)
    assert sound is not None
    assert sound.tolist() == [identifier_type(scheme).broken_rule(value) is None for value in values]
    assert soundness.texts(table) == values


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(ALPHABET, min_size=9, max_size=9), min_size=1, max_size=20))
def test_the_isins_around_a_column_are_those_around_each(numbers: list[str]) -> None:
    prefixes = ("AN", "CA", "GB", "US")
    table = np.frombuffer("".join(numbers).encode(), np.uint8).reshape(len(numbers), 9)
    around = soundness.isins_around(table, prefixes)
    assert [list(one) for one in zip(*around, strict=True)] == [
        [f"{prefix}{one}{check_digits.luhn_expanded(prefix + one)}" for prefix in prefixes] for one in numbers
    ]


class Recorder:
    """In place of a session: what is staged, as it was."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 30, 1, 2, 3, 456789, tzinfo=UTC)
        self.versions: list[tuple[object, ...]] = []
        self.rows: list[IdentifierRow] = []
        self._revision = 16_380

    def next_revision(self) -> int:
        self._revision += 1
        return self._revision

    def put(self, entity: Entity, change: ChangeKind, keys: tuple[str, ...]) -> None:
        self.versions.append((entity, change, keys))

    def put_all(self, entities: Sequence[Entity], change: ChangeKind, keys: Sequence[tuple[str, ...]]) -> None:
        self.versions += [(one, change, each) for one, each in zip(entities, keys, strict=True)]

    def assert_identifiers(self, rows: Sequence[IdentifierRow]) -> None:
        self.rows += rows


@st.composite
def shares(draw: st.DrawFn) -> list[wire.Instrument]:
    """Of one shape, but for some: with other lengths of names, another currency, a name or a number that is none."""
    bare = draw(st.booleans())
    kinds = draw(st.sampled_from([("isin", "cusip"), ("cusip",), ("isin",), ("isin", "cusip", "lei"), ("cins",)]))
    made = []
    for number in draw(st.lists(st.integers(1, 40), min_size=2, max_size=12)):
        odd = draw(st.sampled_from(["", "", "", "", "name", "number", "currency", "blank", "inside"]))
        name = {"name": "Møller", "blank": " "}.get(odd, "n" * draw(st.sampled_from([1, 20, 127, 128])))
        share = wire.Instrument(name=name, source="feed", equity=wire.EquityDetails(currency="USD"))
        share.asset_class = 1  # type: ignore[assignment]
        share.equity.currency = "EUR" if odd == "currency" else "USD"
        own = cusip(number)
        values = {
            "isin": (1, Isin.from_nsin("US", cusip(41) if odd == "inside" else own).value),
            "cusip": (2, own[:-1] + "x" if odd == "number" else own),
            "cins": (2, cusip(number, "G")),
            "lei": (5, "549300MLUDYVRQOOXS22"),
        }
        for kind in kinds:
            scheme, value = values[kind]
            one = share.identifiers.add(scheme=scheme, value=value)
            if not bare:
                one.level, one.source = 1 if scheme == 5 else 2, "feed"  # type: ignore[assignment]
        made.append(share)
    return made


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


@settings(max_examples=150, deadline=None)
@given(shares())
def test_a_table_is_read_as_its_entries_are_and_a_run_staged_as_they_are(made: list[wire.Instrument]) -> None:
    usual._SHAPES.clear()
    minter = Minter()
    raws = [one.SerializeToString() for one in made]
    for raw in raws:  # learns their shapes
        read(wire.Instrument.FromString(raw), (), minter, raw)
    alone = [read(wire.Instrument.FromString(raw), (), minter, raw) for raw in raws]
    entries = [service.InstrumentEntry(instrument=one) for one in made]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(columns, "_FEWEST", 1)
        together = read_together(entries, raws, minter)
    for one, other in zip(together, alone, strict=True):
        assert (one is not None) == (isinstance(other, Usual) and len(other.name) < 128)
        if one is not None:
            assert [_plain(each) for each in one] == [_plain(each) for each in other]  # type: ignore[union-attr]
    known = [one for one in alone if isinstance(one, Usual) and not one.sharing]
    run = [one for one in known if one.shape is known[0].shape]
    if not run:
        return
    quick, slow = Recorder(), Recorder()
    holdings = Holdings(slow)  # type: ignore[arg-type]
    each = [create_usual(holdings, one) for one in run]
    whole = create_run(Holdings(quick), run)  # type: ignore[arg-type]
    assert whole == all(each), "a run is staged where each of it is new, and nobody claims what another bears"
    assert (quick.versions, quick.rows) == ((slow.versions, slow.rows) if whole else ([], []))


def test_most_of_a_batch_is_read_together() -> None:
    """The comparisons above are about something."""
    usual._SHAPES.clear()
    made = []
    for number in range(columns._FEWEST + 4):
        share = wire.Instrument(name=f"No {number}", source="feed", equity=wire.EquityDetails(currency="USD"))
        share.asset_class = 1  # type: ignore[assignment]
        share.identifiers.add(scheme=1, value=Isin.from_nsin("US", cusip(number)).value)
        share.identifiers.add(scheme=2, value=cusip(number))
        made.append(share)
    raw = made[0].SerializeToString()
    assert isinstance(read(wire.Instrument.FromString(raw), (), Minter(), raw), Draft)
    made[5].identifiers[1].value = cusip(99)  # not the one inside its ISIN
    entries = [service.InstrumentEntry(instrument=one) for one in made]
    found = read_together(entries, [one.SerializeToString() for one in made], Minter())
    assert [at for at, one in enumerate(found) if one is None] == [5]
