"""Entries of a shape met before are read and staged in one pass: it must come to what the whole way comes to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from google.protobuf.message import DecodeError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncEngine

from alphapulse.api.instrument.v1 import instrument_pb2 as wire
from alphapulse.api.instrument.v1 import instrument_service_pb2 as service
from alphapulse.domain.identifiers import Isin
from alphapulse.domain.identifiers.check_digits import double_add_double, sedol_weighted
from alphapulse.domain.ids import sha256
from registry_service.instrument.registering import columns, usual
from registry_service.instrument.registering.columns import read_together
from registry_service.instrument.registering.drafts import Draft, Minter, prepare
from registry_service.instrument.registering.holdings import Holdings
from registry_service.instrument.registering.needs import needs_of
from registry_service.instrument.registering.planning import Registered
from registry_service.instrument.registering.registration import _plan, register
from registry_service.instrument.registering.spelling import instruments_of
from registry_service.instrument.registering.usual import Usual, read
from registry_service.storage.database import make_engine
from registry_service.storage.model import Change, EntityKind, IdentifierKey, IdentifierRow, Query, WriteSession
from registry_service.storage.postgres import PostgresStore

Entry = tuple[wire.Instrument, list[wire.Listing]]
Way = Callable[[Sequence[Entry], Minter], "list[Draft | Usual]"]
Named = tuple[tuple[int, str], ...]
ISIN, CUSIP, SEDOL, FIGI, LEI, DTI, OWN = 1, 2, 3, 4, 5, 11, 15
LEIS = ("549300MLUDYVRQOOXS22", "7LTWFZYICNSX8D621K86")


def cusip(number: int) -> str:
    body = f"{number:08d}"
    return body + str(double_add_double(body))


def sedol(number: int) -> str:
    body = f"{number:06d}"
    return body + str(sedol_weighted(body))


def figi(number: int) -> str:
    body = f"BBG0000000{number}"
    return body + str(double_add_double(body))


def cut(data: bytes) -> bytes:
    """Of 16 different beginnings: ids collide."""
    return bytes([(sha256(data)[0] & 0xF) << 4 | 1, *bytes(15)])


NUMBERS = st.integers(1, 4)
"""Few, so that entries of one batch and of several claim each other's names."""


@st.composite
def identifiers(draw: st.DrawFn) -> list[wire.IdentifierAssertion]:
    number, other = draw(NUMBERS), draw(st.sampled_from([0, 0, 0, 1]))
    us, gb = Isin.from_nsin("US", cusip(number)).value, Isin.from_nsin("GB", f"00{sedol(number)}").value
    de, kinds = Isin.from_nsin("DE", f"{number:09d}").value, st.sampled_from([FIGI, LEI, OWN])
    inside = draw(
        st.sampled_from(
            [
                *([(ISIN, us), (CUSIP, cusip(number + other))], [(CUSIP, cusip(number))], [(ISIN, us)]),
                *([(SEDOL, sedol(number + other)), (ISIN, gb)], [(SEDOL, sedol(number))], [(ISIN, de)]),
                *([(ISIN, Isin.from_nsin("CA", cusip(number)).value)], [(ISIN, de), (CUSIP, cusip(number))], []),
            ]
        )
    )
    value_of = {FIGI: figi(number), LEI: LEIS[number % 2], OWN: f"own-{number}"}
    more = [(kind, value_of[kind]) for kind in draw(st.lists(kinds, max_size=2, unique=True))]
    level_of = {LEI: 1, FIGI: draw(st.sampled_from([2, 2, 3]))}
    said, source = draw(st.sampled_from([True, True, False])), draw(st.sampled_from(["feed", "feed", ""]))
    return [
        wire.IdentifierAssertion(
            scheme=scheme,  # type: ignore[arg-type]
            value=draw(st.sampled_from([value] * 9 + [value.lower()])),
            level=level_of.get(scheme, 2) if said else 0,  # type: ignore[arg-type]
            source=source,
        )
        for scheme, value in [*inside, *more]
    ]


@st.composite
def entry(draw: st.DrawFn) -> Entry:
    names = ["Nordwind Shipping", "100% Nordwind = x|y", "Møller", "", " ", "n" * 127, "n" * 128, "n" * 513, "a\tb"]
    name = st.sampled_from([names[0]] * 6 + names)
    made = wire.Instrument(
        asset_class=draw(st.sampled_from([1, 1, 1, 2])),  # type: ignore[arg-type]
        name=draw(name),
        source="feed",
        status=draw(st.sampled_from([0, 0, 1, 2])),  # type: ignore[arg-type]
        identifiers=draw(identifiers()),
    )
    details = made.equity if made.asset_class == 1 else made.etf
    details.currency = draw(st.sampled_from(["USD", "USD", "EUR", "eur"]))
    if draw(st.integers(0, 9)) == 0:
        made.etag = "7"
    if made.identifiers and draw(st.integers(0, 9)) == 0:
        made.identifiers[0].recorded_from.seconds = 5
    venues = st.sampled_from(["XNAS", "BATS"])
    below = draw(st.lists(venues, max_size=2)) if draw(st.integers(0, 4)) == 0 else []
    return made, [wire.Listing(venue=one, symbol="NWD", currency="USD") for one in below]


def wholly(batch: Sequence[Entry], minter: Minter) -> list[Draft | Usual]:
    """Entry by entry, the whole way."""
    return [prepare(one, below, minter) for one, below in batch]


def quickly(batch: Sequence[Entry], minter: Minter) -> list[Draft | Usual]:
    """As a stream reads them: those of a shape together, the others one by one."""
    sent = [b"" if below else one.SerializeToString() for one, below in batch]
    entries = [service.InstrumentEntry(instrument=one, listings=below) for one, below in batch]
    together = read_together(entries, sent, minter)
    return [
        quick or read(one.instrument, one.listings, minter, raw)
        for one, quick, raw in zip(entries, together, sent, strict=True)
    ]


class Replica:
    """A store of its own, written in one of the two ways."""

    def __init__(self, engine: AsyncEngine, store: PostgresStore, way: Way) -> None:
        self._engine = engine
        self._store = store
        self._way = way
        self._minter = Minter(cut)

    async def clear(self) -> None:
        """Forgets all, as a new database would: that takes a third of a second."""
        async with self._engine.begin() as connection:
            tables = ", ".join(f"instrument.{one}" for one in ("entity", "change_log", "identifier", "request_log"))
            await connection.exec_driver_sql(f"TRUNCATE {tables}")
            await connection.exec_driver_sql("UPDATE instrument.revision SET value = 0")

    async def register(self, batch: Sequence[Entry]) -> tuple[object, ...]:
        """What is answered and what is kept after it, apart from times."""
        copies = [(wire.Instrument.FromString(one.SerializeToString()), below) for one, below in batch]
        made = self._way(copies, self._minter)
        needs, answers = needs_of(made), []

        async def operation(session: WriteSession) -> bytes:
            answers.append(await register(session, made, needs, self._minter))
            return b""

        before = await self._store.revision()
        await self._store.write(operation, actor="test", needs=needs)
        changes = await self._store.changes(before, 1000)
        keys = list({IdentifierKey(one.scheme, one.value) for sent, _ in batch for one in sent.identifiers})
        rows = await self._store.identifiers(keys)
        kept = await self._store.page(Query(EntityKind.INSTRUMENT), after_id="", limit=1000, at_revision=1 << 40)
        last = {one.entity_id: one.after for one in changes if one.kind == EntityKind.INSTRUMENT}
        assert {one.entity_id: one.body for one in kept if one.revision > before} == last
        entities = [one._replace(body=b"") for one in kept]
        return [_told(one) for one in answers[-1]], [_of(one) for one in changes], _sorted(rows), entities


def _told(one: Registered) -> tuple[object, ...]:
    error = (type(one.error), str(one.error), one.error.violations) if one.error is not None else None
    return one.outcome, one.instrument_id, one.listing_ids, one.case_id, error, list(one.differences)


def _of(one: Change) -> tuple[object, ...]:
    kinds = {EntityKind.INSTRUMENT: wire.Instrument, EntityKind.LISTING: wire.Listing}
    kind: Any = kinds.get(one.kind, wire.CollisionCase)
    bodies = [_timeless(kind.FromString(body)) for body in (one.after, one.before)]
    return (*bodies, one._replace(after=b"", before=b"", commit_time=datetime.min))


def _timeless(message: Any) -> Any:
    """The message without times of commits, which no two stores share; that they are there, and in their places, counts."""
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        if field.message_type.name == "Timestamp":
            value.seconds, value.nanos = 1, 0
        else:
            for one in value if field.is_repeated else [value]:
                _timeless(one)
    return message


def _sorted(rows: Any) -> dict[IdentifierKey, list[IdentifierRow]]:
    return {key: list(rows[key]) for key in sorted(rows)}


@asynccontextmanager
async def replica(database_maker: Any, template: str, way: Way) -> AsyncIterator[Replica]:
    url = database_maker.create(template=template)
    engine = make_engine(url, "instrument", pool_size=2)
    async with PostgresStore(engine, "instrument") as store:
        yield Replica(engine, store, way)
    await engine.dispose()
    database_maker.drop(url)


@pytest.fixture
async def replicas(
    monkeypatch: pytest.MonkeyPatch, database_maker: Any, instrument_template: str
) -> AsyncIterator[tuple[Replica, Replica]]:
    """One that goes the short way where it can, one that always goes the whole way."""
    monkeypatch.setattr(columns, "_FEWEST", 1)
    quick = replica(database_maker, instrument_template, quickly)
    whole = replica(database_maker, instrument_template, wholly)
    async with quick as one, whole as other:
        yield one, other


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(entry(), min_size=1, max_size=6), min_size=1, max_size=4))
async def test_one_pass_comes_to_what_the_whole_way_comes_to(
    replicas: tuple[Replica, Replica], batches: list[list[Entry]]
) -> None:
    """Two stores take the same batches, one entry by entry the whole way: answers, versions, names, voided answers are equal."""
    one, other = replicas
    await one.clear()
    await other.clear()
    usual._SHAPES.clear()
    for batch in batches:
        assert await one.register(batch) == await other.register(batch)


class Recorder:
    """In place of a session: what is staged, as it was."""

    def __init__(self, revision: int) -> None:
        self.now = datetime(2026, 11, 30, 1, 2, 3, 456789, tzinfo=UTC)
        self.staged: list[object] = []
        self._revision = revision

    def next_revision(self) -> int:
        self._revision += 1
        return self._revision

    def put(self, *version: object) -> None:
        self.staged.append(version)

    def assert_identifiers(self, rows: Sequence[IdentifierRow]) -> None:
        self.staged.append(list(rows))


@settings(max_examples=150, deadline=None)
@given(st.lists(entry(), min_size=1, max_size=12), st.sampled_from([0, 126, 127, 16_382, 16_383, 1 << 40]))
async def test_what_is_staged_is_the_same_to_the_byte(batch: list[Entry], revision: int) -> None:
    minter = Minter()
    for sent, below in batch:
        copies = [wire.Instrument.FromString(sent.SerializeToString()) for _ in range(2)]
        one = read(copies[0], below, minter)
        if not isinstance(one, Usual):
            continue
        whole = prepare(copies[1], below, minter)
        quick, slow = Recorder(revision), Recorder(revision)
        assert usual.create_usual(Holdings(quick), one)  # type: ignore[arg-type]
        assert (await _plan(Holdings(slow), minter, whole)).outcome == service.REGISTRATION_OUTCOME_CREATED  # type: ignore[arg-type]
        assert quick.staged == slow.staged
        assert needs_of([one]) == needs_of([whole])
        assert copies[0] == copies[1]  # a request_id is compared with what was made of the request


def identified(*named: tuple[int, str], name: str = "Nordwind Shipping", status: int = 0) -> wire.Instrument:
    """A share with identifiers of the usual kind."""
    made = wire.Instrument(name=name, source="a%b", equity=wire.EquityDetails(currency="USD", sector="100% energy"))
    made.asset_class, made.status = 1, status  # type: ignore[assignment]
    for scheme, value in named:
        level = 1 if scheme == LEI else 2
        made.identifiers.add(scheme=scheme, value=value, level=level, source="%s|%b")
    return made


@pytest.mark.parametrize("bare", [False, True], ids=["spelled out", "levels and sources left to the registry"])
def test_entries_of_a_shape_met_before_are_usual(bare: bool) -> None:
    """The comparisons above are about something: of these entries all but the first go the short way."""
    usual._SHAPES.clear()
    made = []
    for number in range(1, 6):
        us = Isin.from_nsin("US", cusip(number)).value
        share = identified(
            (ISIN, us), (CUSIP, cusip(number)), (FIGI, figi(number)), (LEI, LEIS[0]), name=f"No {number}"
        )
        if bare:
            for one in share.identifiers:
                one.ClearField("level")
                one.ClearField("source")
        made.append(read(share, (), Minter()))
    assert [type(one) for one in made] == [Draft, *[Usual] * 4]


@pytest.mark.parametrize(
    ("twice", "later"),
    [
        (((FIGI, "NRG6JCMZ7HG8"), (ISIN, "NRG6JCMZ7HG8")), ((FIGI, "BBG000B9XRY4"), (ISIN, "US0378331005"))),
        (((DTI, "4H95J0R2X"), (FIGI, "BBG000B9XRY4")), ((DTI, "X9J9K872S"), (FIGI, "BBG000BPH459"))),
    ],
)
def test_what_identifies_is_told_by_the_scheme(twice: Named, later: Named) -> None:
    """A text can be sound in two schemes: it says nothing of which of them an identity is made of."""
    usual._SHAPES.clear()
    first = read(identified(*twice), (), Minter())
    assert isinstance(first, Draft)
    assert first.violations == []
    assert read(identified(*later), (), Minter()).hex == prepare(identified(*later), (), Minter()).hex


@pytest.mark.parametrize("status", [0, 1])
async def test_a_request_is_known_again_by_whichever_way_it_went(registry: Any, status: int) -> None:
    """Sent once more when the shape is known, and by a process that has learned nothing yet."""
    usual._SHAPES.clear()
    us = Isin.from_nsin("US", cusip(1)).value
    first = await registry.register(identified((ISIN, us), status=status), request_id="one")
    assert await registry.register(identified((ISIN, us), status=status), request_id="one") == first
    de = Isin.from_nsin("DE", "000000002").value
    second = await registry.register(identified((ISIN, de), name="Two", status=status), request_id="two")
    usual._SHAPES.clear()
    assert await registry.register(identified((ISIN, de), name="Two", status=status), request_id="two") == second


@settings(max_examples=40, deadline=None)
@given(st.lists(entry(), max_size=8), st.integers(-1, 1 << 62), st.binary(max_size=300), st.booleans())
def test_the_instruments_of_a_batch_are_found_in_its_bytes(
    batch: list[Entry], batch_id: int, actor: bytes, foreign: bool
) -> None:
    entries = [service.InstrumentEntry(instrument=one, listings=below) for one, below in batch]
    request = service.RegisterInstrumentsRequest(batch_id=batch_id, entries=entries)
    request.write.actor = actor.hex()
    raw = request.SerializeToString()
    sent = [b"" if one.listings else one.instrument.SerializeToString() for one in entries]
    assert instruments_of(raw) == sent
    # A field nobody knows: the request says more than its entries.
    assert instruments_of(raw + b"\x28\x01" if foreign else raw) == (None if foreign else sent)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(NUMBERS, st.binary(max_size=12)), min_size=1, max_size=6),
    st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)), max_size=3),
    st.sampled_from([b"", b"\x48\x07", b"\x10\x02", b"\x1a\x01x", b"\x2a\x02\x08\x04", b"\x4a\x017"]),
    st.booleans(),
)
async def test_bytes_that_nobody_would_write_come_to_what_the_whole_way_comes_to(
    named: list[tuple[int, bytes]], changed: list[tuple[int, int]], more: bytes, before: bool
) -> None:
    """Bytes of a known shape, spoilt, or with a field said twice, out of order or unknown: what protobuf makes of them counts."""
    minter = Minter()
    for number, name in named:
        us = Isin.from_nsin("US", cusip(number)).value
        share = identified((ISIN, us), (CUSIP, cusip(number)), (FIGI, figi(number)), name=f"No {name.hex()}")
        plain = share.SerializeToString()
        read(share, (), minter, plain)
        spoilt = bytearray(more + plain if before else plain + more)
        for at, value in changed:
            spoilt[at % len(spoilt)] = value
        raw = bytes(spoilt)
        try:
            message, whole = wire.Instrument.FromString(raw), wire.Instrument.FromString(raw)
        except DecodeError:
            continue
        one = read(message, (), minter, raw)
        if isinstance(one, Usual):
            quick, slow = Recorder(7), Recorder(7)
            draft = prepare(whole, (), minter)
            assert not draft.violations
            assert usual.create_usual(Holdings(quick), one)  # type: ignore[arg-type]
            await _plan(Holdings(slow), minter, draft)  # type: ignore[arg-type]
            assert quick.staged == slow.staged
            assert message == whole
