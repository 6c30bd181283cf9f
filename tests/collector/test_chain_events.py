"""Words, topics and swaps: against Keccak-256 itself, and against arithmetic of another kind."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from Crypto.Hash import keccak
from hypothesis import given
from hypothesis import strategies as st

from alphapulse.domain.errors import ConfigurationError, InvalidArgument
from alphapulse.runtime import load
from collector_service.chain import abi, pools
from collector_service.chain.amounts import Rounding, exchange, quotient
from collector_service.chain.calls import SELECTORS
from collector_service.chain.events import SIGNATURES, TOPICS, Conversion, Reading, Swap, read_log
from collector_service.chain.events import LogKind as Kind
from collector_service.chain.states import Liquidity, Range, Reserves
from collector_service.config import CollectorConfig
from collector_service.source import Source
from collector_service.sources.chains import CHAINS

HUGE = 2**256 - 1
NOBODY = "0x" + "0" * 40
EXACT = Context(prec=400, Emin=-10_000, Emax=10_000)
EIGHTEEN = Context(prec=18, rounding=ROUND_HALF_EVEN, Emin=-10_000, Emax=10_000)


def digest(text: str) -> str:
    return "0x" + keccak.new(data=text.encode(), digest_bits=256).hexdigest()


def words(*values: int) -> bytes:
    return b"".join((value % 2**256).to_bytes(32, "big") for value in values)


def topics(*values: int) -> list[str]:
    """The indexed arguments of an event."""
    return [f"0x{value % 2**256:064x}" for value in values]


def told(kind: Kind, raw: bytes, *indexed: str) -> Reading:
    return read_log([TOPICS[kind], *indexed], raw)


def rule_of(error: pytest.ExceptionInfo[InvalidArgument]) -> str:
    return error.value.violations[0].rule


def test_topics_and_selectors_are_the_digests_of_their_signatures() -> None:
    # The digest of nothing, as the Keccak team publishes it: SHA3-256 has another padding, and would give another one.
    assert digest("") == "0xc5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
    assert {kind: digest(text) for kind, text in SIGNATURES.items()} == dict(TOPICS)
    assert {name: digest(name)[:10] for name in SELECTORS} == SELECTORS


@given(st.integers(-(2**255), 2**255 - 1), st.integers(0, HUGE))
def test_words_are_read_as_they_were_written(number: int, whole: int) -> None:
    raw = words(whole, number)
    assert (abi.unsigned(raw, 0), abi.signed(raw, 1)) == (whole, number)


@pytest.mark.parametrize(
    ("read", "rule"),
    [
        (lambda: abi.unsigned(words(1), 1), "word-missing"),
        (lambda: abi.unsigned(words(1)[:31], 0), "word-missing"),
        (lambda: abi.unsigned(words(2**160), 0, 160), "word-range"),
        (lambda: abi.signed(words(2**23), 0, 24), "word-range"),
        (lambda: abi.quantity("12"), "quantity-format"),
        (lambda: abi.quantity(None), "quantity-format"),
        (lambda: abi.block_hash("0x12"), "hash-format"),
        (lambda: abi.address("0x" + "g" * 40), "address-format"),
        (lambda: abi.data("0x123"), "data-format"),
        (lambda: abi.text(words(32, 5) + b"ab"), "text-length"),
        (lambda: abi.text(words(33, 5)), "text-offset"),
        (lambda: abi.text(words(32, 2) + b"\xff\xff"), "text-format"),
        (lambda: abi.addresses(words(33)), "array-offset"),
        (lambda: abi.addresses(words(32, 65)), "array-length"),
        (lambda: abi.addresses(words(32, 2, 1)), "word-missing"),
        (lambda: abi.addresses(words(32, 1, 2**160)), "word-range"),
        (lambda: read_log([digest("Transfer(address,address,uint256)")], b""), "topic-unknown"),
        (lambda: read_log([], b""), "topic-unknown"),
        (lambda: told(Kind.V2_SWAP, words(1, 2, 3)), "word-missing"),
        (lambda: told(Kind.V2_SYNC, words(2**112, 1)), "word-range"),
        (lambda: told(Kind.V3_SWAP, words(1, -2, 3, 4)), "word-missing"),
        (lambda: told(Kind.V3_SWAP, words(1, -2, 2**160, 4, 5)), "word-range"),
        (lambda: told(Kind.V3_MINT, words(1, 2), "0x" + "0" * 64), "topic-missing"),
        (lambda: told(Kind.V3_BURN, words(1), *topics(0, 2**23, 0)), "word-range"),
        (lambda: told(Kind.V4_SWAP, words(2**127, 1, 1, 1, 1, 1)), "word-range"),
        (lambda: told(Kind.V4_SWAP, words(1, -1, 1, 1, 1)), "word-missing"),
        (lambda: told(Kind.CURVE_STABLE, words(-1, 1, 0, 1)), "coin-place"),
        (lambda: told(Kind.CURVE_STABLE, words(2**127, 1, 0, 1)), "word-range"),
        (lambda: told(Kind.CURVE_CRYPTO, words(8, 1, 0, 1)), "coin-place"),
        (lambda: told(Kind.CURVE_CRYPTO, words(1, 1, 1, 1)), "coin-place"),
        (lambda: told(Kind.CURVE_CRYPTO_NG, words(0, 1, 1, 1)), "word-missing"),
        (lambda: told(Kind.BALANCER_V2, words(1, 1), *topics(7, 2**160, 1)), "word-range"),
        (lambda: told(Kind.BALANCER_V2, words(1, 1), *topics(7, 1)), "topic-missing"),
        (lambda: told(Kind.BALANCER_V3, words(1, 1, 1), *topics(7, 1, 2)), "word-missing"),
    ],
)
def test_what_is_not_what_it_should_be_is_refused_by_its_rule(read: object, rule: str) -> None:
    with pytest.raises(InvalidArgument) as error:
        read()  # type: ignore[operator]
    assert rule_of(error) == rule


def test_names_of_tokens_are_read_as_string_and_as_bytes32() -> None:
    assert abi.text(words(32, 4) + b"WETH".ljust(32, b"\0")) == "WETH"
    assert abi.text(b"MKR".ljust(32, b"\0")) == "MKR"


def test_a_swap_of_uniswap_v2_is_what_came_in_less_what_went_out() -> None:
    assert told(Kind.V2_SWAP, words(0, 5, 7, 0)).swap == Swap(-7, 5)
    # A flash swap: some of what was borrowed comes back in the same token.
    assert told(Kind.V2_SWAP, words(3, 5, 7, 0)).swap == Swap(-4, 5)


@given(st.integers(-(2**255), 2**255 - 1), st.integers(-(2**255), 2**255 - 1))
def test_a_swap_of_uniswap_v3_keeps_its_signs(one: int, two: int) -> None:
    topic = TOPICS[Kind.V3_SWAP].upper().replace("X", "x")
    state = Range(2**160 - 1, 0, -887_272)
    assert read_log([topic], words(one, two, 2**160 - 1, 0, -887_272)) == Reading(Swap(one, two), state)


@given(st.integers(0, HUGE), st.integers(0, HUGE), st.integers(0, 7), st.integers(0, 7))
def test_exchanges_of_several_coins_keep_all_256_bits(paid: int, got: int, sold: int, bought: int) -> None:
    if sold == bought:
        return
    conversion = Reading(Conversion(sold, paid, bought, got))
    assert told(Kind.CURVE_STABLE, words(sold, paid, bought, got)) == conversion
    assert told(Kind.CURVE_CRYPTO, words(sold, paid, bought, got)) == conversion
    assert told(Kind.CURVE_CRYPTO_NG, words(sold, paid, bought, got, HUGE, HUGE)) == conversion
    one, two = f"0x{sold:040x}", f"0x{bought:040x}"
    named = Reading(Conversion(one, paid, two, got))
    assert told(Kind.BALANCER_V2, words(paid, got), *topics(HUGE, sold, bought)) == named
    assert told(Kind.BALANCER_V3, words(paid, got, HUGE, HUGE), *topics(1, sold, bought)) == named


def test_what_a_pool_holds_is_read_with_its_ticks_and_signs() -> None:
    assert told(Kind.V2_SYNC, words(2**112 - 1, 0)).change == Reserves(2**112 - 1, 0)
    ticks = topics(0, -60, 887_272)
    assert told(Kind.V3_MINT, words(1, 2**128 - 1, 0, 0), *ticks).change == Liquidity(-60, 887_272, 2**128 - 1)
    assert told(Kind.V3_BURN, words(2**128 - 1, 0, 0), *ticks).change == Liquidity(-60, 887_272, -(2**128) + 1)
    # Unlike V3, V4 tells what the swapper gets.
    assert told(Kind.V4_SWAP, words(-5, 2**127 - 1, 1, 1, -1, 500)).swap == Swap(5, -(2**127) + 1)


def test_an_array_of_addresses_is_read_where_its_offset_says() -> None:
    assert abi.addresses(words(64, 9, 2, 5, 6)) == ("0x" + "0" * 39 + "5", "0x" + "0" * 39 + "6")


def test_a_price_beyond_all_measure_is_refused() -> None:
    with pytest.raises(InvalidArgument) as error:
        quotient(1, HUGE, -36)
    assert rule_of(error) == "price-range"


@given(st.integers(1, 2**200), st.integers(1, 2**200), st.integers(-18, 18))
def test_a_quotient_is_that_of_decimal_arithmetic_rounded_half_even(one: int, two: int, shift: int) -> None:
    mantissa, exponent = quotient(one, two, shift)
    # Decimal rounds the exact quotient once: 18 digits of a division are correctly rounded.
    expected = EIGHTEEN.divide(Decimal(one), Decimal(two))
    assert EXACT.scaleb(Decimal(mantissa), exponent) == EXACT.scaleb(expected, shift)
    assert mantissa < 10**18
    assert mantissa % 10
    # And it is no further from the exact quotient than half of the last digit.
    assert abs(Fraction(mantissa) * Fraction(10) ** (exponent - shift) * two / one - 1) <= Fraction(1, 2 * 10**17)


@given(st.integers(1, 2**200), st.integers(1, 2**200), st.integers(-18, 18))
def test_bids_are_rounded_down_and_offers_up(one: int, two: int, shift: int) -> None:
    for rounding, other in ((Rounding.DOWN, ROUND_FLOOR), (Rounding.UP, ROUND_CEILING)):
        mantissa, exponent = quotient(one, two, shift, rounding)
        expected = Context(prec=18, rounding=other, Emin=-10_000, Emax=10_000).divide(Decimal(one), Decimal(two))
        assert EXACT.scaleb(Decimal(mantissa), exponent) == EXACT.scaleb(expected, shift)


@given(st.integers(1, 10**18 - 1), st.sampled_from((-1, 1)))
def test_halves_go_to_the_even_neighbour(number: int, side: int) -> None:
    # number.5 with 18 digits before the half.
    whole = 10**17 + number % (9 * 10**17 - 1)
    mantissa, exponent = quotient(2 * whole + 1, 2, 0)
    rounded = mantissa * 10**exponent
    assert rounded in (whole, whole + 1)
    assert rounded % 2 == 0 or rounded == 10**18
    # A trace more or less than a half is none.
    near, power = quotient((2 * whole + 1) * 10**30 + side, 2 * 10**30, 0)
    assert near * 10**power == (whole if side < 0 else whole + 1)


def test_a_swap_is_a_trade_of_the_base_by_who_took_it() -> None:
    # 2,000 USDC (6 digits) into the pool, 1 WETH (18 digits) out of it.
    swap = Swap(2_000_000_000, -(10**18))
    bought = exchange(swap, 1, (6, 18))
    assert bought is not None
    assert (bought.price, bought.size, bought.aggressor) == ((2, 3), (10**18, -18), 1)
    sold = exchange(swap, 0, (6, 18))
    assert sold is not None
    assert (sold.price, sold.size, sold.aggressor) == ((5, -4), (2_000_000_000, -6), 2)


@pytest.mark.parametrize("swap", [Swap(0, 0), Swap(5, 0), Swap(0, -5), Swap(3, 4), Swap(-3, -4)])
def test_what_exchanges_nothing_for_something_is_no_trade(swap: Swap) -> None:
    assert exchange(swap, 0, (18, 18)) is None


@given(st.integers(1, 2**112), st.integers(1, 2**112))
def test_sizes_are_exact_and_a_price_does_not_depend_on_the_order_of_tokens(base: int, quote: int) -> None:
    one, two = exchange(Swap(-base, quote), 0, (18, 6)), exchange(Swap(quote, -base), 1, (6, 18))
    assert one == two
    assert one is not None
    assert one.size == (base, -18)


def test_an_allow_list_is_read_and_a_mistake_in_it_is_told_by_its_place() -> None:
    entry = '{"chain": "ETHEREUM", "address": "0x88e6A0c2dDD26FEEb64F039a2c41296FcB3f5640", "protocol": "uniswap-v3", "base": 1}'
    (pool,) = pools.read_pools(f"[{entry}]".encode())["ETHEREUM"].pools
    assert pool in CHAINS[0].pools
    for told, field, rule in (
        (entry.replace("0x88e6A", "0x88E6A"), "pools[0].address", "address-checksum"),
        (entry.replace("uniswap-v3", "uniswap-v9"), "pools[0].protocol", "protocol-unknown"),
        (entry.replace('"base": 1', '"base": 2'), "pools[0].base", "base-token"),
        (f"{entry}, {entry}", "pools[1].address", "pool-twice"),
        (entry.replace("base", "bass"), "pools", "pools-format"),
        (entry.replace("1}", '1, "coins": 3}'), "pools[0].coins", "coins-range"),
        (entry.replace("uniswap-v3", "uniswap-v4"), "pools[0].key", "pool-key"),
        (entry.replace("uniswap-v3", "balancer-v2"), "pools[0].address", "hash-format"),
    ):
        with pytest.raises(InvalidArgument) as error:
            pools.read_pools(f"[{told}]".encode())
        assert (error.value.violations[0].field, rule_of(error)) == (field, rule)


def test_a_factory_is_named_with_its_tokens_and_a_mistake_in_it_is_told() -> None:
    entry = {
        "chain": "BASE",
        "factory": "0x" + "a" * 40,
        "protocol": "uniswap-v3",
        "tokens": ["0x" + "b" * 40, "0x" + "c" * 40],
    }
    (factory,) = pools.read_pools(json.dumps([entry]).encode())["BASE"].factories
    assert factory == pools.Factory("0x" + "a" * 40, pools.UNISWAP_V3, ("0x" + "b" * 40, "0x" + "c" * 40))
    for change, field, rule in (
        ({"protocol": "curve"}, "protocol", "factory-protocol"),
        ({"chain": "SOLANA"}, "protocol", "factory-protocol"),
        ({"address": "0x" + "d" * 40}, "factory", "factory-pool"),
        ({"tokens": ["0x" + "b" * 40] * 2}, "tokens", "tokens-range"),
        ({"tokens": [f"0x{place:040x}" for place in range(21)]}, "tokens", "tokens-range"),
        ({"tokens": ["0x" + "b" * 40, "0x12"]}, "tokens[1]", "address-format"),
        ({"fees": []}, "fees", "fee-range"),
        ({"fees": [10**6]}, "fees", "fee-range"),
        ({"factory": "0x12"}, "factory", "address-format"),
    ):
        with pytest.raises(InvalidArgument) as error:
            pools.read_pools(json.dumps([{**entry, **change}]).encode())
        assert (error.value.violations[0].field, rule_of(error)) == (f"pools[0].{field}", rule)


def test_a_pool_of_uniswap_v4_is_the_digest_of_what_is_said_of_it() -> None:
    # https://app.uniswap.org: ETH/USDC 0.05% on Ethereum.
    known = "0x21c67e77068de97969ba93d4aab21826d33ca12bb9f565d8496e8fda8a82ca27"
    key = {
        "currency0": NOBODY,
        "currency1": "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48",
        "fee": 500,
        "tick_spacing": 10,
    }
    entry = {"chain": "ETHEREUM", "address": known, "protocol": "uniswap-v4", "key": key}
    (pool,) = pools.read_pools(json.dumps([entry]).encode())["ETHEREUM"].pools
    assert pool in CHAINS[0].pools
    for change, field, rule in (
        ({"fee": 501}, "address", "pool-id"),
        ({"hooks": "0x" + "1" * 40}, "address", "pool-id"),
        ({"currency0": key["currency1"]}, "key.currency1", "currency-order"),
        ({"fee": 1_000_001}, "key.fee", "fee-range"),
        ({"tick_spacing": 0}, "key.tick_spacing", "spacing-range"),
        ({"hooks": "0x12"}, "key.hooks", "address-format"),
    ):
        with pytest.raises(InvalidArgument) as error:
            pools.read_pools(json.dumps([{**entry, "key": {**key, **change}}]).encode())
        assert (error.value.violations[0].field, rule_of(error)) == (f"pools[0].{field}", rule)


def refusals(source: Source) -> Sequence[str]:
    """What is said of a source's pools by a node where none of them is; one whose key tells all of it is refused for its tokens."""

    async def ask(_: str, body: bytes | None = None) -> bytes:
        calls = json.loads(body or b"[]")
        chain = next(hex(one.chain_id) for one in CHAINS if one.name == source.name)
        error = {"error": {"code": 3, "message": "execution reverted"}}
        answers = ({"result": chain} if call["method"] == "eth_chainId" else error for call in calls)
        return json.dumps([{"id": call["id"], **one} for call, one in zip(calls, answers, strict=True)]).encode()

    async def read() -> Sequence[str]:
        assert source.discovery.ask is not None
        return (await source.discovery.ask(ask)).refused

    return asyncio.run(read())


def test_pools_and_confirmations_are_settings(tmp_path: Path) -> None:
    file = tmp_path / "pools.json"
    file.write_text(json.dumps([{"chain": "BASE", "address": "0x" + "a" * 40, "protocol": "uniswap-v2"}]))
    config = load(CollectorConfig, {"POOLS": str(file), "CONFIRMATIONS": "ETHEREUM=12,BASE=0", "METRICS_PORT": "off"})
    for name, named in (("ETHEREUM", [pool.address for pool in CHAINS[0].pools]), ("BASE", ["0x" + "a" * 40])):
        assert {line[:42] for line in refusals(config.spec(name))} == {pool[:42] for pool in named}
    assert any("once 12 blocks" in note for note in config.spec("ETHEREUM").quirks)
    assert config.spec("KRAKEN").new_memory is None
    for variables in ({"POOLS": str(tmp_path)}, {"CONFIRMATIONS": "KRAKEN=1"}, {"CONFIRMATIONS": "BASE=-1"}):
        with pytest.raises(ConfigurationError) as error:
            load(CollectorConfig, {"METRICS_PORT": "off", **variables}).spec("BASE")
        assert next(iter(variables)) in str(error.value)
