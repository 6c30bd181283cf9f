"""Solana: accounts and logs of its own chain, read from what nodes told others, and from what nobody should believe."""

from __future__ import annotations

import json
import struct
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from decimal import Context, Decimal
from fractions import Fraction
from hashlib import sha256
from math import floor, log
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphapulse.domain.errors import ConfigurationError, InvalidArgument
from alphapulse.domain.provenance import Provenance, RecordFlag
from alphapulse.records import QUOTE, TRADE
from alphapulse.runtime import load
from collector_service.config import CollectorConfig
from collector_service.listing_index import ListingIndex
from collector_service.listings import VenueSymbol
from collector_service.rows import as_array
from collector_service.session import Session
from collector_service.solana.accounts import TOKENS, WHIRLPOOLS, read_mint, read_whirlpool
from collector_service.solana.asking import GENESIS
from collector_service.solana.base58 import checked_key, key_of
from collector_service.solana.trades import Traded, read_trades
from collector_service.source import InstrumentList
from collector_service.sources.solana import SOLANA, SOLANA_CHAIN
from collector_service.transport.base import Arrival, ArrivalKind, Send

SOL = "So11111111111111111111111111111111111111112"
USDC = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"
SOL_BYTES = bytes.fromhex("069b8857feab8184fb687f634618c035dac439dc1aeb3b5598a0f00000000001")
USDC_BYTES = bytes.fromhex("c6fa7af3bedbad3a3d65f36aabc97431b1bbe4c2d2f6e0e47ca60203452f5d61")
POOL, SECOND = (pool.address for pool in SOLANA_CHAIN.pools[:2])
TOKEN_2022 = "TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb"
# The account of POOL as a node told it when SOL was at 73 USDC, up to its second mint; what follows are counters of fees and rewards.
HEAD = b64decode(
    "P5XRDOGAYwkT5EH4ORPKaLBjT7Al/eqohzfoQRDRJV41ezN33e4czf8EAAQAkAEUBceq8S8UcwIAAAAAAAAAAABZntukYcJDRQAAAAAAAAAA3Zn//1gmDgMAAAAA4RyjAQAA"
    "AAAGm4hX/quBhPtof2NGGMA12sQ53BrrO1WYoPAAAAAAAchN8kM4mDvkqFswl7r0C8lXEQjSiawAs2jfF11Edc963YxkRuWoRbEAAAAAAAAAAMb6evO+2606PWXzaqvJdDGx"
    "u+TC0vbg5HymAgNFL11h"
)
# And of HyA4ct7i4XvZsVrLyb5VJhcTP1EZVDZoF9fFGym16zcj, whose fee adapts.
ADAPTIVE = b64decode(
    "P5XRDOGAYwkT5EH4ORPKaLBjT7Al/eqohzfoQRDRJV41ezN33e4czf8EAAQEkAEUBQzQhBjTGAAAAAAAAAAAAABZRcwACQaJFAAAAAAAAAAA4Dr//ylJ/5zJAgAA3Wn2FQMA"
    "AAAMRfffjZ5ylWKEkz9tmLdXAy6D34RgT7XhF//2HVsS+arsxH6LolpQyA7ZB2HrKJh35uJAUSLFiOx5OciOAW4je0S/FbWsvtQBAAAAAAAAAMb6evO+2606PWXzaqvJdDGx"
    "u+TC0vbg5HymAgNFL11h"
)
TICK, ROOT = struct.unpack_from("<i", HEAD, 81)[0], int.from_bytes(HEAD[65:81], "little")
# A transaction of mainnet that went through four pools, without the lines that say what it consumed.
EVENTS = (
    "4cpJr5MroJYpaAqbwx37a8ztWUYMupTp2tsZ/N8dkljA5maKm7tkWgD0lSG1lpAAQgAAAAAAAAAAojlOk/fjAEIAAAAAAAAAAH4JEQMAAAAAVa4gLgAAAAAAAAAAAAAAAAAAAAAAAAAAfREAAAAAAACcAgAAAAAAAA==",
    "4cpJr5MroJYadt5TZ+XOA3IuI67qXNX56EwbmbA3icHAnZSH+TTBDQFN5Ow6wT9NkAAAAAAAAAAAfDWSdjVLSpAAAAAAAAAAAFWuIC4AAAAACNelDgAAAAAAAAAAAAAAAAAAAAAAAAAABCMFAAAAAAB/xAAAAAAAAA==",
    "4cpJr5MroJZxeaOgaqQiDwwrJfgWEkHBny6g4OKYgjZki9Mpys2zBwC7UuCihSxdCQEAAAAAAAAAYtNAzYAtXQkBAAAAAAAAAAjXpQ4AAAAAXoShDQAAAAAAAAAAAAAAAAAAAAAAAAAAhVMAAAAAAAB6DAAAAAAAAA==",
    "4cpJr5MroJaSGF30VKHk6aHXzz99JeTyA05hiqSVtbeRIIcOyEefqQEX6AmOjWl2eQAAAAAAAAAA/OPoQ2XLdXkAAAAAAAAAAF6EoQ0AAAAAjyIRAwAAAAAAAAAAAAAAAAAAAAAAAAAAmYQBAAAAAAAQOgAAAAAAAA==",
)
ROUND = [
    "Program ComputeBudget111111111111111111111111111111 invoke [1]",
    "Program ComputeBudget111111111111111111111111111111 success",
    "Program NA365bsPdvZ8sP58qJ5QFg7eXygCe8aPRRxR9oeMbR5 invoke [1]",
    *(
        line
        for told in EVENTS
        for line in (
            f"Program {WHIRLPOOLS} invoke [2]",
            "Program log: Instruction: Swap",
            f"Program {TOKENS} invoke [3]",
            "Program log: Instruction: Transfer",
            f"Program {TOKENS} consumed 4645 of 561687 compute units",
            f"Program {TOKENS} success",
            f"Program data: {told}",
            f"Program {WHIRLPOOLS} consumed 50745 of 596561 compute units",
            f"Program {WHIRLPOOLS} success",
        )
    ),
    "Program NA365bsPdvZ8sP58qJ5QFg7eXygCe8aPRRxR9oeMbR5 success",
]


def account(
    *, root: int = ROOT, tick: int = TICK, fee: int = 400, spacing: int = 4, seed: int = 4, b: bytes = USDC_BYTES
) -> bytes:
    """A pool's account, each field at the offset that the program's own test of the layout has it at."""
    raw = bytearray(HEAD.ljust(653, b"\0"))
    struct.pack_into("<H", raw, 41, spacing)
    struct.pack_into("<H", raw, 43, seed)
    struct.pack_into("<H", raw, 45, fee)
    raw[65:81] = root.to_bytes(16, "little")
    struct.pack_into("<i", raw, 81, tick)
    raw[101:133], raw[181:213] = SOL_BYTES, b
    return bytes(raw)


def mint(decimals: int) -> bytes:
    return b"\0" * 44 + bytes((decimals, 1)) + b"\0" * 36


def event(pool: str, sells_a: bool, amount_in: int, amount_out: int) -> str:
    number = 0
    for letter in pool:
        number = 58 * number + "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz".index(letter)
    body = struct.pack("<?16x16x6Q", sells_a, amount_in, amount_out, 0, 0, 0, 0)
    return "Program data: " + b64encode(bytes.fromhex("e1ca49af932ba096") + number.to_bytes(32, "big") + body).decode()


def rule_of(error: pytest.ExceptionInfo[InvalidArgument]) -> str:
    return error.value.violations[0].rule


def test_keys_are_written_as_everybody_writes_them() -> None:
    assert key_of(SOL_BYTES) == SOL
    assert key_of(USDC_BYTES) == USDC
    assert key_of(bytes(32)) == "1" * 32
    for wrong in ("", "0" * 43, SOL[:-14], f"{USDC}1", f"1{USDC}", "z" * 44, "l" + USDC[1:]):
        with pytest.raises(InvalidArgument) as error:
            checked_key(wrong, "address")
        assert rule_of(error) == "solana-key"


@given(st.binary(min_size=32, max_size=32))
def test_a_key_comes_back(raw: bytes) -> None:
    assert checked_key(key_of(raw), "address") == key_of(raw)


def test_accounts_of_mainnet_are_read_as_their_own_prices_say() -> None:
    found = read_whirlpool(WHIRLPOOLS, account())
    assert (found.mints, found.fee_pips, found.tick_spacing, found.adapts_fee) == ((SOL, USDC), 400, 4, False)
    assert (found.state.sqrt_price, found.state.liquidity) == (ROOT << 32, 689_480_494_328_519)
    other = read_whirlpool(WHIRLPOOLS, ADAPTIVE.ljust(653, b"\0"))
    assert (other.fee_pips, other.tick_spacing, other.adapts_fee) == (400, 4, True)
    for one in (found, other):
        # The tick is the logarithm of the price: whoever reads one of them at a wrong place finds that they disagree.
        price = (one.state.sqrt_price / 2**96) ** 2
        assert one.state.tick == floor(log(price) / log(1.0001))
        low, high = one.sure
        assert low < one.state.sqrt_price < high


# Where the program's own tests say that ticks begin, times 2**64.
PROGRAM = {1: 18447666387855959850, -1: 18445821805675392311, 2: 18448588748116922571, -2: 18444899583751176498, 0: 2**64,
    443_636: 79226673515401279992447579055, -443_636: 4295048016, 8: 18454123878217468680, -8: 18439367220385604838}  # fmt: skip


@pytest.mark.parametrize(("tick", "spacing"), [(1, 1), (0, 1), (-1, 1), (-2, 1), (0, 8), (-8, 8), (-2, 2), (0, 2)])
def test_liquidity_is_sure_within_what_the_program_reckons(tick: int, spacing: int) -> None:
    lower = tick // spacing * spacing
    low, high = read_whirlpool(WHIRLPOOLS, account(tick=tick, root=2**64, spacing=spacing, seed=spacing)).sure
    assert PROGRAM[lower] << 32 < low < high < PROGRAM[lower + spacing] << 32
    # And nearly all of it.
    assert high - low > Fraction(99_999, 100_000) * ((PROGRAM[lower + spacing] - PROGRAM[lower]) << 32)


@pytest.mark.parametrize(
    ("owner", "raw", "rule"),
    [
        (TOKENS, account(), "account-owner"),
        (WHIRLPOOLS, account()[:-1], "account-kind"),
        (WHIRLPOOLS, b"\0" + account()[1:], "account-kind"),
        (WHIRLPOOLS, account(root=0), "account-range"),
        (WHIRLPOOLS, account(root=2**128 - 1), "account-range"),
        (WHIRLPOOLS, account(spacing=0), "account-range"),
    ],
)
def test_an_account_that_is_no_pool_is_refused(owner: str, raw: bytes, rule: str) -> None:
    with pytest.raises(InvalidArgument) as error:
        read_whirlpool(owner, raw)
    assert rule_of(error) == rule


def test_a_mint_tells_its_decimals_and_one_with_extensions_is_none() -> None:
    assert read_mint(TOKENS, mint(9)) == 9
    for owner, raw, rule in (
        (TOKEN_2022, mint(9), "account-owner"),
        (TOKENS, mint(9)[:-1], "account-kind"),
        (TOKENS, bytes(82), "account-kind"),
    ):
        with pytest.raises(InvalidArgument) as error:
            read_mint(owner, raw)
        assert rule_of(error) == rule


def test_a_transaction_of_mainnet_is_read_pool_by_pool() -> None:
    trades = list(read_trades(ROUND, WHIRLPOOLS))
    # What came out of each pool went into the next, and more of the first token came back than was paid.
    assert [one.amount_in for one in trades] == [51_448_190, 773_893_717, 245_749_512, 228_688_990]
    assert [one.amount_out for one in trades[:-1]] == [one.amount_in for one in trades[1:]]
    assert trades[-1].amount_out > trades[0].amount_in
    assert [one.sells_a for one in trades] == [False, True, False, True]
    for one, told in zip(trades, EVENTS, strict=True):
        # The price before each, which stands behind the direction, is what was exchanged but for a fee and a little.
        price = (int.from_bytes(b64decode(told)[41:57], "little") / 2**64) ** 2
        ratio = one.amount_out / one.amount_in if one.sells_a else one.amount_in / one.amount_out
        assert abs(ratio / price - 1) < 0.001


def test_only_the_program_itself_tells_what_it_exchanged() -> None:
    mine, other = "Program Evo1veLzNhWcEXFc4xv9nwoDg4MBoyo2N2j6nWWHQF69", f"Program {WHIRLPOOLS}"
    told = event(POOL, True, 5, 7)
    forged = [
        f"{mine} invoke [1]",
        told,
        f"Program log: {other} invoke [2]",
        told,
        f"Program log: x\n{other} invoke [2]",
        told,
        f"{other} invoke [2]",
        "Program data: AAAA",
        f"{other} success",
        told,
        f"{mine} success",
    ]
    assert not list(read_trades(forged, WHIRLPOOLS))
    real = [f"{mine} invoke [1]", f"{other} invoke [2]", told, f"{other} success", told, f"{mine} success"]
    assert list(read_trades(real, WHIRLPOOLS)) == [Traded(POOL, True, 5, 7)]
    # One that the program itself calls speaks for itself alone.
    called = [f"{other} invoke [1]", f"{mine} invoke [2]", told, f"{mine} success"]
    assert not list(read_trades(called, WHIRLPOOLS))
    # A program that was called without an end of its own: the next one on its level has taken its place.
    torn = [f"{other} invoke [1]", f"{mine} invoke [1]", told]
    assert not list(read_trades(torn, WHIRLPOOLS))


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("Log truncated", "log-cut"),
        ("Program data: !", "event-format"),
        (event(POOL, True, 5, 7)[:-8], "event-format"),
        ("Program data: " + b64encode(bytes.fromhex("e1ca49af932ba096") + b"\2" * 113).decode(), "event-format"),
    ],
)
def test_a_log_that_cannot_be_read_to_its_end_says_so(line: str, rule: str) -> None:
    with pytest.raises(InvalidArgument) as error:
        list(read_trades([f"Program {WHIRLPOOLS} invoke [1]", line], WHIRLPOOLS))
    assert rule_of(error) == rule


async def listed(accounts: Mapping[str, tuple[str, bytes]], genesis: str = GENESIS) -> InstrumentList:
    async def ask(_: str, body: bytes | None = None) -> bytes:
        asked = json.loads(body or b"")
        result: object = genesis
        if asked["method"] == "getMultipleAccounts":
            held = [accounts.get(key) for key in asked["params"][0]]
            values = [one and {"data": [b64encode(one[1]).decode(), "base64"], "owner": one[0]} for one in held]
            result = {"context": {"slot": 1}, "value": values}
        return json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result}).encode()

    assert SOLANA.discovery.ask is not None
    return await SOLANA.discovery.ask(ask)


HELD = {POOL: (WHIRLPOOLS, account()), SOL: (TOKENS, mint(9)), USDC: (TOKENS, mint(6))}


async def test_pools_are_what_their_accounts_and_mints_say() -> None:
    found = await listed({**HELD, SECOND: (TOKENS, account())})
    (entry,) = found.entries
    assert entry.pool is not None
    assert (entry.symbol, entry.pair) == (POOL, "SOL/USDC")
    assert [token.decimals for token in entry.pool.tokens] == [9, 6]
    assert [line.rpartition("[")[2] for line in found.refused] == ["account-owner]", "account-missing]"]
    found = await listed({**HELD, USDC: (TOKEN_2022, mint(6))})
    assert not found.entries
    found = await listed({**HELD, USDC: (TOKENS, mint(8))})
    assert "[decimals-changed]" in "".join(found.refused)
    with pytest.raises(InvalidArgument) as error:
        await listed(HELD, "EtWTRABZaYq6iMfeYKouRu166VU2xqa1wcaWoxPkrZBG")
    assert rule_of(error) == "chain-other"


class Talk:
    """A session whose node is this test."""

    def __init__(self, entries: Sequence[VenueSymbol]) -> None:
        listings = ListingIndex("SOLANA")
        listings.learn(entries)
        self.session = Session(SOLANA, listings, Provenance.LIVE, subscriptions=[entries])
        self.sent: list[dict[str, Any]] = []
        self.open()

    def open(self) -> None:
        requests = self.session.handle(Arrival(ArrivalKind.OPENED, 1))
        self.sent = [json.loads(one.text) for one in requests if isinstance(one, Send)]
        for place, call in enumerate(self.sent):
            self.say(id=call["id"], result=20 + place)

    def say(self, **message: object) -> None:
        frame = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert not self.session.handle(Arrival(ArrivalKind.FRAME, 1, data=frame))

    def notify(self, method: str, number: int, slot: int, value: object) -> None:
        result = {"context": {"slot": slot}, "value": value}
        self.say(method=method, params={"subscription": number, "result": result})

    def holds(self, slot: int, raw: bytes) -> None:
        held = {"data": [b64encode(raw).decode(), "base64"], "owner": WHIRLPOOLS, "lamports": 1, "executable": False}
        self.notify("accountNotification", 20, slot, held)

    def logs(self, signature: str, lines: Sequence[str], err: object = None) -> None:
        value = {"signature": signature, "err": err, "logs": [f"Program {WHIRLPOOLS} invoke [1]", *lines]}
        self.notify("logsNotification", 21, 5, value)

    @property
    def gaps(self) -> list[str]:
        return [reason for reason, _ in self.session.take_gaps()]


async def test_trades_and_quotes_are_told_once_and_what_is_not_known_is_not() -> None:
    talk = Talk((await listed(HELD)).entries)
    assert [call["method"] for call in talk.sent] == ["accountSubscribe", "logsSubscribe"]
    assert {call["params"][1]["commitment"] for call in talk.sent} == {"confirmed"}
    # 2 SOL for 210.2 USDC, then 1,051 USDC for 10 SOL less a little.
    sold, bought = event(POOL, True, 2 * 10**9, 210_200_000), event(POOL, False, 1_051_000_000, 9_999_999_999)
    talk.logs("a", [sold, event(SECOND, True, 1, 1), bought])
    talk.logs("a", [sold, bought])
    talk.logs("b", [sold], {"InstructionError": [0, "Custom"]})
    rows = as_array(TRADE, talk.session.sink.trades)
    exact = Context(prec=18)
    assert [
        (
            Decimal(int(row["price"])).scaleb(int(row["price_exponent"])),
            Decimal(int(row["size"])).scaleb(int(row["size_exponent"])),
            int(row["aggressor"]),
        )
        for row in rows
    ] == [
        (Decimal("105.1"), Decimal(2), 2),
        (exact.divide(Decimal(1_051), Decimal("9.999999999")), Decimal("9.999999999"), 1),
    ]
    assert [int(row["trade_id"]) for row in rows] == [
        int.from_bytes(sha256(name).digest()[:8], "big") for name in (b"a:0", b"a:2")
    ]
    assert not talk.gaps
    talk.logs("c", [sold, "Log truncated"])
    assert len(talk.session.sink.trades) == 3
    assert talk.gaps == ["UNREADABLE_LOG"]

    talk.holds(7, account())
    talk.holds(6, account(fee=60_000))  # an older slot
    (row,) = as_array(QUOTE, talk.session.sink.quotes)
    bid, ask = (
        Fraction(int(row[name])) * Fraction(10) ** int(row["price_exponent"]) for name in ("bid_price", "ask_price")
    )
    margin = Fraction(ROOT**2, 2**128) * 1000
    kept = Fraction(10**6 - 400, 10**6)
    assert (
        margin * kept * Fraction(9_999, 10_000)
        < bid
        < margin * kept
        < margin / kept
        < ask
        < margin / kept * Fraction(10_001, 10_000)
    )
    # A fee that adapts, another token, bytes of nothing, an account that is gone: no price is known.
    for slot, told in enumerate((account(seed=1), account(b=SOL_BYTES), b"nothing"), 8):
        talk.holds(slot, told)
    talk.notify("accountNotification", 20, 12, None)
    rows = as_array(QUOTE, talk.session.sink.quotes)
    absent = int(RecordFlag.BID_ABSENT | RecordFlag.ASK_ABSENT)
    assert [int(row["flags"]) & absent for row in rows] == [0, absent, absent, absent, absent]
    assert talk.gaps == ["UNREADABLE_LOG", "UNREADABLE_LOG"]

    talk.holds(13, account())
    talk.session.handle(Arrival(ArrivalKind.CLOSED, 1))
    talk.open()
    assert talk.gaps == ["RECONNECTED"]
    rows = as_array(QUOTE, talk.session.sink.quotes)
    assert [int(row["flags"]) & absent for row in rows[5:]] == [0, absent]
    assert not talk.session.rejects
    # A number that no subscription has, and what is no notification at all.
    talk.notify("accountNotification", 99, 14, None)
    talk.say(method="slotNotification", params=None)
    assert talk.session.rejects == {"CHANNEL_UNKNOWN": 1}


def test_pools_of_solana_are_a_setting(tmp_path: Any) -> None:
    file = tmp_path / "pools.json"
    told = {"chain": "SOLANA", "address": POOL, "protocol": "orca-whirlpool", "base": 1}
    file.write_text(json.dumps([told]))
    config = load(CollectorConfig, {"POOLS": str(file), "METRICS_PORT": "off"})
    assert config.spec("SOLANA").name == "SOLANA"
    assert config.spec("SOLANA") is not SOLANA
    for change, rule in (
        ({"chain": "BASE"}, "protocol-chain"),
        ({"protocol": "uniswap-v2"}, "protocol-chain"),
        ({"address": POOL[:-1] + "0"}, "solana-key"),
    ):
        file.write_text(json.dumps([{**told, **change}]))
        with pytest.raises(ConfigurationError) as error:
            config.spec("SOLANA")
        assert rule in str(error.value)
