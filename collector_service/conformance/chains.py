"""The checks of sources that read an EVM chain: what is asked of every source, as it is of one whose trades are logs in blocks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Final

from alphapulse.domain.provenance import Provenance
from alphapulse.records import LAYOUTS, TRADE
from collector_service.conformance.report import expect
from collector_service.conformance.wire import BROKEN, Row, decimal_of
from collector_service.instruments import listing_of
from collector_service.listing_index import ListingIndex
from collector_service.listings import VenueSymbol
from collector_service.mock.chain import Log, MockChain
from collector_service.mock.draft import encoded
from collector_service.mock.events import Said
from collector_service.mock.foreign import driven
from collector_service.rows import as_array
from collector_service.session import Session
from collector_service.source import InstrumentList, Source
from collector_service.sources.chains import CHAIN_OF
from collector_service.transport.base import Arrival, ArrivalKind, Request, Send

_AMOUNTS: Final = (
    (10**18, 2_000 * 10**6),
    (1, 1),
    (999_999_999_999_999_999, 123_456_789_012_345_678),
    (7, 10**20 + 1),
    (3 * 10**9, 7),
)
"""Base and quote in the smallest units: what a float would not keep, and quotients without end."""
_EIGHTEEN: Final = Context(prec=18, rounding=ROUND_HALF_EVEN)
_EXACT: Final = Context(prec=100)
Told = tuple[int, int, Decimal, Decimal, int]
"""(listing, block's time, price, size, aggressor)."""


def chain_of(source: Source) -> MockChain | None:
    """A mock of the chain that a source reads; None for one that reads no EVM chain."""
    chain = CHAIN_OF.get(source.name)
    return MockChain(chain, source) if chain is not None else None


class ChainWire:
    """A session and its chain in one thread."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.chain = MockChain(CHAIN_OF[source.name], source)
        self.listed = self._list()
        expect(bool(self.listed.entries), f"nothing is listed: {self.listed.refused[:2]}")
        self.listings = ListingIndex(source.venue)
        self.listings.learn(self.listed.entries)
        self.session = Session(source, self.listings, Provenance.SIMULATED, subscriptions=[self.listed.entries])
        self.rows: list[Row] = []
        self._connection = 0
        self._now_ns = 1

    def open(self) -> None:
        """Connects and subscribes."""
        self._connection = self.chain.connect()
        self._arrive(Arrival(ArrivalKind.OPENED, self._tick()))

    def close(self) -> None:
        """The connection is gone."""
        self.chain.disconnect(self._connection)
        self._arrive(Arrival(ArrivalKind.CLOSED, self._tick(), b"the node closed the connection"))

    def tell(self, said: Iterable[Said]) -> None:
        """What a subscriber hears."""
        for one in said:
            if self.chain.takes(self._connection, one):
                self.frame(one.data)

    def frame(self, data: bytes) -> None:
        """A frame, whatever it is."""
        self._arrive(Arrival(ArrivalKind.FRAME, self._tick(), data))

    def confirm(self) -> None:
        """So many blocks that all before counts."""
        for _ in range(self.chain.chain.confirmations):
            self.tell(self.chain.mine())

    def log(self, entry: VenueSymbol, amounts: tuple[int, int] = _AMOUNTS[0], *, buys: bool = True) -> Log:
        """A swap of a listing."""
        return self.chain.swap(entry, *amounts, buys=buys)

    def wanted(
        self, entry: VenueSymbol, amounts: tuple[int, int] = _AMOUNTS[0], *, buys: bool = True, block: int = -1
    ) -> Told:
        """What a swap has to become that is in a block, by its place in the chain."""
        base, quote = self.chain.decimals(entry)
        size = _EXACT.scaleb(Decimal(amounts[0]), -base)
        price = _EIGHTEEN.divide(_EXACT.scaleb(Decimal(amounts[1]), -quote), size)
        time_ns = int(self.chain.blocks[block]["timestamp"], 16) * 10**9
        return self.listings.key(entry.symbol) or 0, time_ns, price, size, 1 if buys else 2

    def trades(self) -> list[Told]:
        """The trades that were told since the last time."""
        rows, self.rows = self.rows, []
        return [
            (
                row["listing_key"],
                row["venue_time_ns"],
                decimal_of(row, "price"),
                _EXACT.scaleb(Decimal(row["size"]), row["size_exponent"]),
                row["aggressor"],
            )
            for row in rows
        ]

    def clean(self) -> None:
        """Nothing was refused or unknown, and nothing lost."""
        session = self.session
        for found in (session.rejects, session.unknown_messages, session.unknown_values, session.venue_errors):
            expect(not found, f"refused or unknown: {dict(found)}")
        expect(not self.chain.misunderstood, f"the node does not understand {self.chain.misunderstood[:1]}")
        gaps = self.session.take_gaps()
        expect(not gaps, f"declared lost: {gaps}")

    def _list(self) -> InstrumentList:
        async def ask(path: str, body: bytes | None = None) -> bytes:
            answer = self.chain.posted(path, body or b"[]")
            assert answer is not None
            return answer

        return driven(self.source, ask)

    def _tick(self) -> int:
        self._now_ns += 1_000_000
        return self._now_ns

    def _arrive(self, arrival: Arrival) -> None:
        requests: Sequence[Request] = self.session.handle(arrival)
        for kind, rows in self.session.sink.take().items():
            if kind == TRADE.event_type and rows:
                names = list(LAYOUTS[kind].fields)
                found = as_array(LAYOUTS[kind], rows)
                self.rows += [{name: int(row[name]) for name in names} for row in found]
        for request in requests:
            if isinstance(request, Send):
                for said in self.chain.receive(self._connection, request.text):
                    self.frame(said.data)


def _opened(source: Source) -> ChainWire:
    wire = ChainWire(source)
    wire.open()
    wire.tell(wire.chain.mine())
    return wire


def subscribes(source: Source) -> list[str]:
    """C01: the logs of every pool are subscribed to, and the heads of blocks."""
    wire = _opened(source)
    told = wire.chain.filters(1)
    named = encoded(told).decode()
    for entry in wire.listed.entries:
        assert entry.pool is not None
        expect(entry.pool.address.removeprefix("0x") in named, f"the logs of {entry.symbol} are not subscribed to")
    expect(wire.chain.takes(1, wire.chain.mine()[-1]), "heads are not subscribed to")
    wire.clean()
    return list(wire.listed.refused)


def trades_exact(source: Source) -> list[str]:
    """C03: every swap is a trade, once, in the order of the chain, its size exact and its price the quotient of 18 digits."""
    wire = _opened(source)
    wanted: list[Told] = []
    for entry in wire.listed.entries:
        for place, amounts in enumerate(_AMOUNTS):
            wire.tell(wire.chain.mine(wire.log(entry, amounts, buys=bool(place % 2))))
            wanted.append(wire.wanted(entry, amounts, buys=bool(place % 2)))
    # Several in a block come in their order.
    wire.tell(wire.chain.mine(*(wire.log(entry) for entry in wire.listed.entries)))
    wanted += [wire.wanted(entry) for entry in wire.listed.entries]
    wire.confirm()
    found = wire.trades()
    for told, was in zip(found, wanted, strict=False):
        expect(told == was, f"a swap became {told}, and was {was}")
    expect(len(found) == len(wanted), f"{len(found)} trades of {len(wanted)} swaps")
    wire.clean()
    return []


def symbols_come_back(source: Source) -> list[str]:
    """C05: every pool, and every pair of one that has several, is a listing of its own and is found by its symbol."""
    wire = ChainWire(source)
    entries = wire.listed.entries
    ids = {listing_of(entry, source.venue, source.name).id for entry in entries}
    expect(len(ids) == len(entries), f"{len(entries)} pools have {len(ids)} listings")
    for entry in entries:
        key = wire.listings.key(entry.symbol)
        expect(key is not None, f"{entry.symbol} has no key")
        expect(wire.listings.symbol_of_key(key or 0) == entry.symbol, f"{entry.symbol} comes back as another's")
    return list(wire.listed.refused)


def what_is_missed_is_asked_for(source: Source) -> list[str]:
    """C07: a block that nobody told of is asked for, and its swaps come in their place."""
    wire = _opened(source)
    entry = wire.listed.entries[0]
    wire.chain.block(wire.log(entry, (3 * 10**18, 10**9)))
    lost = wire.wanted(entry, (3 * 10**18, 10**9))
    wire.tell(wire.chain.mine(wire.log(entry)))
    after = wire.wanted(entry)
    wire.confirm()
    expect(wire.trades() == [lost, after], "a block that was not told of is not asked for, or comes in another order")
    expect({"eth_getBlockByHash", "eth_getLogs"} <= set(wire.chain.asked), "the node was not asked for the block")
    wire.clean()
    return []


def duplicates_and_disorder(source: Source) -> list[str]:
    """C09: what comes twice or late is told once and in order; what is taken back is declared, or was never told."""
    wire = _opened(source)
    entry = wire.listed.entries[0]
    twice = wire.chain.mine(wire.log(entry))
    wire.tell((*twice, *twice, twice[-1]))
    wanted = [wire.wanted(entry)]
    early = wire.chain.mine(wire.log(entry, _AMOUNTS[2]))
    late = wire.chain.mine(wire.log(entry, _AMOUNTS[4]))
    wanted += [wire.wanted(entry, _AMOUNTS[2], block=-2), wire.wanted(entry, _AMOUNTS[4])]
    wire.tell((*late, *early))
    wire.confirm()
    wire.confirm()
    found = wire.trades()
    expect(found == wanted, f"what came twice and late became {len(found)} trades {found}, and was {wanted}")
    # A swap that is taken back before it counts was never told.
    if wire.chain.chain.confirmations:
        wire.tell(wire.chain.mine(wire.log(entry, (5, 5))))
        wire.tell(wire.chain.undo(1))
        wire.tell(wire.chain.mine())
        wire.confirm()
        expect(not wire.trades(), "a swap was told that had been taken back before it counted")
    wire.clean()
    # One that is taken back when it was told is declared, and what replaces it is told.
    wire.tell(wire.chain.mine(wire.log(entry)))
    wire.confirm()
    wire.trades()
    wire.tell(wire.chain.undo(wire.chain.chain.confirmations + 1))
    wire.tell(wire.chain.mine(wire.log(entry, _AMOUNTS[2])))
    new = wire.wanted(entry, _AMOUNTS[2])
    wire.confirm()
    wire.tell(wire.chain.mine())
    gaps = wire.session.take_gaps()
    expect(gaps == [("REORG", wire.listings.key(entry.symbol))], f"a swap was taken back, and declared was {gaps}")
    expect(wire.trades() == [new], "the swap that replaces another is not told")
    return []


def unknown_words(source: Source) -> list[str]:
    """C10: logs of other events and other contracts are counted, and cost nothing of their block."""
    wire = _opened(source)
    entry = wire.listed.entries[0]
    contract, topics, data = wire.log(entry)
    others = [(contract, [f"0x{'9' * 64}"], data), (f"0x{'6' * 40}", topics, data), (contract, [], data)]
    for said in wire.chain.mine(*others, wire.log(entry)):
        wire.frame(said.data)  # whether it was asked for or not
    wanted = wire.wanted(entry)
    wire.confirm()
    expect(wire.trades() == [wanted], "logs that are none of its own cost a swap of the same block, or became one")
    told = sum(wire.session.unknown_values.values()) + sum(wire.session.rejects.values())
    expect(told >= len(others), f"of {len(others)} strange logs {told} were counted")
    return []


def unknown_messages(source: Source) -> list[str]:
    """C11: a message that nobody knows is counted, and costs nothing."""
    wire = _opened(source)
    wire.frame(encoded({"jsonrpc": "2.0", "method": "mock_unknown", "params": {"result": {}}}))
    expect(sum(wire.session.unknown_messages.values()) == 1, f"counted: {dict(wire.session.unknown_messages)}")
    _unharmed(wire)
    return []


def broken_frames(source: Source) -> list[str]:
    """C12: broken JSON, noise and cut frames are counted one by one and cost nothing else."""
    wire = _opened(source)
    entry = wire.listed.entries[0]
    said = wire.chain.mine(wire.log(entry))
    for data in (*BROKEN, *(one.data[: len(one.data) // 2] for one in said)):
        before = _counted(wire)
        wire.frame(data)
        expect(_counted(wire) == before + 1, f"{data[:60]!r} was counted {_counted(wire) - before} times")
    wire.tell(said)
    wanted = wire.wanted(entry)
    wire.confirm()
    expect(wire.trades() == [wanted], "a block after broken frames was not told")
    _unharmed(wire)
    return []


def slow_start(source: Source) -> list[str]:
    """C13: a swap is not told before so many blocks stand on its own as have to."""
    wire = _opened(source)
    entry = wire.listed.entries[0]
    wire.tell(wire.chain.mine(wire.log(entry)))
    wanted = [wire.wanted(entry)]
    for _ in range(wire.chain.chain.confirmations):
        expect(not wire.trades(), "a swap was told before so many blocks stood on it as have to")
        wire.tell(wire.chain.mine())
    expect(wire.trades() == wanted, "a swap that counts was not told")
    return []


def reconnects(source: Source) -> list[str]:
    """C14: what happened while a connection was away is asked for, and nothing is missing."""
    wire = _opened(source)
    entry = wire.listed.entries[-1]
    for turn in range(3):
        wire.confirm()
        wire.close()
        wanted = []
        for amounts in _AMOUNTS:
            wire.chain.block(wire.log(entry, amounts))  # nobody listens
            wanted.append(wire.wanted(entry, amounts))
        wire.open()
        wire.tell(wire.chain.mine())
        wire.confirm()
        found = wire.trades()
        expect(found == wanted, f"after {turn + 1} reconnects {len(found)} swaps of {len(wanted)} were told")
    wire.clean()
    return []


def _counted(wire: ChainWire) -> int:
    session = wire.session
    return sum(sum(found.values()) for found in (session.rejects, session.unknown_messages, session.venue_errors))


def _unharmed(wire: ChainWire) -> None:
    wire.trades()
    entry = wire.listed.entries[-1]
    wire.tell(wire.chain.mine(wire.log(entry)))
    wanted = wire.wanted(entry)
    wire.confirm()
    expect(wire.trades() == [wanted], "what came after it was not told")
