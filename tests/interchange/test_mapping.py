"""Mapping files: what they can say, and that one that is wrong is told with file, key and rule before a row is sent."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from alphapulse.domain.errors import InvalidArgument
from alphapulse.domain.identifiers import Isin
from alphapulse.domain.identity import currency_text
from alphapulse.domain.ids import InstrumentId
from alphapulse.interchange import FileSource, ImportJob, ImportOptions, read_mapping

FOREIGN = """# Kurszettel
WKN;Bezeichnung;Art;Kurs-Schritt;Erster Tag;Börse;Kürzel;Intern
716460;SAP SE;Aktie;0,01;31.12.1998;Xetra;SAP;x
519000;BMW AG;Aktie;1.000,50;;Xetra;BMW;x
A1EWWW;Ein Fonds;Fonds;0,01;;Xetra;FND;x
000000;Unbekannt;Wette;0,01;;Xetra;W;x
"""
MAPPING = """
version: 1
name: kurszettel
source: Kurszettel 2026-11
license: CC-BY-4.0
csv: {delimiter: ";", encoding: latin-1, skip_lines: 1}
constants: {currency: EUR, listing_currency: EUR}
columns:
  asset_class: {from: Art, values: {Aktie: EQUITY, Wette: EQUITY}, otherwise: refuse}
  name: Bezeichnung
  isin: {template: "DE000{WKN}X"}
  own: WKN
  tick_size: {from: Kurs-Schritt, decimal_comma: true}
  listing_valid_from: {from: Erster Tag, date_format: "%d.%m.%Y", time_zone: Europe/Berlin}
  listing_venue: {from: Börse, values: {Xetra: XETR}}
  listing_symbol: Kürzel
where: {Art: [Aktie, Fonds]}
"""


def mapped(folder: Path, document: str, name: str = "mapping.yaml") -> Any:
    """The mapping of a document."""
    path = folder / name
    path.write_text(document)
    return read_mapping(path)


async def test_a_foreign_file_is_read_through_its_mapping(registry: Any, tmp_path: Path) -> None:
    path = tmp_path / "kurszettel.csv"
    path.write_bytes(FOREIGN.encode("latin-1"))
    document = MAPPING.replace('isin: {template: "DE000{WKN}X"}', "ticker: Kürzel")
    report = await registry.load(FileSource(path, mapped(tmp_path, document)))
    assert (report.counts.created, report.counts.refused, report.passed_over) == (2, 1, 1)
    (refused,) = report.rows
    assert refused.line == 5
    assert "Art='Fonds'" in refused.details[0]
    assert "value-unmapped" in refused.details[0]
    assert report.notes == [f"{path}: columns passed over: Intern"]
    held = {one.instrument.name: one for one in (await registry.everything()).values()}
    assert set(held) == {"SAP SE", "BMW AG"}
    sap, bmw = held["SAP SE"], held["BMW AG"]
    assert sap.instrument.source == "Kurszettel 2026-11 [CC-BY-4.0]"
    assert {(one.value, one.venue) for one in sap.instrument.identifiers} == {("716460", ""), ("SAP", "XETR")}
    assert sap.listings[0].valid_from.ToJsonString() == "1998-12-30T23:00:00Z"
    assert (bmw.listings[0].rules.tick_size.mantissa, bmw.listings[0].rules.tick_size.exponent) == (100050, -2)


def test_every_fault_of_a_mapping_is_told_at_once_with_its_key(tmp_path: Path) -> None:
    document = """
version: 2
colums: {}
constants: {asset_class: SHARE, tick_size: 0.01, nosuch: x}
csv: {delimiter: ";;", encoding: klingon, quotes: "'"}
columns:
  isn: ISIN
  name: {from: Name, template: "{Name}"}
  status: {from: Status, values: {L: LISTED}, sometimes: x}
  expiry: {from: Day, time_zone: Mars/Olympus}
  listing_valid_from: {from: Day, date_format: "%d.%Q.%Y"}
  listing_valid_to: {from: Day, date_format: "%d.%m."}
  base_id: {currency_id: Base, kind: paper}
  listing_symbol: {template: "no column"}
  currency: 5
  caip19: {caip19: [chain]}
unmapped: perhaps
where: {Art: []}
"""
    with pytest.raises(InvalidArgument) as caught:
        mapped(tmp_path, document)
    found = {(one.field, one.rule) for one in caught.value.violations}
    assert found >= {
        ("version", "version-unknown"),
        ("colums", "key-unknown"),
        ("constants.asset_class", "enum-unknown"),
        ("constants.tick_size", "type"),
        ("constants.nosuch", "column-unknown"),
        ("csv.quotes", "key-unknown"),
        ("csv.delimiter", "length"),
        ("columns.isn", "column-unknown"),
        ("columns.name", "rule-form"),
        ("columns.status.values.L", "enum-unknown"),
        ("columns.status.sometimes", "key-unknown"),
        ("columns.expiry.time_zone", "time-zone-unknown"),
        ("columns.listing_valid_from.date_format", "date-format"),
        ("columns.listing_valid_to.date_format", "date-format"),
        ("columns.base_id.kind", "choice"),
        ("columns.listing_symbol.template", "template-format"),
        ("columns.currency", "type"),
        ("columns.caip19.caip19", "type"),
        ("unmapped", "choice"),
        ("where.Art", "type"),
    }
    assert all(str(tmp_path / "mapping.yaml") in one.description for one in caught.value.violations)
    assert any("isin is one" in one.description for one in caught.value.violations)


@pytest.mark.parametrize(
    ("name", "document", "rule"),
    [
        ("m.yaml", "columns: [a, b", "mapping-format"),
        ("m.yaml", "- a\n", "mapping-format"),
        ("m.toml", "columns = ", "mapping-format"),
        ("m.json", '{"columns": {}}', "required"),
        ("m.ini", "x", "mapping-format"),
        ("m.yaml", "columns: {name: N, entry: E}\ngroup_by: [N]\n", "key-exclusive"),
    ],
)
def test_a_file_that_is_no_mapping_is_named(tmp_path: Path, name: str, document: str, rule: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        mapped(tmp_path, document, name)
    assert [one.rule for one in caught.value.violations] == [rule]
    assert name in str(caught.value)


async def test_a_column_that_the_file_lacks_is_told_before_a_row_is_sent(registry: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("Name,Extra\nx,y\n")
    document = "unmapped: refuse\ncolumns: {name: Name, isin: Isin}\nconstants: {asset_class: EQUITY}\n"
    with pytest.raises(InvalidArgument) as caught:
        await registry.load(FileSource(path, mapped(tmp_path, document)))
    assert {(one.value, one.rule) for one in caught.value.violations} == {
        ("Isin", "column-missing"),
        ("Extra", "column-unmapped"),
    }


async def test_a_file_or_mapping_that_was_refused_can_be_mended(registry: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("Name,Code\nA coin,A\n")
    options = ImportOptions(state=tmp_path / "import.state", rejects=tmp_path / "rejects.csv")
    wrong = "columns: {name: Nam, code: Code}\nconstants: {asset_class: CURRENCY, kind: CRYPTO}\n"
    for document in (wrong, wrong.replace("code: Code", "code: Cod")):
        with pytest.raises(InvalidArgument, match="column-missing"):
            await ImportJob(registry.channel, [FileSource(path, mapped(tmp_path, document))], options).run()
    right = mapped(tmp_path, wrong.replace("Nam,", "Name,"))
    report = await ImportJob(registry.channel, [FileSource(path, right)], options).run()
    assert (report.counts.created, report.complete) == (1, True)


@pytest.mark.parametrize(
    ("cell", "is_read_as"),
    [
        ("0,01", (1, -2)),
        ("1.000,50", (100050, -2)),
        ("1.000.000", (1_000_000, 0)),
        ("12", (12, 0)),
        ("0.01", None),
        ("0.001", None),
        ("1.5", None),
        ("1,000.50", None),
        ("1.00,5", None),
    ],
)
async def test_a_point_in_a_number_with_a_decimal_comma_is_never_passed_over(
    registry: Any, tmp_path: Path, cell: str, is_read_as: tuple[int, int] | None
) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f'Code,Tick\nA,"{cell}"\n')
    rows = "constants: {asset_class: CURRENCY, kind: CRYPTO, listing_venue: X, listing_currency: USD}\n"
    rows += "columns: {code: Code, name: Code, listing_symbol: Code, tick_size: {from: Tick, decimal_comma: true}}\n"
    report = await registry.load(FileSource(path, mapped(tmp_path, rows)))
    if is_read_as is None:
        assert [one.rpartition("[")[2] for one in report.rows[0].details] == ["decimal-format]"]
        assert not await registry.everything()
        return
    (held,) = (await registry.everything()).values()
    tick = held.listings[0].rules.tick_size
    assert tick.mantissa * 10.0**tick.exponent == is_read_as[0] * 10.0 ** is_read_as[1]


async def test_what_is_binary_floating_point_is_no_exact_number(registry: Any, tmp_path: Path) -> None:
    path = tmp_path / "floats.parquet"
    columns = {"Code": ["A"], "Tick": [0.1], "When": pa.array([1_700_000_000_123], pa.timestamp("ms"))}
    pq.write_table(pa.table(columns), path)
    rows = "constants: {asset_class: CURRENCY, kind: CRYPTO, listing_venue: X, listing_currency: USD}\n"
    rows += "columns: {code: Code, name: Code, listing_symbol: Code, tick_size: Tick, listing_valid_from: When}\n"
    with pytest.raises(InvalidArgument, match="column-float"):
        await registry.load(FileSource(path, mapped(tmp_path, rows)))
    report = await registry.load(FileSource(path, mapped(tmp_path, rows + "floats: shortest\n")))
    assert [one.rpartition("[")[2] for one in report.rows[0].details] == ["time-zone]"]
    document = rows.replace("listing_valid_from: When", "listing_valid_from: {from: When, time_zone: UTC}")
    report = await registry.load(FileSource(path, mapped(tmp_path, document + "floats: shortest\n")))
    assert report.counts.created == 1, report.rows
    (held,) = (await registry.everything()).values()
    assert held.listings[0].rules.tick_size.mantissa == 1
    assert held.listings[0].valid_from.ToJsonString() == "2023-11-14T22:13:20.123Z"


async def test_flat_json_keeps_the_digits_of_its_numbers(registry: Any, tmp_path: Path) -> None:
    path = tmp_path / "coins.jsonl"
    path.write_text('{"c": "A", "m": {"tick": 0.10000000000000000001, "lot": 5}, "on": true}\n')
    document = """
constants: {asset_class: CURRENCY, kind: CRYPTO, listing_venue: X, listing_currency: USD}
columns: {code: c, name: c, listing_symbol: c, tick_size: m.tick, lot_size: m.lot, listing_primary: "on"}
"""
    report = await registry.load(FileSource(path, mapped(tmp_path, document)))
    assert report.counts.refused == 1
    assert "m.tick='0.10000000000000000001'" in report.rows[0].details[0]
    path.write_text(path.read_text().replace("00000000000001", ""))
    assert (await registry.load(FileSource(path, mapped(tmp_path, document)))).counts.created == 1


async def test_ids_of_coins_are_minted_as_the_registry_does(registry: Any, tmp_path: Path) -> None:
    coins = tmp_path / "coins.csv"
    coins.write_text("asset_class,name,code,kind\nCURRENCY,Bitcoin,BTC,CRYPTO\nCURRENCY,Dollar,USD,FIAT\n")
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("b,q\nBTC,USD\n")
    document = """
constants: {asset_class: SPOT_PAIR, listing_venue: X}
columns:
  name: {template: "{b}/{q}"}
  listing_symbol: {template: "{b}{q}"}
  listing_currency: q
  base_id: {currency_id: b}
  quote_id: {currency_id: q}
"""
    report = await registry.load(coins, FileSource(pairs, mapped(tmp_path, document)))
    assert asdict(report.counts)["created"] == 3, report.rows
    held = {one.instrument.name: one.instrument for one in (await registry.everything()).values()}
    assert held["BTC/USD"].spot_pair.base_id == InstrumentId.of(currency_text("crypto", "BTC")).hex
    assert held["BTC/USD"].spot_pair.quote_id == held["Dollar"].instrument_id


KEPT = """
where: {keep: ["yes"]}
group_by: [company]
constants: {asset_class: EQUITY, currency: EUR, listing_currency: EUR, source: test}
columns: {name: company, isin: isin, listing_venue: venue, listing_symbol: company}
"""


def kept_and_left_out(folder: Path, companies: int) -> tuple[FileSource, int]:
    """Companies of two listings; rows to pass over before, within, between and after them, more and more."""
    lines, count = ["company,venue,keep,isin"], 0
    for number in range(companies):
        for venue in ("XETR", "XNYS"):
            lines += [f"X{number},{venue},no,"] * (number % 4)
            count += number % 4
            lines.append(f"C{number},{venue},yes,{Isin.from_nsin('DE', f'{number:09d}').value}")
    path = folder / "companies.csv"
    path.write_text("\n".join([*lines, *["X,XETR,no,"] * 7]) + "\n")
    return FileSource(path, mapped(folder, KEPT)), count + 7


async def test_rows_passed_over_are_counted_once_whatever_interrupts_the_import(registry: Any, tmp_path: Path) -> None:
    source, left_out = kept_and_left_out(tmp_path, 30)
    nothing = tmp_path / "nothing.csv"
    nothing.write_text("company,venue,keep,isin\nX,XETR,no,\nX,XETR,,\n")
    sources = [source, FileSource(nothing, source.mapping), source]
    options = ImportOptions(state=tmp_path / "state", rejects=tmp_path / "rejects.csv", batch=4, in_flight=3)
    runs = 0
    while True:
        job = ImportJob(registry.channel, sources, options, on_progress=lambda _: job.stop())  # noqa: B023
        report = await job.run()
        runs += 1
        if report.complete:
            break
    assert runs > 3
    assert report.passed_over == 2 * left_out + 2
    assert (report.counts.created, report.counts.unchanged, report.counts.total) == (30, 30, 60)


async def test_a_dry_run_tells_what_would_be_passed_over(registry: Any, tmp_path: Path) -> None:
    source, left_out = kept_and_left_out(tmp_path, 5)
    report = await registry.load(source, dry_run=True)
    assert (report.passed_over, report.counts.created) == (left_out, 5)
