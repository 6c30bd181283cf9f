"""What is exported and imported into an empty registry is exported the same again: every class, every format, every field."""

from __future__ import annotations

import io
import random
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphapulse.api.common.v1 import common_pb2 as common
from alphapulse.api.instrument.v1 import instrument_pb2 as wire
from alphapulse.api.instrument.v1 import instrument_service_pb2 as service
from alphapulse.domain.asset_class import AssetClass
from alphapulse.domain.identifiers import Isin
from alphapulse.domain.identity import instrument_text
from alphapulse.domain.ids import InstrumentId
from alphapulse.interchange import Counts, FileSource, export
from alphapulse.interchange.encoding import EntryEncoder
from alphapulse.interchange.layout import (
    COLUMNS,
    DETAILS,
    DETAILS_FIELDS,
    FILLED_ASSERTION,
    FILLED_INSTRUMENT,
    FILLED_LISTING,
    Kind,
    Part,
)
from alphapulse.interchange.readers import open_reader
from alphapulse.interchange.writers import writer_for
from alphapulse.interchange.writing import ExportOptions
from registry_service.instrument.convert import Findings, instrument_of

FORMATS = ("csv", "parquet", "jsonl")
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1, max_size=20)
HEX = st.integers(1, 2**128 - 1).map(lambda number: f"{number:032x}")
DECIMALS = st.builds(common.Decimal, mantissa=st.integers(-(2**63), 2**63 - 1), exponent=st.integers(-128, 127))
TIMES = st.builds(
    lambda seconds, nanos: {"seconds": seconds, "nanos": nanos},
    st.integers(-62_135_596_800, 253_402_300_799),
    st.integers(0, 999_999_999),
)
SCHEMES = st.sampled_from([one.number for one in common.IdentifierScheme.DESCRIPTOR.values if one.number])
LEVELS = st.sampled_from([one.number for one in common.IdentifierLevel.DESCRIPTOR.values if one.number])


def values_of(field: Any, kind: Kind) -> st.SearchStrategy[Any]:
    """Values of a field, as a message takes them."""
    match kind:
        case Kind.DECIMAL:
            return DECIMALS
        case Kind.TIME:
            return TIMES
        case Kind.BOOL:
            return st.booleans()
        case Kind.ENUM:
            return st.sampled_from([one.number for one in field.enum_type.values if one.number])
        case Kind.INTEGER:
            return st.integers(0, 2**32 - 1)
        case Kind.TEXTS:
            return st.lists(HEX, max_size=3)
        case _:
            return TEXT


@st.composite
def messages(draw: st.DrawFn, message: Any, columns: Sequence[Any], skip: Sequence[str] = ()) -> dict[str, Any]:
    """Some fields of a message."""
    found = {}
    for column in columns:
        if (
            column.field is not None
            and column.kind is not Kind.JSON
            and column.field.name not in skip
            and draw(st.booleans())
        ):
            found[column.field.name] = draw(values_of(column.field, column.kind))
    return found


@st.composite
def entries(draw: st.DrawFn) -> service.InstrumentEntry:
    """An entry of any class with any of its fields, sound or not: a file holds what it is given."""
    asset_class = draw(st.sampled_from(list(AssetClass)))
    details = draw(messages(None, tuple(DETAILS[asset_class].values())))
    identifiers = draw(
        st.lists(
            st.fixed_dictionaries(
                {"scheme": SCHEMES, "level": LEVELS, "value": TEXT, "source": st.sampled_from(["src", "other"])},
                optional={"venue": st.sampled_from(["XNAS", "XNYS", "XETR"]), "valid_from": TIMES, "valid_to": TIMES},
            ),
            max_size=6,
        )
    )
    parts = {part: [one for one in COLUMNS.values() if one.part is part] for part in Part}
    listings = []
    for _ in range(draw(st.integers(0, 3))):
        listing = draw(messages(None, parts[Part.LISTING], skip=("venue",)))
        listing["venue"] = draw(st.sampled_from(["XNAS", "XNYS", "XETR"]))
        rules, fees = draw(messages(None, parts[Part.RULES])), draw(messages(None, parts[Part.FEES]))
        listings.append({**listing, **({"rules": rules} if rules else {}), **({"fees": fees} if fees else {})})
    instrument = {
        "instrument_id": draw(HEX),
        "asset_class": int(asset_class),
        "name": draw(TEXT),
        "source": "src",
        "status": draw(st.integers(1, 4)),
        "successor_ids": draw(st.lists(HEX, max_size=2)),
        "identifiers": identifiers,
        DETAILS_FIELDS[asset_class].name: details,
    }
    return service.InstrumentEntry(instrument=instrument, listings=listings)


def canonical(entry: service.InstrumentEntry) -> tuple[Any, ...]:
    """An entry without its identifiers' order, levels as the registry fills them in, and what a registry fills itself."""
    copy = service.InstrumentEntry()
    copy.CopyFrom(entry)
    for name in FILLED_INSTRUMENT:
        copy.instrument.ClearField(name)
    for one in copy.instrument.identifiers:
        for name in FILLED_ASSERTION:
            one.ClearField(name)
        one.level = one.level or usual(one)
        one.source = one.source or copy.instrument.source
    for listing in copy.listings:
        for name in FILLED_LISTING:
            listing.ClearField(name)
    identifiers = sorted(one.SerializeToString(deterministic=True) for one in copy.instrument.identifiers)
    listings = sorted(one.SerializeToString(deterministic=True) for one in copy.listings)
    copy.instrument.ClearField("identifiers")
    return copy.instrument.SerializeToString(deterministic=True), identifiers, listings


def as_registered(entry: service.InstrumentEntry) -> service.InstrumentEntry:
    """With the level and the source that a registry fills in."""
    for one in entry.instrument.identifiers:
        one.level = one.level or usual(one)
        one.source = one.source or entry.instrument.source
    return entry


def usual(one: wire.IdentifierAssertion) -> Any:
    """The level a registry gives an assertion without one."""
    if one.scheme == common.IDENTIFIER_SCHEME_LEI:
        return common.IDENTIFIER_LEVEL_ISSUER
    listing = {common.IDENTIFIER_SCHEME_EXCHANGE_SYMBOL, common.IDENTIFIER_SCHEME_RIC, common.IDENTIFIER_SCHEME_MIC}
    if one.scheme in listing or (one.scheme == common.IDENTIFIER_SCHEME_TICKER and one.venue):
        return common.IDENTIFIER_LEVEL_LISTING
    return common.IDENTIFIER_LEVEL_INSTRUMENT


@pytest.mark.parametrize("file_format", FORMATS)
@given(held=st.lists(entries(), min_size=1, max_size=4, unique_by=lambda one: one.instrument.instrument_id))
@settings(max_examples=30)
def test_a_file_holds_every_entry_exactly(
    file_format: str, held: list[service.InstrumentEntry], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("files") / f"entries.{file_format}"
    buffer = io.BytesIO()
    writer = writer_for(file_format, buffer)
    writer.write(held)
    writer.finish()
    path.write_bytes(buffer.getvalue())
    with open_reader(path) as reader:
        encoder = EntryEncoder(reader.columns)
        made = [entry for block in reader.blocks() for entry in encoder.entries(block)] + list(encoder.rest())
    assert [one.violations for one in made if one.violations] == []
    read = [service.InstrumentEntry.FromString(one.body) for one in made]
    assert [canonical(one) for one in read] == [canonical(one) for one in held]
    again = io.BytesIO()
    writer = writer_for(file_format, again)
    writer.write([as_registered(one) for one in read])
    writer.finish()
    if file_format != "parquet":  # its statistics and framing are its library's own
        assert again.getvalue() == buffer.getvalue()


def sound_entries(seed: int) -> list[service.InstrumentEntry]:
    """Entries of every class that a registry takes, each with its references, in a random order."""
    chance = random.Random(seed)
    made = _Made(chance)
    chance.shuffle(made.entries)
    return made.entries


class _Made:
    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self.entries: list[service.InstrumentEntry] = []
        usd, eur = self._currency("USD", wire.CURRENCY_KIND_FIAT), self._currency("EUR", wire.CURRENCY_KIND_FIAT)
        coins = [self._currency(f"COIN{n}", wire.CURRENCY_KIND_CRYPTO) for n in range(4)]
        self._add("FX_PAIR", ("OANDA",), base_id=eur, quote_id=usd)
        for coin in coins[1:]:
            self._add("SPOT_PAIR", ("BINANCE", "KRAKEN"), base_id=coin, quote_id=coins[0])
        self._on_chain()
        share = self._securities()
        expiry = {"seconds": 1_900_000_000, "nanos": 123_000_000}
        contract = {"settlement_id": usd, "contract_size": self._decimal(), "venue": "XCME"}
        future = self._add("FUTURE", ("XCME",), underlying_id=share, series="XX", expiry=expiry, **contract)
        terms = {"expiry": expiry, "strike": self._decimal(), "right": 1, "style": 2}
        self._add("OPTION", ("XCME",), underlying_id=future, **terms, **contract)
        contract = {"settlement_id": coins[0], "contract_size": self._decimal(), "venue": "BINANCE"}
        self._add("PERPETUAL", ("BINANCE",), underlying_id=coins[1], inverse=True, **contract)
        self._add("SYNTHETIC", name="A_B_SPREAD")

    def _on_chain(self) -> None:
        tokens = [
            self._add("TOKEN", chain="eip155:1", address=self._address(), decimals=6 * n, symbol="T") for n in range(3)
        ]
        place = {"chain": "eip155:1", "address": self._address()}
        pool = self._add("POOL", asset_ids=tokens[:2], fee_pips=3000, protocol="uniswap-v3", **place)
        self._add("LP_TOKEN", pool_id=pool, chain="eip155:1", address=self._address())

    def _securities(self) -> str:
        index = self._security("INDEX", currency="USD", provider="Somebody")
        self._security("ETF", currency="USD", country="IE", index_id=index)
        self._security("FUND", currency="EUR", country="LU")
        thousand = common.Decimal(mantissa=1, exponent=3)
        self._security("BOND", currency="EUR", coupon=self._decimal(), maturity="2031-02-28", face_value=thousand)
        return self._security("EQUITY", currency="USD", country="US", sector="Tech, hard", industry='He said "x"')

    def _address(self) -> str:
        return f"0x{self._chance.getrandbits(160):040x}"

    def _decimal(self) -> common.Decimal:
        return common.Decimal(mantissa=self._chance.randint(1, 10**12), exponent=self._chance.choice([-9, -2, 0, 2]))

    def _currency(self, code: str, kind: Any) -> str:
        return self._add("CURRENCY", code=code, kind=kind, minor_units=0 if code == "EUR" else 2)

    def _security(self, asset_class: str, **details: Any) -> str:
        chance = self._chance
        isin = Isin.from_nsin("DE", f"{chance.randrange(10**9):09d}").value
        past = {"valid_from": {"seconds": 1_000}, "valid_to": {"seconds": 900_000_000}}
        identifiers: list[dict[str, Any]] = [
            {"scheme": 1, "value": isin, "level": 2},
            {"scheme": 15, "value": f"own-{chance.randrange(10**9)}", "level": 2, "source": "somebody else"},
            {"scheme": 13, "value": "OLD", "level": 4, "venue": f"V{chance.randrange(10**9)}", **past},
        ]
        venues = tuple(f"X{chance.randrange(10**6)}" for _ in range(3))
        identifiers += [{"scheme": 13, "value": f"T{n}", "level": 4, "venue": venue} for n, venue in enumerate(venues)]
        return self._add(asset_class, venues, identifiers, **details)

    def _add(
        self, asset_class: str, venues: Sequence[str] = (), identifiers: Sequence[Any] = (), **details: Any
    ) -> str:
        chance = self._chance
        instrument = wire.Instrument(
            asset_class=common.AssetClass.Value(f"ASSET_CLASS_{asset_class}"),
            name=f"Über {asset_class} 'Ltd', \"{chance.randrange(10**9)}\"",
            source=f"round trip {chance.randrange(3)}",
            identifiers=[wire.IdentifierAssertion(**one) for one in identifiers],
            **{asset_class.lower(): details},
        )
        listings = [self._listing(venue, at == 0) for at, venue in enumerate(venues)]
        self.entries.append(service.InstrumentEntry(instrument=instrument, listings=listings))
        return InstrumentId.of(instrument_text(instrument_of(instrument, "instrument", Findings()))).hex

    def _listing(self, venue: str, primary: bool) -> Any:
        chance = self._chance
        return {
            "venue": venue,
            "symbol": f"S{chance.randrange(10**9)}",
            "currency": "USD",
            "status": chance.choice([1, 2, 3]),
            "primary": primary,
            "source": chance.choice(["", "a venue's own list"]),
            "rules": {"tick_size": self._decimal(), "lot_size": self._decimal(), "multiplier": self._decimal()},
            "fees": {"maker_bps": common.Decimal(mantissa=-5, exponent=-1), "taker_bps": common.Decimal()},
            "valid_from": {"seconds": 1_500_000_000, "nanos": 1000},
        }


@pytest.mark.parametrize("file_format", FORMATS)
async def test_export_import_into_an_empty_registry_export_is_identical(
    new_registry: Any, tmp_path: Path, file_format: str
) -> None:
    first = await new_registry()
    given = tmp_path / "given.jsonl"
    with given.open("wb") as out:
        writer = writer_for("jsonl", out)
        for seed in range(3):
            writer.write(sound_entries(seed))
    report = await first.load(given, batch=5)
    assert report.counts.refused == 0, report.rows
    assert {one.instrument.asset_class for one in (await first.everything()).values()} == {
        int(one) for one in AssetClass
    }

    exported = tmp_path / f"first.{file_format}.gz" if file_format != "parquet" else tmp_path / "first.parquet"
    done = await export(first.channel, exported, ExportOptions())
    assert done.entries == report.counts.created
    second = await new_registry()
    loaded = await second.load(FileSource(exported), batch=7)
    assert asdict(loaded.counts) == asdict(Counts(created=done.entries))
    again = exported.with_name(f"second{''.join(exported.suffixes)}")
    await export(second.channel, again, ExportOptions())
    assert [list(_rows(one)) for one in (again,)] == [list(_rows(one)) for one in (exported,)]
    before, after = await first.everything(), await second.everything()
    assert {key: canonical(one) for key, one in after.items()} == {key: canonical(one) for key, one in before.items()}
    # And into the registry it came from: nothing to do.
    unchanged = await first.load(FileSource(exported))
    assert (unchanged.counts.unchanged, unchanged.counts.total) == (done.entries, done.entries)


def _rows(path: Path) -> Any:
    with open_reader(path) as reader:
        for block in reader.blocks():
            yield block.columns, block.entries


@pytest.mark.parametrize("file_format", ["csv", "jsonl"])
async def test_what_a_person_decided_to_be_one_comes_back_with_all_its_names(
    new_registry: Any, tmp_path: Path, file_format: str
) -> None:
    first = await new_registry()
    given = tmp_path / "given.csv"
    head = "asset_class,name,isin,cusip,figi,currency\n"
    later, earlier = "EQUITY,Company,US5949181045,594918104,{},USD\n", "EQUITY,Company,US0378331005,037833100,{},USD\n"
    figi = "BBG000B9XRY4"
    given.write_text(head + later.format("") + earlier.format(figi))
    assert (await first.load(given)).counts.created == 2
    given.write_text(head + later.format(figi))
    (row,) = (await first.load(given)).rows
    winner = next(one for one, held in (await first.everything()).items() if len(held.instrument.identifiers) == 2)
    decision = service.ResolveCollisionCaseRequest(
        case_id=row.case_id, resolution=wire.COLLISION_RESOLUTION_MERGE, winner_id=winner, reason="one company"
    )
    await first.stub.ResolveCollisionCase(decision)

    exported = tmp_path / f"first.{file_format}"
    await export(first.channel, exported, ExportOptions())
    second = await new_registry()
    loaded = await second.load(FileSource(exported))
    assert loaded.counts.refused == loaded.counts.conflicts == 0, loaded.rows
    held = (await second.everything())[winner].instrument
    assert {one.value: one.beside for one in held.identifiers} == {
        "US5949181045": False,
        "594918104": False,
        figi: False,
        "US0378331005": True,
        "037833100": True,
    }
    again = tmp_path / f"second.{file_format}"
    await export(second.channel, again, ExportOptions())
    assert again.read_bytes() == exported.read_bytes()
    assert asdict((await second.load(FileSource(exported))).counts) == asdict(Counts(unchanged=loaded.counts.created))
