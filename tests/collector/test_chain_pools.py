"""What pools are, asked from contracts that tell the truth, nothing, or something else."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from collector_service.chain import abi
from collector_service.chain.asking import Reader, read_chain
from collector_service.chain.calls import SELECTORS
from collector_service.chain.events import PoolKind
from collector_service.chain.pools import (
    BALANCER_V2,
    BALANCER_V3,
    CURVE,
    NO_ADDRESS,
    UNISWAP_V2,
    UNISWAP_V3,
    Factory,
    Pool,
    PoolKey,
    v4_pool,
)
from collector_service.chain.source import chain_source
from collector_service.instruments import instrument_of, listing_of
from collector_service.source import Asking, InstrumentList
from collector_service.sources.chains import CHAINS

ONE, TWO, THREE, FOUR = (f"0x{digit * 40}" for digit in "1234")
POOL = "0x" + "a" * 40
VAULT, NEW_VAULT = "0x" + "b" * 40, "0x" + "c" * 40
COIN_OF_CURVE = "0x" + "e" * 40
Told = dict[tuple[str, str], bytes]


def words(*values: int | str) -> bytes:
    return b"".join(abi.word(int(one, 16) if isinstance(one, str) else one) for one in values)


def tokens(*decimals: int) -> Told:
    """Contracts of tokens that tell these decimals, and T1, T2 and so on of themselves."""
    told: Told = {}
    for place, (contract, digits) in enumerate(zip((ONE, TWO, THREE, FOUR), decimals, strict=False), 1):
        told[contract, SELECTORS["decimals()"]] = words(digits)
        told[contract, SELECTORS["symbol()"]] = f"T{place}".encode().ljust(32, b"\0")
    return told


def coins(*held: str) -> Told:
    return {(POOL, SELECTORS["coins(uint256)"] + words(place).hex()): words(coin) for place, coin in enumerate(held)}


def reader(*kinds: PoolKind) -> Reader:
    shared = {PoolKind.BALANCER_V2: VAULT, PoolKind.BALANCER_V3: NEW_VAULT, PoolKind.V4: "0x" + "d" * 40}
    return Reader(1, "ETH", {kind: shared[kind] for kind in kinds}, {})


def node_of(told: Mapping[tuple[str, str], bytes]) -> Asking:
    async def ask(_: str, body: bytes | None = None) -> bytes:
        answers = []
        for call in json.loads(body or b"[]"):
            answer: dict[str, object] = {"jsonrpc": "2.0", "id": call["id"]}
            if call["method"] == "eth_chainId":
                answer["result"] = "0x1"
            elif (found := told.get((call["params"][0]["to"], call["params"][0]["data"]))) is not None:
                answer["result"] = f"0x{found.hex()}"
            else:
                answer["error"] = {"code": 3, "message": "execution reverted"}
            answers.append(answer)
        return json.dumps(answers).encode()

    return ask


async def listed(told: Mapping[tuple[str, str], bytes], pools: Sequence[Pool], with_: Reader) -> InstrumentList:
    return await read_chain(with_, pools, node_of(told))


async def test_each_pair_of_a_pool_of_three_is_a_listing_of_its_tokens() -> None:
    pool = Pool(POOL, CURVE, coins=3)
    found = await listed({**coins(ONE, TWO, THREE), **tokens(18, 6, 0)}, [pool], reader())
    assert not found.refused
    assert [(one.symbol, one.pair) for one in found.entries] == [
        (f"{POOL}/0/1", "T1/T2"),
        (f"{POOL}/0/2", "T1/T3"),
        (f"{POOL}/1/2", "T2/T3"),
    ]
    # The later of each pair is the base, where that is said.
    other = await listed({**coins(ONE, TWO, THREE), **tokens(18, 6, 0)}, [replace(pool, base=1)], reader())
    assert [one.pair for one in other.entries] == ["T2/T1", "T3/T1", "T3/T2"]
    assert [one.symbol for one in other.entries] == [one.symbol for one in found.entries]
    # They are different instruments, or the price of one would pass for that of another.
    assert len({instrument_of(one, "ETHEREUM").id for one in found.entries}) == 3
    assert len({listing_of(one, "ETHEREUM").id for one in found.entries}) == 3


async def test_a_pool_with_the_chains_own_coin_asks_no_contract_for_it() -> None:
    found = await listed({**coins(COIN_OF_CURVE, ONE), **tokens(18)}, [Pool(POOL, CURVE)], reader())
    (entry,) = found.entries
    assert entry.pool is not None
    assert (entry.symbol, entry.pair, entry.pool.tokens[0].decimals) == (POOL, "ETH/T1", 18)
    key = PoolKey(NO_ADDRESS, ONE, 500, 10)
    (entry,) = (await listed(tokens(6), [v4_pool(key)], reader(PoolKind.V4))).entries
    assert entry.pool is not None
    assert (entry.symbol, entry.pair, entry.pool.fee_pips) == (key.id, "ETH/T1", 500)
    # With a hook nobody knows what a swap will cost.
    hooked = v4_pool(replace(key, hooks=FOUR))
    (entry,) = (await listed(tokens(6), [hooked], reader(PoolKind.V4))).entries
    assert entry.pool is not None
    assert entry.pool.fee_pips == 0


async def test_pools_of_balancer_are_read_from_their_vaults_without_their_own_share() -> None:
    own = "0x" + "5" * 40
    identity = own + "0002" + "0" * 20
    told = {
        (VAULT, SELECTORS["getPoolTokens(bytes32)"] + identity[2:]): words(
            96, 256, 9, 4, ONE, own, TWO, THREE, 4, *"1234"
        ),
        (NEW_VAULT, SELECTORS["getPoolTokens(address)"] + words(POOL).hex()): words(32, 2, THREE, TWO),
        **tokens(18, 6, 0),
    }
    both = reader(PoolKind.BALANCER_V2, PoolKind.BALANCER_V3)
    found = await listed(told, [Pool(identity, BALANCER_V2), Pool(POOL, BALANCER_V3)], both)
    assert not found.refused
    assert [(one.symbol, one.pair) for one in found.entries] == [
        (f"{identity}/0/1", "T1/T2"),
        (f"{identity}/0/2", "T1/T3"),
        (f"{identity}/1/2", "T2/T3"),
        (POOL, "T3/T2"),
    ]
    found = await listed(told, [Pool(identity, BALANCER_V2)], reader(PoolKind.BALANCER_V3))
    assert found.refused == (f"{identity}: no balancer-v2 is known on this chain",)


@pytest.mark.parametrize(
    ("told", "pool", "rule"),
    [
        ({**coins(ONE, TWO, THREE), **tokens(18, 6, 0)}, Pool(POOL, CURVE), "coins-more"),
        ({**coins(ONE, TWO), **tokens(18, 6)}, Pool(POOL, CURVE, coins=3), "call-refused"),
        ({**coins(ONE, ONE), **tokens(18)}, Pool(POOL, CURVE), "tokens-range"),
        ({**coins(ONE, TWO), **tokens(18, 37)}, Pool(POOL, CURVE), "decimals-range"),
        ({**coins(ONE, TWO), **tokens(18)}, Pool(POOL, CURVE), "call-refused"),
        ({**coins(ONE, TWO), **tokens(18, 2**256 - 1)}, Pool(POOL, CURVE), "word-range"),
    ],
)
async def test_a_pool_that_is_not_what_was_said_is_refused(told: Told, pool: Pool, rule: str) -> None:
    found = await listed(told, [pool], reader())
    assert not found.entries
    assert len(found.refused) == 1
    assert f"[{rule}]" in found.refused[0]


@pytest.mark.parametrize(
    ("fee", "spacing", "rule"), [(10**6, 60, "fee-range"), (500, 0, "spacing-range"), (500, 2**23, "spacing-range")]
)
async def test_a_fee_or_a_spacing_that_cannot_be_is_refused(fee: int, spacing: int, rule: str) -> None:
    told = {
        (POOL, SELECTORS["token0()"]): words(ONE),
        (POOL, SELECTORS["token1()"]): words(TWO),
        (POOL, SELECTORS["fee()"]): words(fee),
        (POOL, SELECTORS["tickSpacing()"]): words(spacing),
        **tokens(18, 6),
    }
    found = await listed(told, [Pool(POOL, UNISWAP_V3)], reader())
    assert not found.entries
    assert f"[{rule}]" in found.refused[0]


async def test_a_token_that_changes_its_decimals_is_refused_with_its_pools() -> None:
    with_, pool = reader(), Pool(POOL, CURVE)
    assert (await listed({**coins(ONE, TWO), **tokens(18, 6)}, [pool], with_)).entries
    found = await listed({**coins(ONE, TWO), **tokens(18, 8)}, [pool], with_)
    assert not found.entries
    assert "[decimals-changed]" in found.refused[0]
    assert (await listed({**coins(ONE, TWO), **tokens(18, 6)}, [pool], with_)).entries


async def test_factories_are_asked_for_the_pools_of_named_tokens_and_believed_no_further() -> None:
    maker, pairs = "0x" + "d" * 40, "0x" + "e" * 39 + "1"
    new, old, other = (f"0x{digit * 40}" for digit in "678")

    def made(factory: str, name: str, *arguments: int | str) -> tuple[str, str]:
        return factory, SELECTORS[name] + words(*arguments).hex()

    def pool(address: str, one: str, two: str) -> Told:
        return {
            (address, SELECTORS["token0()"]): words(one),
            (address, SELECTORS["token1()"]): words(two),
            (address, SELECTORS["fee()"]): words(500),
            (address, SELECTORS["tickSpacing()"]): words(10),
        }

    by_fee = "getPool(address,address,uint24)"
    told: Told = {
        made(maker, by_fee, TWO, ONE, 500): words(new),
        made(maker, by_fee, TWO, ONE, 3_000): words(NO_ADDRESS),
        # Of tokens that nobody named, whatever the factory says; and nobody's contract.
        made(maker, by_fee, THREE, ONE, 500): words(other),
        made(maker, by_fee, THREE, ONE, 3_000): words("0x" + "9" * 40),
        made(maker, by_fee, THREE, TWO, 500): words(NO_ADDRESS),
        made(pairs, "getPair(address,address)", ONE, TWO): words(old),
        **pool(new, ONE, TWO),
        **pool(old, ONE, TWO),
        **pool(other, ONE, FOUR),
        **tokens(18, 6, 0, 18),
    }
    factories = (
        Factory(maker, UNISWAP_V3, (ONE, TWO, THREE), (500, 3_000)),
        Factory(pairs, UNISWAP_V2, (TWO, ONE)),
    )
    chain = replace(CHAINS[0], factories=factories, pools=(Pool(old, UNISWAP_V2, 1),), shared={})
    discover = chain_source(chain).discovery.ask
    assert discover is not None
    found = await discover(node_of(told))
    # The token that is named later is the base; a pool that is named itself stays as it was named.
    assert [(one.symbol, one.pair) for one in found.entries] == [(old, "T2/T1"), (new, "T2/T1")]
    assert [line.rpartition("[")[2] for line in found.refused] == ["call-refused]", "pool-tokens]", "call-refused]"]
