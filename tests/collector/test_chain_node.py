"""The conversation with a node, word by word: what is asked, what of it counts, and what is asked again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from alphapulse.domain.provenance import Provenance
from alphapulse.records import QUOTE, TRADE
from collector.test_chain_pools import ONE, POOL, TWO, VAULT, coins, listed, reader, tokens, words
from collector_service.chain.calls import SELECTORS
from collector_service.chain.events import TOPICS, LogKind, PoolKind
from collector_service.chain.pools import BALANCER_V2, CURVE, UNISWAP_V2, UNISWAP_V3, Pool
from collector_service.chain.source import chain_source
from collector_service.listing_index import ListingIndex
from collector_service.rows import as_array
from collector_service.session import Session
from collector_service.source import InstrumentList, Source
from collector_service.sources.chains import CHAINS
from collector_service.transport.base import Arrival, ArrivalKind, Send


class Talk:
    """A session with a chain whose node is this test."""

    def __init__(self, source: Source, listing: InstrumentList) -> None:
        listings = ListingIndex(source.venue)
        listings.learn(listing.entries)
        self.session = Session(source, listings, Provenance.LIVE, subscriptions=[listing.entries])
        self.calls: list[dict[str, Any]] = []
        self._take(self.session.handle(Arrival(ArrivalKind.OPENED, 1)))

    def say(self, **message: object) -> None:
        frame = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self._take(self.session.handle(Arrival(ArrivalKind.FRAME, 1, data=frame)))

    def head(self, number: int, name: int = 0, parent: int = 0) -> None:
        result = {
            "hash": f"0x{name or number:064x}",
            "parentHash": f"0x{parent or number - 1:064x}",
            "number": hex(number),
            "timestamp": hex(12 * number),
        }
        self.say(method="eth_subscription", params={"subscription": "0x1", "result": result})

    def answer(self, call: Mapping[str, Any], result: object) -> None:
        self.calls.remove(dict(call))
        self.say(id=call["id"], result=result)

    def _take(self, requests: Sequence[object]) -> None:
        self.calls += [json.loads(one.text) for one in requests if isinstance(one, Send)]


async def test_what_pools_hold_is_asked_as_of_a_block_that_counts_and_goes_with_it() -> None:
    two, three = f"0x{'6' * 40}", f"0x{'7' * 40}"
    told = {
        **{(pool, SELECTORS["token0()"]): words(ONE) for pool in (two, three)},
        **{(pool, SELECTORS["token1()"]): words(TWO) for pool in (two, three)},
        (three, SELECTORS["fee()"]): words(500),
        (three, SELECTORS["tickSpacing()"]): words(10),
        **tokens(18, 6),
    }
    pools = (Pool(two, UNISWAP_V2), Pool(three, UNISWAP_V3))
    source = chain_source(replace(CHAINS[0], pools=pools, shared={}, confirmations=1))
    talk = Talk(source, await listed(told, pools, reader()))

    def quoted() -> list[tuple[str, int, bool]]:
        """(pool, block, whether it has prices) of what was told since."""
        rows = as_array(QUOTE, talk.session.sink.take().get(QUOTE.event_type, []))
        names = {talk.session.emitter.listings.key(pool): pool for pool in (two, three)}
        return [
            (names[int(row["listing_key"])], int(row["venue_time_ns"]) // (12 * 10**9), int(row["bid_price"]) > 0)
            for row in rows
        ]

    def subscribed() -> None:
        for call in [call for call in talk.calls if call["method"] == "eth_subscribe"]:
            talk.answer(call, "0x1")
        for call in [call for call in talk.calls if call["params"] == ["newHeads"]]:
            talk.answer(call, "0x2")

    def tell_blocks() -> None:
        """What the ledger asks of blocks: those of the branch, which are empty."""
        while asked := [call for call in talk.calls if call["method"].startswith("eth_get")]:
            for call in asked:
                if call["method"] == "eth_getLogs":
                    talk.answer(call, [])
                    continue
                number = int(call["params"][0], 16)
                head = {"hash": call["params"][0], "parentHash": f"0x{9 if number == 110 else number - 1:064x}"}
                talk.answer(call, {**head, "number": hex(number - 100), "timestamp": hex(12 * (number - 100))})

    subscribed()
    talk.head(10)
    assert not talk.calls
    talk.head(11)  # 10 counts now
    reserves, slot, liquidity = talk.calls
    assert [call["params"] for call in talk.calls] == [
        [{"to": two, "data": SELECTORS["getReserves()"]}, {"blockHash": f"0x{10:064x}"}],
        [{"to": three, "data": SELECTORS["slot0()"]}, {"blockHash": f"0x{10:064x}"}],
        [{"to": three, "data": SELECTORS["liquidity()"]}, {"blockHash": f"0x{10:064x}"}],
    ]
    # An answer that comes late, when another block counts, is of its own block all the same.
    talk.head(12)
    talk.answer(liquidity, f"0x{words(10**18).hex()}")
    assert not quoted()
    talk.answer(slot, f"0x{words(2**96, 0, 0, 0, 0, 0, 1).hex()}")
    talk.answer(reserves, f"0x{words(10**21, 10**12, 7).hex()}")
    assert quoted() == [(three, 10, True), (two, 10, True)]
    talk.head(13)
    assert not talk.calls

    # The block it was asked as of gives way to another: it is not known any more, and asked again.
    for number in (13, 12, 11, 10):
        talk.head(number, 100 + number, 109 + number - 10 if number > 10 else 9)
    tell_blocks()
    talk.head(14, 114, 113)
    assert {(pool, known) for pool, _, known in quoted()} == {(two, False), (three, False)}
    reserves, slot, liquidity = (call for call in talk.calls if call["method"] == "eth_call")
    # One that the node cannot tell is told with its first change; the other's connection breaks, and it is asked once more.
    talk.answer(slot, None)
    talk.answer(liquidity, f"0x{words(1).hex()}")
    assert not quoted()
    talk.session.handle(Arrival(ArrivalKind.CLOSED, 1))
    talk.calls.clear()
    talk._take(talk.session.handle(Arrival(ArrivalKind.OPENED, 1)))
    subscribed()
    talk.head(15, 115, 114)
    tell_blocks()
    (reserves,) = (call for call in talk.calls if call["method"] == "eth_call")
    talk.answer(reserves, f"0x{words(10**21, 10**12, 7).hex()}")
    assert [(pool, known) for pool, _, known in quoted()] == [(two, True)]
    # After a log that cannot be read it is asked once more, as of a block behind it.
    torn = {"address": two, "topics": [TOPICS[LogKind.V2_SYNC]], "data": "0x12", "logIndex": "0x0"}
    place = {"blockHash": f"0x{116:064x}", "blockNumber": "0x10"}
    talk.say(method="eth_subscription", params={"subscription": "0x1", "result": {**torn, **place}})
    talk.head(16, 116, 115)
    talk.head(17, 117, 116)
    assert [(pool, known) for pool, _, known in quoted()] == [(two, False)]
    (reserves,) = (call for call in talk.calls if call["method"] == "eth_call")
    assert reserves["params"][1] == {"blockHash": f"0x{116:064x}"}
    talk.answer(reserves, f"0x{words(10**21, 10**12, 7).hex()}")
    assert quoted() == [(two, 16, True)]
    assert not talk.session.rejects


async def test_a_block_counts_once_all_contracts_have_told_of_it_and_is_asked_for_again_where_one_did_not() -> None:
    identity = "0x" + "5" * 40 + "0002" + "0" * 20
    told = {
        (VAULT, SELECTORS["getPoolTokens(bytes32)"] + identity[2:]): words(96, 0, 9, 2, ONE, TWO),
        **coins(ONE, TWO),
        **tokens(18, 6),
    }
    pools = (Pool(POOL, CURVE), Pool(identity, BALANCER_V2))
    shared = {PoolKind.BALANCER_V2: VAULT}
    source = chain_source(replace(CHAINS[0], pools=pools, shared=shared, confirmations=0))
    talk = Talk(source, await listed(told, pools, reader(PoolKind.BALANCER_V2)))
    for call in list(talk.calls):
        # Heads are subscribed to once every contract's logs are.
        assert call["params"][0] == "logs"
        talk.answer(call, "0x1")
    assert [call["params"] for call in talk.calls] == [["newHeads"]]
    talk.answer(talk.calls[0], "0x2")
    talk.head(1)

    def logs(at: int) -> list[dict[str, Any]]:
        place = {"blockHash": f"0x{at:064x}", "blockNumber": hex(at)}
        curve = [TOPICS[LogKind.CURVE_STABLE], f"0x{0:064x}"]
        swap = [TOPICS[LogKind.BALANCER_V2], identity, *(f"0x{one[2:]:0>64}" for one in (ONE, TWO))]
        return [
            {
                "address": POOL,
                "topics": curve,
                "data": f"0x{words(0, 10**18, 1, 10**6).hex()}",
                "logIndex": "0x3",
                **place,
            },
            {"address": VAULT, "topics": swap, "data": f"0x{words(10**18, 10**6).hex()}", "logIndex": "0x1", **place},
        ]

    # The head after the next: what was between is asked for, its logs in two parts.
    talk.head(3)
    (call,) = talk.calls
    assert call["method"] == "eth_getBlockByHash"
    talk.answer(call, {"hash": f"0x{2:064x}", "parentHash": f"0x{1:064x}", "number": "0x2", "timestamp": "0x18"})
    one, two = talk.calls
    talk.answer(one, logs(2)[:1])
    assert not talk.session.sink.trades
    talk.answer(two, None)
    assert not talk.session.sink.trades
    # With the next head it is asked for anew, all of it.
    talk.head(4)
    one, two = talk.calls
    talk.answer(two, logs(2)[1:])
    assert not talk.session.sink.trades
    talk.answer(one, logs(2)[:1])
    keys = [int(row["listing_key"]) for row in as_array(TRADE, talk.session.sink.trades)]
    assert keys == [talk.session.emitter.listings.key(symbol) for symbol in (identity, POOL)]
    assert not talk.session.rejects
