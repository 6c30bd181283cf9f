"""Whatever arrives, at every native source: nothing raises, everything is counted, and no row has a number that was in no frame.

The frames are those of the documentation's examples (`fixtures`), of chains those of a block with a swap; each is damaged in ways of `damage`,
between whole ones, since a book that is in step has more to lose.
"""

from __future__ import annotations

import resource
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alphapulse.domain.asset_class import AssetClass
from alphapulse.domain.provenance import Provenance, RecordFlag
from alphapulse.records import BOOK_LEVEL, LAYOUTS, QUOTE, STATISTIC, TRADE
from collector.damage import FRAMES, Written, damaged, encoded, numbers, plain, read
from collector_service.chain.events import TOPICS, LogKind, PoolKind
from collector_service.conformance.wire import Wire
from collector_service.listing_index import ListingIndex
from collector_service.listings import PoolTerms, SecurityTerms, TokenTerms, VenueSymbol
from collector_service.rows import as_array
from collector_service.session import Session
from collector_service.sources import NATIVE, SOURCES
from collector_service.sources.chains import CHAIN_OF
from collector_service.transport.base import Arrival, ArrivalKind, Request

FOLDER: Final = Path(__file__).with_name("fixtures")
NOW_NS: Final = 1_764_460_800_000_000_000
WHOLE: Final = ("BINANCE", "COINBASE")
"""Sources that no fixture shows: recordings do. Here their mock venues speak for them."""
HEARD: Final = sorted(NATIVE.keys() - {"SOLANA"})
"""All but Solana, of whose node no frames are written down here."""
SECOND_NS: Final = 1_000_000_000
AMOUNTS: Final = {
    TRADE.event_type: (("price", "price_exponent", 0), ("size", "size_exponent", RecordFlag.SIZE_ABSENT)),
    QUOTE.event_type: (
        ("bid_price", "price_exponent", RecordFlag.BID_ABSENT),
        ("ask_price", "price_exponent", RecordFlag.ASK_ABSENT),
        ("bid_size", "size_exponent", RecordFlag.BID_SIZE_ABSENT),
        ("ask_size", "size_exponent", RecordFlag.ASK_SIZE_ABSENT),
    ),
    BOOK_LEVEL.event_type: (("price", "price_exponent", 0), ("size", "size_exponent", 0)),
    STATISTIC.event_type: (("value", "value_exponent", 0),),
}
"""By type the numbers of a row: name, exponent, and the flag that says there is none."""


@dataclass(frozen=True)
class Said:
    """One frame, or with an address the answer of a request."""

    data: bytes
    url: str = ""


@dataclass(frozen=True)
class Talk:
    """A conversation with what is listed; `scales` are the powers of ten by which whole numbers are read."""

    entries: tuple[VenueSymbol, ...]
    said: tuple[Said, ...]
    scales: frozenset[int]


@cache
def talks(name: str) -> tuple[Talk, ...]:
    if name in CHAIN_OF:
        return (_chain(name),)
    if name in WHOLE:
        return (_whole(name),)
    return tuple(_shown(name, case) for case in read((FOLDER / f"{name}.json").read_text())["cases"])


def _whole(name: str) -> Talk:
    """What the source's mock venue says in a while, book, trades and all."""
    wire = Wire(SOURCES[name])
    heard: list[Said] = []
    handle = wire.session.handle

    def overheard(arrival: Arrival) -> list[Request]:
        if arrival.kind in (ArrivalKind.FRAME, ArrivalKind.RESPONSE):
            heard.append(Said(arrival.data, arrival.url if arrival.kind is ArrivalKind.RESPONSE else ""))
        return handle(arrival)

    wire.session.handle = overheard  # type: ignore[method-assign]
    wire.open()
    wire.run(8)
    return Talk(tuple(wire.listed.entries), tuple(heard), frozenset())


def _shown(name: str, case: Any) -> Talk:
    entries = tuple(
        VenueSymbol(
            one["symbol"],
            one["base"],
            one["quote"],
            frozenset(),
            aliases=tuple(one.get("aliases", ())),
            extras=one.get("extras", {}),
            security=None if one["base"] else SecurityTerms(AssetClass.EQUITY, one["symbol"]),
        )
        for one in case.get("instruments", ())
    )
    said = tuple(
        Said(_bytes(one["@body"]), one["@url"]) if isinstance(one, dict) and "@url" in one else Said(_bytes(one))
        for one in case["frames"]
    )
    told = {int(text) for entry in entries for text in entry.extras.values() if text.isdecimal() and len(text) < 3}
    return Talk(entries, said, frozenset(told | _scales(SOURCES[name].spec)))


def _scales(value: Any) -> set[int]:
    """The digits of every `Scaled` of a specification."""
    if type(value).__name__ == "Scaled":
        return {value.digits}
    if hasattr(value, "__dataclass_fields__"):
        value = [getattr(value, one) for one in value.__dataclass_fields__]
    parts = value.values() if hasattr(value, "values") else value if isinstance(value, (list, tuple)) else ()
    return {digits for part in parts for digits in _scales(part)}


def _bytes(frame: Any) -> bytes:
    if isinstance(frame, str):
        return frame.encode()
    if isinstance(frame, dict) and "@lines" in frame:
        return "\n".join(frame["@lines"]).encode()
    return encoded(frame).encode()


def _chain(name: str) -> Talk:
    chain = CHAIN_OF[name]
    kinds = {PoolKind.V2: LogKind.V2_SWAP, PoolKind.V3: LogKind.V3_SWAP}
    pool, on = next(one for one in chain.pools if one.protocol.kind in kinds), f"eip155:{chain.chain_id}"
    tokens = TokenTerms(on, f"0x{0:040x}", 18, "A"), TokenTerms(on, f"0x{1:040x}", 6, "B")
    terms = PoolTerms(on, pool.address, pool.protocol.name, 500, tokens, pool.base)
    entry = VenueSymbol(pool.address, "AAA", "BBB", frozenset(), pool=terms)
    swap = [10**18, -64_000_000] if pool.protocol.kind is PoolKind.V3 else [10**18, 0, 0, 64_000_000]
    words = [*swap, *((2**96, 10**18, -201_000) if pool.protocol.kind is PoolKind.V3 else ())]
    log = {
        "address": pool.address,
        "topics": [TOPICS[kinds[pool.protocol.kind]], f"0x{'0' * 64}", f"0x{'0' * 64}"],
        "data": "0x" + "".join(f"{word % 2**256:064x}" for word in words),
        "blockNumber": "0x64",
        "blockHash": f"0x{100:064x}",
        "logIndex": "0x7",
        "removed": False,
    }
    heads = [
        {"hash": f"0x{number:064x}", "parentHash": f"0x{number - 1:064x}", "number": hex(number), "timestamp": hex(1_700_000_000 + number)}
        for number in range(99, 101 + chain.confirmations)
    ]  # fmt: skip
    notes = [("logs", log), *(("newHeads", head) for head in heads)]
    said = [
        *({"jsonrpc": "2.0", "id": number, "result": f"0x{number}"} for number in (1, 2)),
        *({"jsonrpc": "2.0", "method": "eth_subscription", "params": {"subscription": f"0x{one}", "result": result}} for one, result in notes),
    ]  # fmt: skip
    return Talk((entry,), tuple(Said(encoded(one).encode()) for one in said), frozenset())


class Ear:
    """A session, and all it was ever told."""

    def __init__(self, name: str, talk: Talk) -> None:
        self.source = SOURCES[name]
        self.exact = name not in CHAIN_OF
        listings = ListingIndex(self.source.venue)
        for request in self.source.discovery.requests:
            if request.given is not None:
                listings.learn(request.given.entries)
        listings.learn(talk.entries)
        self.session = Session(self.source, listings, Provenance.LIVE)
        self.scales = (0, *talk.scales)
        self.told: set[tuple[int, int]] = {(0, 0)}
        self.given: Counter[int] = Counter()
        self.crossed: set[str] = set()
        self.now = NOW_NS
        self.session.handle(Arrival(ArrivalKind.OPENED, self.now))

    def hear(self, said: Said) -> None:
        """Holds it to everything that is asked of every message."""
        self.now += SECOND_NS
        kind = ArrivalKind.RESPONSE if said.url else ArrivalKind.FRAME
        self.told.update((mantissa, power - scale) for mantissa, power in numbers(said.data) for scale in self.scales)
        before = self.counted()
        self.session.handle(Arrival(kind, self.now, said.data, 0, said.url))
        assert self.counted() > before or said.url or self.is_known(said.data), (
            f"{said.data[:200]!r} is counted nowhere"
        )
        self.look_at_rows(said)
        for symbol, machine in self.session.emitter.books.items():
            assert not (machine.synced and machine.book.crossed) or symbol in self.crossed, (
                f"{symbol} crossed in silence"
            )

    def counted(self) -> int:
        """All that was ever counted as not in order."""
        session = self.session
        counters = (session.rejects, session.unknown_messages, session.venue_errors, session.unknown_values)
        return sum(sum(found.values()) for found in counters) + len(session.emitter.unknown_symbols)

    def is_known(self, data: bytes) -> bool:
        """Whether all its messages are of kinds that are known: then it was decoded."""
        live = self.source.live
        parts = live.parts(data) if live.parts is not None else [data]
        return all(live.split(part, self.session.emitter)[0] in {*live.routes, *live.silent} for part in parts)

    def look_at_rows(self, said: Said) -> None:
        listings = self.session.emitter.listings
        books = self.session.emitter.books
        # A book that was told to be crossed is so until its levels are others.
        self.crossed = {symbol for symbol in self.crossed if symbol in books and books[symbol].book.crossed}
        for kind, rows in self.session.sink.take().items():
            if not rows:
                continue
            self.given[kind] += len(rows)
            assert LAYOUTS[kind].is_rows(b"".join(rows))
            for row in as_array(LAYOUTS[kind], rows):
                flags = int(row["flags"])
                if flags & RecordFlag.CROSSED:
                    self.crossed |= {listings.symbol_of_key(int(row["listing_key"])) or "", *self.session.emitter.books}
                for name, exponent, absent in AMOUNTS.get(kind, ()) if self.exact else ():
                    value = Decimal(int(row[name])).scaleb(int(row[exponent]))
                    if flags & (absent | RecordFlag.OVERSIZE):
                        continue
                    assert plain(abs(value)) in self.told, f"{name} {value} of {said.data[:300]!r} was in no frame"


@pytest.mark.parametrize("name", HEARD)
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(case=st.integers(0, 99), damage=st.binary(min_size=16, max_size=96))
def test_damaged_frames_are_counted_and_give_no_number_of_their_own(name: str, case: int, damage: bytes) -> None:
    found = talks(name)
    talk = found[case % len(found)]
    ear = Ear(name, talk)
    # Four bytes a frame: drawn at once, since drawing them one by one takes longer than all that is tested.
    for turn, (how, high, low, other) in enumerate(zip(*[iter(damage)] * 4, strict=False)):
        said = talk.said[turn % len(talk.said)]
        ear.hear(said)
        ear.hear(Said(damaged(said.data, how, 256 * high + low, other), said.url))


@pytest.mark.parametrize("name", HEARD)
def test_what_is_no_message_at_all_is_counted(name: str) -> None:
    """Noise, nothing, nesting without end, numbers without end, pages of HTML: on the stream and as answers."""
    talk = talks(name)[0]
    ear = Ear(name, talk)
    urls = {"", *(said.url for said in talk.said)}
    for data in FRAMES:
        for url in urls if not SOURCES[name].live.polls else urls - {""}:
            before = ear.counted()
            ear.hear(Said(data, url))
            assert not url or ear.counted() > before or _is_json(data), f"{data[:60]!r} at {url} is counted nowhere"
    for said in talk.said:
        ear.hear(said)


def test_figures_of_an_answer_that_was_refused_are_given_with_the_next_one() -> None:
    """They are remembered, since the venue gives them at every request: what was refused was given to nobody."""
    case = read((FOLDER / "FRED.json").read_text())["cases"][0]
    talk = _shown("FRED", case)
    body = read(talk.said[0].data)
    body["observations"].append({**body["observations"][0], "date": "2014-04-01"})
    whole = Said(encoded(body).encode(), talk.said[0].url)
    body["observations"][-1]["value"] = "no figure"
    ear, other = Ear("FRED", talk), Ear("FRED", talk)
    ear.hear(Said(encoded(body).encode(), whole.url))
    assert ear.counted() == 1
    assert not ear.given
    for one in (ear, ear, other):
        one.hear(whole)
    assert ear.given == other.given
    assert ear.given[STATISTIC.event_type] == 2


def _is_json(data: bytes) -> bool:
    try:
        return read(data.decode("utf-8", "replace")) is not ... and b"NaN" not in data
    except (ValueError, RecursionError):
        return False


def test_a_frame_of_a_hundred_megabytes_costs_no_more_than_a_few_times_that() -> None:
    """LiveTransport takes 32 MB at most; what reaches a session in another way is refused or read, and forgotten."""
    ear = Ear("BINANCE", talks("BINANCE")[0])
    size = 100 << 20
    head = b'{"stream":"btcusdt@trade","data":{"e":"trade","s":"BTCUSDT","t":1,"p":"'
    body = head + b"9" * size + b'","q":"1","T":1,"m":true}}'
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ear.session.handle(Arrival(ArrivalKind.FRAME, NOW_NS, body))
    assert sum(ear.session.rejects.values()) == 1
    assert not len(ear.session.sink)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 4 * size // 1024


def test_the_oracle_reads_numbers_as_they_are_written() -> None:
    assert set(numbers(b'{"a":"0.10","b":-1.5E-3,"c":[1200]}')) == {(1, -1), (15, -4), (12, 2)}
    assert plain(Decimal("0.00")) == (0, 0)
    assert encoded(Written("0.10")) == "0.10"
