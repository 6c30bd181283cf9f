"""Whatever arrives is counted, never a crash, and never a wrong book in silence."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphapulse.domain.provenance import Provenance, RecordFlag
from alphapulse.records import LAYOUTS, QUOTE, TRADE
from collector_service.decode import decode_files, recording_files, report_of
from collector_service.listing_index import ListingIndex
from collector_service.listings import VenueSymbol
from collector_service.session import Session
from collector_service.sources import SOURCES
from collector_service.transport import Arrival, ArrivalKind, Send

FRAMES = {
    "BINANCE": [
        {"stream": "btcusdt@trade", "data": {"e": "trade", "s": "BTCUSDT", "t": 1, "p": "1.5", "q": "2", "T": 5, "m": True}},
        {"stream": "btcusdt@bookTicker", "data": {"u": 1, "s": "BTCUSDT", "b": "1", "B": "2", "a": "3", "A": "4"}},
        {"stream": "btcusdt@depth@100ms", "data": {"E": 1, "s": "BTCUSDT", "U": 1, "u": 2, "b": [["1", "2"]], "a": []}},
    ],
    "COINBASE": [
        {"type": "match", "trade_id": 1, "product_id": "BTC-USD", "price": "1.5", "size": "2", "side": "buy",
         "time": "2025-01-01T00:00:00Z"},
        {"type": "ticker", "product_id": "BTC-USD", "best_bid": "1", "best_ask": "2", "best_bid_size": "3"},
        {"type": "snapshot", "product_id": "BTC-USD", "bids": [["1", "2"]], "asks": [["3", "4"]]},
        {"type": "l2update", "product_id": "BTC-USD", "changes": [["buy", "1", "0"]], "time": "2025-01-01T00:00:00Z"},
    ],
    "KRAKEN": [
        {"channel": "trade", "type": "update", "data": [{"symbol": "BTC/USD", "side": "buy", "price": 1.5, "qty": 2,
         "trade_id": 1, "timestamp": "2025-01-01T00:00:00Z"}]},
        {"channel": "ticker", "type": "update", "data": [{"symbol": "BTC/USD", "bid": 1, "bid_qty": 2, "ask": 3,
         "ask_qty": 4}]},
        {"channel": "book", "type": "snapshot", "data": [{"symbol": "BTC/USD", "bids": [{"price": 1, "qty": 2}],
         "asks": [{"price": 3, "qty": 4}], "checksum": 3996291885}]},
    ],
}  # fmt: skip
NAMES = sorted(FRAMES)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def session_of(name: str, provenance: Provenance = Provenance.LIVE) -> Session:
    spec = SOURCES[name]
    listings = ListingIndex(spec.venue)
    symbols = {"BINANCE": "BTCUSDT", "COINBASE": "BTC-USD", "KRAKEN": "XBT/USD"}
    listings.learn([VenueSymbol(symbols[name], "BTC", "USD", frozenset({"USD"}), aliases=("BTC/USD",))])
    return Session(spec, listings, provenance)


def frame(data: bytes, at: int = 1) -> Arrival:
    return Arrival(ArrivalKind.FRAME, at, data)


def damaged(draw: st.DrawFn, sample: object) -> bytes:
    whole = json.dumps(sample).encode()
    how = draw(st.integers(0, 5))
    if how == 0:
        return whole[: draw(st.integers(0, len(whole) - 1))]
    if how == 1:
        at = draw(st.integers(0, len(whole) - 1))
        return whole[:at] + draw(st.binary(min_size=1, max_size=3)) + whole[at + 1 :]
    if how == 2:
        return draw(st.binary(max_size=200))
    if how == 3:
        return json.dumps(draw(JSON)).encode()
    if how == 4:
        values = ['"NaN"', "NaN", "-1", '"-1"', "null", "[]", "1e400", '"1e400"', "18446744073709551616"]
        return whole.replace(
            draw(st.sampled_from([b'"1.5"', b"1.5", b'"1"', b" 1", b'"2"'])), draw(st.sampled_from(values)).encode()
        )
    assert isinstance(sample, dict)
    inner = sample.get("data", sample)
    inner = inner[0] if isinstance(inner, list) else inner
    key = draw(st.sampled_from(sorted(inner)))
    text = json.dumps({name: value for name, value in inner.items() if name != key})
    return json.dumps(sample).replace(json.dumps(inner), text).encode()


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_damaged_frames_are_counted_and_never_raise(name: str, data: st.DataObject) -> None:
    session = session_of(name)
    session.handle(Arrival(ArrivalKind.OPENED, 1, url="wss://venue"))

    @st.composite
    def frames(draw: st.DrawFn) -> bytes:
        sample = draw(st.sampled_from(FRAMES[name]))
        return damaged(draw, sample) if draw(st.booleans()) else json.dumps(sample).encode()

    sent = data.draw(st.lists(frames(), min_size=1, max_size=12))
    for at, raw in enumerate(sent, 1):
        session.handle(frame(raw, at))
    assert session.frames == len(sent)
    for kind, rows in report_of(session).rows.items():
        assert LAYOUTS[kind].is_rows(rows.tobytes())


@pytest.mark.parametrize("name", NAMES)
def test_whole_frames_of_every_route_decode(name: str) -> None:
    session = session_of(name)
    for sample in FRAMES[name]:
        session.handle(frame(json.dumps(sample).encode()))
    report = report_of(session)
    assert report.count(TRADE.event_type) == 1
    assert report.count(QUOTE.event_type) == 1
    assert not report.rejects
    assert sum(report.book_updates.values()) == (0 if name == "BINANCE" else 2 if name == "COINBASE" else 1)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", ['"NaN"', '"-1"', "null", "{}", '""', '"0"'])
def test_a_price_that_is_none_refuses_the_trade_alone(name: str, value: str) -> None:
    session = session_of(name)
    sample = json.dumps(FRAMES[name][0])
    session.handle(frame(sample.replace('"1.5"', value).replace(" 1.5", f" {value}").encode()))
    assert sum(session.rejects.values()) == 1
    session.handle(frame(sample.encode()))
    assert report_of(session).count(TRADE.event_type) == 1


@pytest.mark.parametrize("name", ["COINBASE", "KRAKEN"])
@pytest.mark.parametrize("year", ["0001", "1969", "2262", "9999"])
def test_a_time_no_row_can_hold_refuses_its_message_alone(name: str, year: str) -> None:
    session = session_of(name)
    sample = json.dumps(FRAMES[name][0])
    session.handle(frame(sample.replace("2025-01-01", f"{year}-12-31").encode()))
    assert session.rejects == {"TIME_FORMAT": 1}
    session.handle(frame(sample.encode()))
    assert report_of(session).count(TRADE.event_type) == 1


def test_a_checksum_of_thousands_of_digits_is_refused() -> None:
    session = session_of("KRAKEN", Provenance.REPLAY)
    session.handle(Arrival(ArrivalKind.OPENED, 1_618_678_134_000_000_000, url="wss://ws.kraken.com"))
    book = {"a": [["13.4", "1602.3", "1618678134.664320"]], "c": "1" * 5_000}
    session.handle(frame(json.dumps([1664, book, "book-1000", "XBT/USD"]).encode()))
    assert session.rejects == {"CHECKSUM": 1}


def test_a_message_that_fails_half_way_leaves_nothing() -> None:
    session = session_of("KRAKEN")
    sample = json.loads(json.dumps(FRAMES["KRAKEN"][0]))
    sample["data"].append({**sample["data"][0], "price": "not a number"})
    session.handle(frame(json.dumps(sample).encode()))
    assert report_of(session).count(TRADE.event_type) == 0
    assert sum(session.rejects.values()) == 1


def test_unknown_messages_are_counted_by_kind() -> None:
    session = session_of("COINBASE")
    session.handle(frame(b'{"type":"rfq_matches","new":1}'))
    assert session.unknown_messages == {"rfq_matches": 1}
    assert not session.rejects


def test_a_symbol_outside_the_list_is_carried_and_marked() -> None:
    session = session_of("COINBASE")
    sample = json.dumps(FRAMES["COINBASE"][0]).replace("BTC-USD", "NEW-USD")
    session.handle(frame(sample.encode()))
    report = report_of(session)
    assert report.rows[TRADE.event_type]["flags"][0] & RecordFlag.UNKNOWN_LISTING
    assert report.unknown_symbols == ("NEW-USD",)


def test_an_unreadable_update_of_a_book_without_numbers_starts_it_again() -> None:
    session = session_of("COINBASE")
    session.handle(frame(json.dumps(FRAMES["COINBASE"][2]).encode()))
    assert session.emitter.books["BTC-USD"].synced
    requests = session.handle(frame(b'{"type":"l2update","product_id":"BTC-USD","changes":[["buy","1"'))
    assert not session.emitter.books["BTC-USD"].synced
    assert all(isinstance(request, Send) for request in requests)
    assert [json.loads(request.text)["type"] for request in requests if isinstance(request, Send)] == [
        "unsubscribe",
        "subscribe",
    ]


@pytest.mark.recordings
@pytest.mark.parametrize("cut", [1000, 3333, 20_000])
def test_a_recording_that_stops_in_the_middle_of_a_line(recordings_dir: Path, tmp_path: Path, cut: int) -> None:
    for path in recording_files(recordings_dir, "COINBASE"):
        data = gzip.decompress(path.read_bytes())
        (tmp_path / path.name).write_bytes(gzip.compress(data[:-cut] if ".ws." in path.name else data))
    report = decode_files(recording_files(tmp_path, "COINBASE"), "COINBASE")
    assert report.rejects == {"TRUNCATED_RECORDING": 1}
    assert report.frames > 9_000


@pytest.mark.recordings
def test_a_recording_whose_compression_stops(recordings_dir: Path, tmp_path: Path) -> None:
    for path in recording_files(recordings_dir, "COINBASE"):
        data = path.read_bytes()
        (tmp_path / path.name).write_bytes(data[: len(data) // 2] if ".ws." in path.name else data)
    report = decode_files(recording_files(tmp_path, "COINBASE"), "COINBASE")
    assert report.rejects["TRUNCATED_RECORDING"] >= 1
    assert report.frames > 1_000


def test_binary_frames_are_read_as_literals(tmp_path: Path) -> None:
    lines = [
        "wss://venue <-> 1618677816.5",
        '1618677817.5: b\'{"type": "heartbeat"}\'',
        "1618677817.6: b'broken",
        "noise",
    ]
    (tmp_path / "COINBASE.ws.1.0.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    report = decode_files(sorted(tmp_path.iterdir()), "COINBASE")
    assert report.frames == 1
    assert report.rejects == {"TRUNCATED_RECORDING": 2}
