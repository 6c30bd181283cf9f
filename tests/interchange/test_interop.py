"""Exports for ccxt and Nautilus, made from recorded instrument lists of venues and judged by those libraries themselves."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from alphapulse.api.instrument.v1 import instrument_service_pb2 as service
from alphapulse.interchange import ExportOptions, FileSource, export
from alphapulse.interchange.mapping import Mapping, mapping_of
from alphapulse.interchange.mapping_rules import Faults
from alphapulse.interchange.writers import writer_for
from collector_service.convert import entry
from collector_service.decode import read_instruments, recording_files
from collector_service.instruments import currency, listing_of, pair_of

CONTRACT = {
    "underlying_id": {"currency_id": "base", "kind": "crypto"},
    "settlement_id": {"currency_id": "settle", "kind": "crypto"},
    "contract_venue": "venue",
    "listing_venue": "venue",
    "listing_symbol": "symbol",
    "listing_currency": "quote",
    **{name: name for name in ("name", "asset_class", "tick_size", "lot_size", "min_size", "max_size", "min_notional")},
    **{name: name for name in ("contract_size", "inverse", "maker_bps", "taker_bps")},
    "expiry": {"from": "expiry", "date_format": "unix-ms"},
}
OPTION = {
    **{name: rule for name, rule in CONTRACT.items() if name != "inverse"},
    "strike": "strike",
    "right": {"from": "right", "values": {"call": "CALL", "put": "PUT"}},
    "style": {"constant": "EUROPEAN"},
}


def mapping(columns: dict[str, Any], **more: Any) -> Mapping:
    """A mapping from its document."""
    return mapping_of({"columns": columns, **more}, "test", Faults("test"))


def recorded(folder: Path, source: str, part: str) -> Iterator[Any]:
    """The JSON bodies of a recording's answers whose address holds `part`."""
    with gzip.open(folder / f"{source}.0.gz", "rt") as lines:
        for line in lines:
            head, _, body = line.partition(": ")
            if part in head:
                yield json.loads(body, parse_float=str)


async def load_pairs(registry: Any, folder: Path, venue: str, path: Path) -> int:
    """Registers a venue's recorded pairs, as its collector reads them; how many."""
    listed = read_instruments(recording_files(folder, venue), venue).entries
    coins = {
        code: currency(code, fiat=code in one.fiat, source=venue) for one in listed for code in (one.base, one.quote)
    }
    with path.open("wb") as out:
        writer = writer_for("jsonl", out)
        writer.write([entry(one) for one in coins.values()])
        writer.write([entry(pair_of(one, venue), [listing_of(one, venue, venue)]) for one in listed])
    report = await registry.load(path)
    assert report.counts.refused == 0, report.rows[:5]
    return len(listed)


async def load_contracts(registry: Any, rows: Sequence[dict[str, Any]], folder: Path, file_name: str) -> None:
    """Registers contracts given as flat objects, and the coins they are about."""
    codes = sorted({row[name] for row in rows for name in ("base", "quote", "settle")})
    coins = folder / "coins.csv"
    coins.write_text(
        "asset_class,name,code,kind,source\n" + "".join(f"CURRENCY,{one},{one},CRYPTO,test\n" for one in codes)
    )
    path = folder / file_name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    future = mapping(CONTRACT, where={"asset_class": ["PERPETUAL", "FUTURE"]})
    sources = [FileSource(coins), FileSource(path, future)]
    if any(row["asset_class"] == "OPTION" for row in rows):
        sources.append(FileSource(path, mapping(OPTION, where={"asset_class": "OPTION"})))
    report = await registry.load(*sources)
    assert report.counts.refused == 0, report.rows[:5]


def binance_perpetuals(folder: Path) -> list[dict[str, Any]]:
    """The contracts of Binance's USD-margined futures, flat, with the exact texts of the venue."""
    rows = []
    for info in recorded(folder, "BINANCE_FUTURES", "exchangeInfo"):
        for one in info["symbols"]:
            filters = {each["filterType"]: each for each in one["filters"]}
            perpetual = one["contractType"] == "PERPETUAL"
            row = {
                "asset_class": "PERPETUAL" if perpetual else "FUTURE",
                "name": one["symbol"],
                "symbol": one["symbol"],
                "venue": "BINANCE_FUTURES",
                "base": one["baseAsset"],
                "quote": one["quoteAsset"],
                "settle": one["marginAsset"],
                "inverse": False,
                "contract_size": "1",
                "tick_size": filters["PRICE_FILTER"]["tickSize"],
                "lot_size": filters["LOT_SIZE"]["stepSize"],
                "min_size": filters["LOT_SIZE"]["minQty"],
                "max_size": filters["LOT_SIZE"]["maxQty"],
                "min_notional": filters["MIN_NOTIONAL"]["notional"],
            }
            if one["contractType"] and one["baseAsset"].isascii():
                rows.append(row if perpetual else {**row, "expiry": one["deliveryDate"]})
    return rows


def deribit(folder: Path) -> list[dict[str, Any]]:
    """Futures, perpetuals and options of Deribit, flat."""
    rows = []
    for answer in recorded(folder, "DERIBIT", "get_instruments"):
        for one in answer["result"]:
            perpetual = one.get("settlement_period") == "perpetual"
            kind = "OPTION" if one["kind"] == "option" else "PERPETUAL" if perpetual else "FUTURE"
            inverse = kind != "OPTION" and one["quote_currency"] == "USD"
            row = {
                "asset_class": kind,
                "name": one["instrument_name"],
                "symbol": one["instrument_name"],
                "venue": "DERIBIT",
                "base": one["base_currency"],
                "quote": one["quote_currency"],
                "settle": one["quote_currency"] if not inverse and kind != "OPTION" else one["base_currency"],
                "contract_size": one["contract_size"],
                "tick_size": one["tick_size"],
                "lot_size": one["min_trade_amount"],
                "min_size": one["min_trade_amount"],
                "maker_bps": str(Decimal(one["maker_commission"]) * 10_000),
                "taker_bps": str(Decimal(one["taker_commission"]) * 10_000),
                "inverse": inverse,
            }
            if kind == "OPTION":
                row |= {"strike": one["strike"], "right": one["option_type"]}
            rows.append(row if perpetual else {**row, "expiry": one["expiration_timestamp"]})
    return rows


async def exported(registry: Any, path: Path, file_format: str, venue: str = "") -> tuple[Any, Any]:
    """(the document, what was written) of an export."""
    wanted = service.InstrumentFilter(venues=[venue] if venue else [])
    done = await export(registry.channel, path, ExportOptions(file_format, wanted))
    return json.loads(path.read_text()), done  # noqa: ASYNC240 - a small file


@pytest.mark.recordings
async def test_spot_markets_are_those_that_ccxt_reads_from_the_venue_itself(
    registry: Any, recordings_dir: Path, tmp_path: Path
) -> None:
    ccxt = pytest.importorskip("ccxt", reason="ccxt is not installed")
    count = await load_pairs(registry, recordings_dir, "BINANCE", tmp_path / "binance.jsonl")
    document, done = await exported(registry, tmp_path / "markets.json", "ccxt", "BINANCE")
    assert done.listings == count
    assert not done.left_out
    exchange = ccxt.binance()
    exchange.set_markets(document["BINANCE"])
    (info,) = recorded(recordings_dir, "BINANCE", "exchangeInfo")
    reader = reader_of(ccxt.binance())
    own = {raw["symbol"]: reader.parse_market(raw) for raw in info["symbols"]}
    assert len(exchange.markets_by_id) == len(own) == count
    for symbol, theirs in own.items():
        (ours,) = exchange.markets_by_id[symbol]
        assert exchange.market(ours["symbol"])["id"] == symbol
        # ccxt gives some codes another name than the venue does; the identity is the venue's own.
        assert [reader.safe_currency_code(ours[name]) for name in ("base", "quote")] == [
            theirs["base"],
            theirs["quote"],
        ]
        assert (ours["type"], ours["spot"], ours["contract"], ours["active"]) == ("spot", True, False, theirs["active"])
        assert ours["precision"]["price"] == theirs["precision"]["price"], symbol
        assert ours["precision"]["amount"] == theirs["precision"]["amount"], symbol
        assert ours["limits"]["amount"] == theirs["limits"]["amount"], symbol
        assert ours["limits"]["cost"]["min"] == theirs["limits"]["cost"]["min"], symbol
    sample = "BTC/USDT"
    reader.set_markets([own["BTCUSDT"]])
    assert exchange.price_to_precision(sample, 1.23456789) == reader.price_to_precision(sample, 1.23456789)
    assert exchange.amount_to_precision(sample, 0.123456789) == reader.amount_to_precision(sample, 0.123456789)


def reader_of(exchange: Any) -> Any:
    """An adapter of ccxt, ready to read a venue's list without asking the venue for more."""
    exchange.options |= {"crossMarginPairsData": [], "isolatedMarginPairsData": []}
    return exchange


@pytest.mark.recordings
async def test_contracts_are_those_that_ccxt_reads_from_the_venue_itself(
    registry: Any, recordings_dir: Path, tmp_path: Path
) -> None:
    ccxt = pytest.importorskip("ccxt", reason="ccxt is not installed")
    rows = binance_perpetuals(recordings_dir)
    await load_contracts(registry, rows, tmp_path, "contracts.jsonl")
    document, done = await exported(registry, tmp_path / "markets.json", "ccxt")
    assert done.listings == len(rows) > 100
    exchange = ccxt.binanceusdm()
    exchange.set_markets(document["BINANCE_FUTURES"])
    (info,) = recorded(recordings_dir, "BINANCE_FUTURES", "exchangeInfo")
    reader = reader_of(ccxt.binanceusdm())
    for raw in info["symbols"]:
        if raw["symbol"] not in {row["symbol"] for row in rows}:
            continue
        theirs = reader.parse_market(raw)
        (ours,) = exchange.markets_by_id[raw["symbol"]]
        for name in ("symbol", "base", "quote", "settle", "type", "swap", "future", "linear", "inverse", "expiry"):
            assert ours[name] == theirs[name], (raw["symbol"], name)
        assert ours["contractSize"] == theirs["contractSize"]
        assert (ours["precision"]["price"], ours["precision"]["amount"]) == (
            theirs["precision"]["price"],
            theirs["precision"]["amount"],
        )
        assert ours["limits"]["amount"] == theirs["limits"]["amount"]
        assert ours["limits"]["cost"]["min"] == theirs["limits"]["cost"]["min"]


@pytest.mark.recordings
async def test_options_have_the_symbols_ccxt_gives_them(registry: Any, recordings_dir: Path, tmp_path: Path) -> None:
    ccxt = pytest.importorskip("ccxt", reason="ccxt is not installed")
    rows = deribit(recordings_dir)
    await load_contracts(registry, rows, tmp_path, "deribit.jsonl")
    document, done = await exported(registry, tmp_path / "markets.json", "ccxt")
    assert done.listings + done.left_out_count == len(rows)
    assert done.left_out_count == 0, done.left_out[:3]
    exchange = ccxt.deribit()
    exchange.set_markets(document["DERIBIT"])
    option = exchange.markets_by_id["BTC-24SEP21-40000-P"][0]
    assert option["symbol"] == "BTC/BTC:BTC-210924-40000-P"
    assert (option["strike"], option["optionType"], option["expiryDatetime"]) == (
        40000.0,
        "put",
        "2021-09-24T08:00:00.000Z",
    )
    assert (option["maker"], option["taker"]) == (0.0003, 0.0003)
    perpetual = exchange.market("BTC/USD:BTC")
    assert (perpetual["inverse"], perpetual["linear"], perpetual["contractSize"]) == (True, False, 10.0)


@pytest.mark.recordings
@pytest.mark.parametrize("venue", ["COINBASE", "KRAKEN"])
async def test_nautilus_makes_currency_pairs_of_them(
    registry: Any, recordings_dir: Path, tmp_path: Path, venue: str
) -> None:
    instruments = pytest.importorskip("nautilus_trader.model.instruments", reason="nautilus_trader is not installed")
    count = await load_pairs(registry, recordings_dir, venue, tmp_path / "pairs.jsonl")
    document, done = await exported(registry, tmp_path / "nautilus.json", "nautilus", venue)
    assert len(document) == done.listings
    assert done.listings + done.left_out_count == count
    assert done.listings > count * 0.9, done.left_out[:3]
    for values in document:
        made = getattr(instruments, values["type"]).from_dict(values)
        back = type(made).to_dict(made)
        for name in ("id", "price_increment", "size_increment", "base_currency", "quote_currency", "min_quantity"):
            assert _same(back[name], values[name]), (values["id"], name)
        assert made.make_price(Decimal(values["price_increment"]) * 7).as_decimal() == (
            Decimal(values["price_increment"]) * 7
        )


@pytest.mark.recordings
async def test_nautilus_makes_contracts_of_them(registry: Any, recordings_dir: Path, tmp_path: Path) -> None:
    instruments = pytest.importorskip("nautilus_trader.model.instruments", reason="nautilus_trader is not installed")
    rows = [*deribit(recordings_dir), *binance_perpetuals(recordings_dir)]
    await load_contracts(registry, rows, tmp_path, "contracts.jsonl")
    document, done = await exported(registry, tmp_path / "nautilus.json", "nautilus")
    assert done.left_out_count == 0, done.left_out[:3]
    kinds = {}
    by_symbol = {(row["venue"], row["symbol"]): row for row in rows}
    for values in document:
        made = getattr(instruments, values["type"]).from_dict(values)
        kinds[values["type"]] = kinds.get(values["type"], 0) + 1
        row = by_symbol[str(made.id.venue), str(made.id.symbol)]
        assert made.price_increment.as_decimal() == Decimal(row["tick_size"])
        assert made.multiplier.as_decimal() == Decimal(row["contract_size"])
        assert str(made.settlement_currency) == row["settle"]
        assert made.taker_fee == Decimal(row.get("taker_bps", "0")) / 10_000
        if row["asset_class"] == "OPTION":
            assert made.strike_price.as_decimal() == Decimal(row["strike"])
            assert made.option_kind.name.lower() == row["right"]
        if row["asset_class"] != "PERPETUAL":
            assert made.expiration_ns == int(row["expiry"]) * 1_000_000
    assert set(kinds) == {"CryptoPerpetual", "CryptoFuture", "CryptoOption"}


async def test_nautilus_makes_securities_and_their_derivatives(registry: Any, tmp_path: Path) -> None:
    instruments = pytest.importorskip("nautilus_trader.model.instruments", reason="nautilus_trader is not installed")
    path = tmp_path / "securities.csv"
    path.write_text(
        "asset_class,name,isin,ticker,currency,listing_venue,listing_symbol,listing_currency,tick_size,lot_size,underlying_id,"
        "settlement_id,series,expiry,strike,right,style,contract_size,contract_venue,code,kind,base_id,quote_id\n"
        "CURRENCY,US dollar,,,,,,,,,,,,,,,,,,USD,FIAT,,\nCURRENCY,Euro,,,,,,,,,,,,,,,,,,EUR,FIAT,,\n"
        "EQUITY,Apple,US0378331005,AAPL,USD,XNAS,AAPL,USD,0.01,1,,,,,,,,,,,,,\n"
        "EQUITY,Nobody knows its lot,US5949181045,,USD,XNAS,MSFT,USD,0.01,,,,,,,,,,,,,,\n"
    )
    await registry.load(path)
    held = {one.instrument.name: key for key, one in (await registry.everything()).items()}
    usd, eur, apple = held["US dollar"], held["Euro"], held["Apple"]
    more = tmp_path / "derivatives.csv"
    head = path.read_text().splitlines()[0]
    more.write_text(
        f"{head}\nFUTURE,Apple future,,,,XCME,AAPLZ6,USD,0.01,1,{apple},{usd},AAPL1,2026-12-18T21:00:00Z,,,,100,XCME,,,,\n"
        f"OPTION,Apple call,,,,XCBO,AAPL 261218C200,USD,0.05,1,{apple},{usd},,2026-12-18T21:00:00Z,200.5,CALL,AMERICAN,100,XCBO,,,,\n"
        f"FX_PAIR,EUR/USD,,,,OANDA,EUR_USD,USD,0.00001,1,,,,,,,,,,,,{eur},{usd}\n"
    )
    assert (await registry.load(more)).counts.created == 3
    document, done = await exported(registry, tmp_path / "nautilus.json", "nautilus")
    made = {values["type"]: getattr(instruments, values["type"]).from_dict(values) for values in document}
    assert set(made) == {"Equity", "FuturesContract", "OptionContract", "CurrencyPair"}
    assert made["Equity"].isin == "US0378331005"
    assert str(made["OptionContract"].strike_price) == "200.5"
    assert str(made["OptionContract"].id) == "AAPL 261218C200.XCBO"
    assert made["OptionContract"].underlying == "AAPL"
    assert str(made["FuturesContract"].multiplier) == "100"
    assert made["FuturesContract"].exchange == "XCME"
    assert done.left_out == ["XNAS:MSFT: its lot_size is not known"]


def _same(one: Any, other: Any) -> bool:
    if one is None or other is None:
        return one is other
    try:
        return Decimal(one) == Decimal(other)
    except ArithmeticError:
        return bool(one == other)
