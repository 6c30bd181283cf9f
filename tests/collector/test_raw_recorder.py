"""What arrives is recorded as it came: a session that is decoded from its recording is the session, whatever happened to disk and process."""

from __future__ import annotations

import asyncio
import gzip
import json
import multiprocessing
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import count as numbers
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.collectors import collector, sources_when

from alphapulse.api.collector.v1 import collector_service_pb2 as pb
from alphapulse.client import Backoff
from alphapulse.domain.provenance import PROVENANCE_MASK, Provenance
from alphapulse.records import BOOK_LEVEL, TRADE, Rows
from collector.test_chain_live import KEY, SPEC, Node, served
from collector.test_chain_live import transport as node_transport
from collector_service.book.machine import BookMachine
from collector_service.decode import DecodeReport, decode_files, read_instruments, recording_files, report_of
from collector_service.handover import Overlap
from collector_service.listing_index import ListingIndex
from collector_service.recorder import RawRecorder
from collector_service.session import Session
from collector_service.simulation import Market, SimulatedVenue
from collector_service.simulation.server import VenueServer
from collector_service.source import InstrumentList
from collector_service.sources import SOURCES
from collector_service.spec import Channel, Endpoints, Limits
from collector_service.transport import Arrival, ArrivalKind
from collector_service.transport.live import LiveTransport
from collector_service.transport.recorded import RecordedTransport
from collector_service.transport.recording import read_recording, recorded_answers

SHORT = Overlap(notice_s=0.02, settle_s=0.05, bound_s=2.0)
SECOND = 1_000_000_000
COUNTERS = (
    "frames",
    "rejects",
    "unknown_messages",
    "unknown_symbols",
    "unknown_values",
    "venue_errors",
    "resyncs",
    "book_updates",
)


def plain(rows: Rows) -> bytes:
    """Rows but for their provenance, which is that of a replay where a recording is decoded."""
    copy = rows.copy()
    copy["flags"] &= np.uint32(0xFFFFFFFF ^ PROVENANCE_MASK)
    return copy.tobytes()


def assert_same(found: DecodeReport, wanted: DecodeReport) -> None:
    for name in COUNTERS:
        assert getattr(found, name) == getattr(wanted, name), name
    assert {kind: plain(rows) for kind, rows in found.rows.items()} == {
        kind: plain(rows) for kind, rows in wanted.rows.items()
    }

    def books(report: DecodeReport) -> dict[str, Any]:
        return {symbol: _book(machine) for symbol, machine in report.books.items()}

    assert books(found) == books(wanted)


def _book(machine: BookMachine) -> tuple[bool, list[Any], list[Any]]:
    return machine.synced, sorted(machine.book.bids), sorted(machine.book.asks)


def text_of(*paths: Path) -> bytes:
    """What stands in files of gzip."""
    return b"".join(gzip.decompress(path.read_bytes()) for path in paths)


async def until(condition: Callable[[], bool], meanwhile: Callable[[], Any] = lambda: None) -> None:
    """Waits for the recorder's thread."""
    async with asyncio.timeout(10):
        while not condition():
            meanwhile()
            await asyncio.sleep(0.01)


def written_again(files: Iterable[Path], folder: Path, source: str, **options: Any) -> None:
    """Records a recording."""

    async def record() -> None:
        async with RawRecorder(folder, **options) as recorder:
            taken = recorder.of(SOURCES[source])
            told = list(recorded_answers(files))
            taken.listed([(one.url, None, one.data, one.time_ns) for one in told], InstrumentList(()))
            for arrival in read_recording(files):
                taken.arrived(arrival)

    asyncio.run(record())


@pytest.mark.parametrize("source", ["BINANCE", "KRAKEN"])
async def test_a_live_session_is_decoded_from_its_recording_byte_for_byte(source: str, tmp_path: Path) -> None:
    """Several connections that are cut, end, and follow each other; refused requests, noise, and what nobody knows."""
    venue = SimulatedVenue(SOURCES[source], Market(1, 1_700_000_000_000_000_000), 600.0)
    async with VenueServer(venue) as server, RawRecorder(tmp_path, flush_seconds=0.05) as recorder:
        spec = replace(
            SOURCES[source],
            endpoints=Endpoints(server.websocket_url, server.rest_url),
            limits=Limits(300, 1_000.0, 1_000.0, connection_lifetime_s=1.5),
        )
        taken = recorder.of(spec)
        live = LiveTransport(
            spec.endpoints, spec.live.path, spec.limits, spec.heartbeat, overlap=SHORT, backoff=Backoff(0.01, 0.05)
        )
        async with live:
            recorded = RecordedTransport(live, taken)
            listed = await recorded.instruments(spec)
            listings = ListingIndex(spec.venue)
            listings.learn(listed.entries)
            parts = [listed.entries[:2], listed.entries[2:5]]
            session = Session(spec, listings, Provenance.LIVE, subscriptions=parts, overlap=SHORT)
            taken.begin({}, [[entry.symbol for entry in part] for part in parts])
            kinds: list[ArrivalKind] = []
            async with asyncio.timeout(30):
                async for arrival in recorded.arrivals(2):
                    kinds.append(arrival.kind)
                    for request in session.handle(arrival):
                        recorded.submit(request)
                    if len(kinds) == 50:
                        server.inject(b"{noise")
                        server.inject(b'{"e":"?","event":"fireworks"}')
                        # As often as it is asked for: then the request has failed.
                        server.refuse_requests = [(500, "0")] * 3
                    if kinds.count(ArrivalKind.RETIRED) == 2 and ArrivalKind.CLOSED not in kinds:
                        await server.cut()
                    if kinds.count(ArrivalKind.CLOSED) >= 2 and kinds.count(ArrivalKind.OPENED) > 5:
                        break
        assert taken.figures.lost == 0
    assert taken.figures.written == len(kinds)
    files = recording_files(tmp_path, source)
    again = ListingIndex(spec.venue)
    again.learn(read_instruments(files, source).entries)
    replayed = Session(spec, again, Provenance.REPLAY, overlap=SHORT)
    for arrival in read_recording(files):
        replayed.handle(arrival)
    wanted = report_of(session)
    assert wanted.rejects
    assert set(kinds) == {one.kind for one in read_recording(files)} - {ArrivalKind.BEGUN}
    assert {ArrivalKind.FAILED, ArrivalKind.RETIRED, ArrivalKind.CLOSED} <= set(kinds) or source == "KRAKEN"
    assert wanted.rows[TRADE.event_type].size > 5
    assert wanted.rows[BOOK_LEVEL.event_type].size > 100
    assert_same(report_of(replayed), wanted)
    assert replayed.gaps == session.gaps


@pytest.mark.recordings
@pytest.mark.parametrize("source", ["BITFINEX", "GATEIO", "HUOBI", "KRAKEN"])
def test_recordings_of_others_are_written_as_they_were(source: str, recordings_dir: Path, tmp_path: Path) -> None:
    files = recording_files(recordings_dir, source)
    written_again(files, tmp_path, source, file_bytes=1 << 16, flush_seconds=0.01)
    assert len(recording_files(tmp_path, source)) >= len(files)
    assert_same(decode_files(recording_files(tmp_path, source), source), decode_files(files, source))


async def test_a_collector_records_what_it_is_told_to(tmp_path: Path) -> None:
    """Over two starts of a source; its recording is replayed by another collector."""
    seen: list[pb.Source] = []
    async with collector(SOURCES="BINANCE", RECORD_DIR=str(tmp_path), RECORD_SOURCES="KRAKEN") as (stub, _):
        for _ in range(2):
            await stub.StartSource(pb.StartSourceRequest(name="kraken"))
            await sources_when(stub, lambda all_: all_["KRAKEN"].frames > 200)
            seen.append((await stub.StopSource(pb.StopSourceRequest(name="KRAKEN"))).source)
        found = await sources_when(stub, lambda all_: all_["KRAKEN"].recorded > sum(one.frames for one in seen))
    assert found["BINANCE"].frames > 0
    assert found["BINANCE"].recorded == 0
    assert (found["KRAKEN"].recording_lost, found["KRAKEN"].recording_error) == (0, "")
    assert not recording_files(tmp_path, "BINANCE")
    report = decode_files(recording_files(tmp_path, "KRAKEN"), "KRAKEN")
    events: dict[int, int] = {}
    for one in seen:
        for kind, count in one.events.items():
            events[kind] = events.get(kind, 0) + count
    assert report.frames == sum(one.frames for one in seen)
    assert {kind: report.count(kind) for kind in events} == events
    assert not report.rejects
    (lists,) = (path for path in recording_files(tmp_path, "KRAKEN") if path.name == "KRAKEN.0.gz")
    told = json.loads(text_of(lists).splitlines()[-1].removeprefix(b"configuration: "))
    assert told["provenance"] == "simulated"
    assert told["l2_book"] == told["trades"] == [symbol for one in told["connections"] for symbol in one]
    async with collector(SOURCES="KRAKEN", TRANSPORT="replay", RECORDINGS=str(tmp_path), REPLAY_SPEED="0") as (stub, _):
        found = await sources_when(stub, lambda all_: all_["KRAKEN"].state == pb.SOURCE_STATE_FINISHED)
    assert dict(found["KRAKEN"].events) == events


def frame(number: int, time_ns: int, connection: int = 0) -> Arrival:
    """A trade of Coinbase's."""
    told = {
        "type": "match",
        "product_id": "BTC-USD",
        "trade_id": number,
        "price": "100.5",
        "size": "1",
        "side": "buy",
        "time": "2026-01-01T00:00:00Z",
    }
    return Arrival(ArrivalKind.FRAME, time_ns, json.dumps(told).encode(), connection)


def _record_for_ever(folder: Path, sure: Any) -> None:
    """Tells how many arrivals can be read, it believes."""

    async def record() -> None:
        async with RawRecorder(folder, flush_seconds=0.01) as recorder:
            taken = recorder.of(SOURCES["COINBASE"])
            for number in numbers():
                taken.arrived(frame(number, time.time_ns()))
                if number % 50 == 0:
                    sure.value = taken.figures.written
                    await asyncio.sleep(0.002)

    asyncio.run(record())


def test_what_was_written_survives_the_process_and_its_end_is_told(tmp_path: Path) -> None:
    """Killed twice, in the middle; what the second one wrote follows what the first one did."""
    context, lower = multiprocessing.get_context("fork"), 0
    for killed in (1, 2):
        sure = context.Value("q", 0)
        process = context.Process(target=_record_for_ever, args=(tmp_path, sure))
        process.start()
        while sure.value < 300 and process.is_alive():
            time.sleep(0.001)
        lower += sure.value
        process.kill()
        process.join()
        report = decode_files(recording_files(tmp_path, "COINBASE"), "COINBASE")
        assert report.count(TRADE.event_type) >= lower >= 300 * killed
        assert report.rejects == {"TRUNCATED_RECORDING": killed}


def test_a_recording_of_years_is_read_in_the_format_of_each_day(tmp_path: Path) -> None:
    """Also where a folder begins in the middle of a connection, whose opening is in that of the day before."""
    spec = SOURCES["COINBASE"]
    turn = int(spec.live.valid_from.timestamp()) * SECOND
    read: list[str] = []

    async def record() -> None:
        async with RawRecorder(tmp_path) as recorder:
            taken = recorder.of(spec)
            for number, at in enumerate((turn - 86_400 * SECOND, turn - 1, turn + 1), 1):
                taken.arrived(frame(number, at))

    asyncio.run(record())

    def noting(name: str, split: Any) -> Any:
        def noted(data: bytes, emitter: Any) -> Any:
            read.append(name)
            return split(data, emitter)

        return noted

    watched = replace(spec, dialects=tuple(replace(one, split=noting(one.name, one.split)) for one in spec.dialects))
    for day in sorted(tmp_path.iterdir()):
        assert decode_files(recording_files(day, spec.name), watched).count(TRADE.event_type)
    older, newer = (one.name for one in spec.dialects[-2:])
    assert read == [older, older, newer]


async def test_a_full_disk_is_told_and_the_stream_goes_on(tmp_path: Path) -> None:
    """A file stands where the day's folder has to be; when it is gone, what follows is recorded, and that some is missing."""
    async with RawRecorder(tmp_path, flush_seconds=0.01, retry_seconds=0.01) as recorder:
        taken = recorder.of(SOURCES["COINBASE"])
        start = 1_767_225_600 * SECOND
        blocked = tmp_path / "2026-01-01"
        blocked.write_text("no folder")
        lists = [("/products", None, b"[]", start)]
        taken.listed(lists, InstrumentList(()))
        for number in range(10):
            taken.arrived(frame(number + 1, start + number))
        await until(lambda: taken.figures.lost == 10)
        assert "FileExistsError" in taken.figures.error
        assert taken.figures.written == 0
        blocked.unlink()
        await asyncio.sleep(0.02)
        for number in range(10, 15):
            taken.arrived(frame(number + 1, start + number))
        await until(lambda: taken.figures.written == 5)
        assert taken.figures.error == ""
        assert taken.figures.lost == 10
        # It was not written when it was told for the first time.
        for _ in range(2):
            taken.listed(lists, InstrumentList(()))
    assert sum(1 for _ in recorded_answers(recording_files(tmp_path, "COINBASE"))) == 1
    report = decode_files(recording_files(tmp_path, "COINBASE"), "COINBASE")
    assert report.count(TRADE.event_type) == 5
    assert report.rejects == {"RECORDING_LOST": 1}


async def test_a_slow_disk_costs_what_does_not_fit_and_no_memory(tmp_path: Path) -> None:
    recorder = RawRecorder(tmp_path, queue_bytes=10_000)
    taken = recorder.of(SOURCES["COINBASE"])
    for number in range(1_000):
        taken.arrived(frame(number + 1, (1_767_225_600 + number) * SECOND))
    lost = taken.figures.lost
    assert 950 < lost < 1_000
    assert taken.figures.error == "the disk takes less than the source gives"
    async with recorder:
        late = frame(2_000, 1_767_230_000 * SECOND)
        await until(lambda: not taken.figures.error, lambda: taken.arrived(late))
    assert taken.figures.written + taken.figures.lost > 1_000
    report = decode_files(recording_files(tmp_path, "COINBASE"), "COINBASE")
    assert report.count(TRADE.event_type) == taken.figures.written
    holes = [one for one in read_recording(recording_files(tmp_path, "COINBASE")) if one.kind is ArrivalKind.LOST]
    assert report.rejects == {"RECORDING_LOST": len(holes)}
    assert sum(int(hole.data) for hole in holes) == taken.figures.lost


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from((ArrivalKind.FRAME, ArrivalKind.RESPONSE)),
            st.binary(max_size=40) | st.text(max_size=40).map(str.encode) | st.sampled_from((b"b'x'", b'b"', b"\r\n")),
            st.integers(0, 3),
            st.integers(-SECOND // 2, SECOND),
        ),
        max_size=30,
    )
)
def test_whatever_arrives_is_read_again(tmp_path_factory: pytest.TempPathFactory, told: list[Any]) -> None:
    """Any bytes, in the order they came in, though the clock stands still or goes back a little."""
    folder = tmp_path_factory.mktemp("recording")
    now = 1_767_225_600 * SECOND
    given_: list[Arrival] = []

    async def record() -> None:
        async with RawRecorder(folder) as recorder:
            taken = recorder.of(SOURCES["COINBASE"])
            for kind, data, connection, step in told:
                url = "/a?b=c d" if kind is ArrivalKind.RESPONSE else ""
                at = max(now, given_[-1].time_ns + step) if given_ else now
                given_.append(taken.arrived(Arrival(kind, at, data, connection, url)))

    asyncio.run(record())
    found = list(read_recording(recording_files(folder, "COINBASE")))
    assert [(one.kind, one.data, one.time_ns) for one in found] == [(one.kind, one.data, one.time_ns) for one in given_]
    frames = [(one.connection, one.data) for one in found if one.kind is ArrivalKind.FRAME]
    assert frames == [(one.connection, one.data) for one in given_ if one.kind is ArrivalKind.FRAME]


async def test_no_recording_holds_a_secret(tmp_path: Path) -> None:
    """Whether the venue repeats it, tells it in an error, or it stands in an address; what we send shows its name."""
    secret = 's3cret"/key'
    async with RawRecorder(tmp_path, secrets={"ALPACA_KEY": secret, "ALPACA_SECRET": "another-one"}) as recorder:
        spec = SOURCES["ALPACA"]
        assert "{secret:" in repr(spec.spec)
        names = sorted({part.partition("}")[0] for part in repr(spec.spec).split("{secret:")[1:]})
        recorder.secrets = dict.fromkeys(names, secret)
        taken = recorder.of(spec)
        now = 1_767_225_600 * SECOND
        for data in (secret.encode(), json.dumps({"key": secret}).encode(), b"line\n" + secret.encode()):
            taken.arrived(Arrival(ArrivalKind.FRAME, now, data))
        taken.arrived(Arrival(ArrivalKind.RESPONSE, now, secret.encode(), 0, "/v1?key=s3cret%22%2Fkey"))
        taken.arrived(Arrival(ArrivalKind.CLOSED, now, f"refused {secret}".encode()))
        taken.sent(0, f'{{"key":"{{secret:{names[0]}}}"}}')
    text = text_of(*recording_files(tmp_path, "ALPACA"))
    assert text.count(b"s3cret") == 0
    assert text.count(b"{secret:") >= 6


async def test_the_pools_of_a_chain_are_read_from_what_its_node_answered(tmp_path: Path) -> None:
    async with (
        served(Node()) as secrets,
        RawRecorder(tmp_path, secrets=secrets) as recorder,
        node_transport(secrets) as live,
    ):
        recorded = RecordedTransport(live, recorder.of(SPEC))
        listed = await recorded.instruments(SPEC)
        assert await recorded.instruments(SPEC) == listed
    assert listed.entries
    (file,) = recording_files(tmp_path, SPEC.name)
    assert read_instruments([file], SPEC) == listed
    text = text_of(file)
    assert KEY.encode() not in text
    assert text.count(b"eth_chainId") == 1, "a list that says the same is written once a day"


def test_what_a_recorder_says_of_a_channel_is_what_recordings_call_it(tmp_path: Path) -> None:
    async def record() -> None:
        async with RawRecorder(tmp_path) as recorder:
            taken = recorder.of(SOURCES["COINBASE"])
            taken.begin({Channel.QUOTES: ["A"], Channel.TRADES: ["B"]}, [["A", "B"]])
            taken.carries({Channel.QUOTES: ["A"]}, [["A"], ["C"]])

    asyncio.run(record())
    (file,) = recording_files(tmp_path, "COINBASE")
    first, second = (json.loads(line.removeprefix(b"configuration: ")) for line in text_of(file).splitlines())
    assert (first["ticker"], first["trades"], first["connections"]) == (["A"], ["B"], [["A", "B"]])
    assert (second["ticker"], second["connections"], second["begun"]) == (["A"], [["A"], ["C"]], first["begun"])
