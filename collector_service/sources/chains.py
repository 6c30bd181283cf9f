"""EVM chains, as data. Blocks and swaps are read alike on all of them; what differs is how deep a block has to lie before it stays.

Pools are those named here or in the file that POOLS names, by address: nothing else is listened to.
"""

from __future__ import annotations

from typing import Final

from collector_service.chain.events import PoolKind
from collector_service.chain.pools import (
    BALANCER_V2,
    CURVE,
    NO_ADDRESS,
    PANCAKESWAP_V2,
    QUICKSWAP_V2,
    TRADER_JOE_V1,
    UNISWAP_V2,
    UNISWAP_V3,
    Pool,
    PoolKey,
    v4_pool,
)
from collector_service.chain.source import Chain, chain_source
from collector_service.source import Source

_BALANCER: Final = {
    # The same on every chain: https://docs.balancer.fi/developer-reference/contracts/deployment-addresses
    PoolKind.BALANCER_V2: "0xba12222222228d8ba445958a75a0704d566bf2c8",
    PoolKind.BALANCER_V3: "0xba1333333333a1ba1108e8412f11850a5c319ba9",
}
_USDC: Final = "0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48"

CHAINS: Final = (
    Chain(
        name="ETHEREUM",
        title="Ethereum",
        chain_id=1,
        coin="ETH",
        websocket="wss://ethereum-rpc.publicnode.com",
        rest="https://ethereum-rpc.publicnode.com",
        documentation="https://geth.ethereum.org/docs/interacting-with-geth/rpc/pubsub",
        confirmations=3,
        block_seconds=12.0,
        pools=(
            Pool("0x88e6a0c2ddd26feeb64f039a2c41296fcb3f5640", UNISWAP_V3, base=1),  # USDC/WETH 0.05%
            Pool("0x8ad599c3a0ff1de082011efddc58f1908eb6e6d8", UNISWAP_V3, base=1),  # USDC/WETH 0.3%
            Pool("0xcbcdf9626bc03e24f779434178a73a0b4bad62ed", UNISWAP_V3),  # WBTC/WETH 0.3%
            Pool("0xb4e16d0168e52d35cacd2c6185b44281ec28c9dc", UNISWAP_V2, base=1),  # USDC/WETH
            Pool("0x0d4a11d5eeaac28ec3f61d100daf4d40471f1852", UNISWAP_V2),  # WETH/USDT
            Pool("0xa478c2975ab1ea89e8196811f51a7b7ade33eb11", UNISWAP_V2, base=1),  # DAI/WETH
            v4_pool(PoolKey(NO_ADDRESS, _USDC, 500, 10)),  # ETH/USDC 0.05%
            Pool("0xbebc44782c7db0a1a60cb6fe97d0b483032ff1c7", CURVE, coins=3),  # DAI/USDC/USDT
            Pool("0xd51a44d3fae010294c616388b506acda1bfaae46", CURVE, base=1, coins=3),  # USDT/WBTC/WETH
            Pool("0x7f86bf177dd4f3494b841a37e810a34dd56c829b", CURVE, base=1, coins=3),  # USDC/WBTC/WETH
            Pool("0x5c6ee304399dbdb9c8ef030ab642b10820db8f56000200000000000000000014", BALANCER_V2),  # BAL/WETH
        ),
        shared={PoolKind.V4: "0x000000000004444c5dc75cb358380d2e3de08a90", **_BALANCER},
        notes=("Blocks are final after two epochs, 64 slots; reorganisations of more than two blocks are rare.",),
    ),
    Chain(
        name="ARBITRUM",
        title="Arbitrum One",
        chain_id=42161,
        coin="ETH",
        websocket="wss://arbitrum-one-rpc.publicnode.com",
        rest="https://arbitrum-one-rpc.publicnode.com",
        documentation="https://docs.arbitrum.io/build-decentralized-apps/reference/node-providers",
        confirmations=1,
        block_seconds=0.25,
        pools=(Pool("0xc6962004f452be9203591991d15f6b388e09e8d0", UNISWAP_V3),),  # WETH/USDC 0.05%
        shared={PoolKind.V4: "0x360e68faccca8ca495c1b759fd9eee466db9fb32", **_BALANCER},
        notes=("A sequencer orders blocks: they change only when it or Ethereum itself reorganises.",),
    ),
    Chain(
        name="BASE",
        title="Base",
        chain_id=8453,
        coin="ETH",
        websocket="wss://base-rpc.publicnode.com",
        rest="https://base-rpc.publicnode.com",
        documentation="https://docs.base.org",
        confirmations=2,
        block_seconds=2.0,
        pools=(Pool("0xd0b53d9277642d899df5c87a3966a349a798f224", UNISWAP_V3),),  # WETH/USDC 0.05%
        shared={PoolKind.V4: "0x498581ff718922c3f8e6a244956af099b2652b2b", **_BALANCER},
        notes=("A sequencer orders blocks; unsafe heads may still be replaced.",),
    ),
    Chain(
        name="OPTIMISM",
        title="OP Mainnet",
        chain_id=10,
        coin="ETH",
        websocket="wss://optimism-rpc.publicnode.com",
        rest="https://optimism-rpc.publicnode.com",
        documentation="https://docs.optimism.io",
        confirmations=2,
        block_seconds=2.0,
        pools=(
            # WETH/USDC.e 0.05%: WETH 0x4200.. stands before USDC.e 0x7f5c..
            Pool("0x85149247691df622eaf1a8bd0cafd40bc45154a9", UNISWAP_V3),
        ),
        shared={PoolKind.V4: "0x9a13f98cb987694c9f086b1f5eb990eea8264ec3", **_BALANCER},
        notes=("A sequencer orders blocks; unsafe heads may still be replaced.",),
    ),
    Chain(
        name="POLYGON",
        title="Polygon PoS",
        chain_id=137,
        coin="POL",
        websocket="wss://polygon-bor-rpc.publicnode.com",
        rest="https://polygon-bor-rpc.publicnode.com",
        documentation="https://docs.polygon.technology",
        confirmations=16,
        block_seconds=2.0,
        pools=(
            Pool("0x45dda9cb7c25131df268515131f647d726f50608", UNISWAP_V3, base=1),  # USDC.e/WETH 0.05%
            Pool("0x6e7a5fafcec6bb1e78bae2a1f0b612012bf14827", QUICKSWAP_V2),  # WPOL/USDC.e
        ),
        shared={
            PoolKind.V4: "0x67366782805870060151383f4bbff9dab53e5cd6",
            PoolKind.BALANCER_V2: _BALANCER[PoolKind.BALANCER_V2],
        },
        notes=("Reorganisations of several blocks have been common here.",),
    ),
    Chain(
        name="BNB_CHAIN",
        title="BNB Smart Chain",
        chain_id=56,
        coin="BNB",
        websocket="wss://bsc-rpc.publicnode.com",
        rest="https://bsc-rpc.publicnode.com",
        documentation="https://docs.bnbchain.org/bnb-smart-chain/developers/json_rpc/json-rpc-endpoint/",
        confirmations=3,
        block_seconds=0.75,
        pools=(Pool("0x58f876857a02d6762e0101bb5c46a8c1ed44dc16", PANCAKESWAP_V2),),  # WBNB/BUSD
        shared={PoolKind.V4: "0x28e2ea090877bf75740558f6bfb36a5ffee9e9df"},
        notes=("Fast finality settles a block two blocks later while two thirds of the validators vote.",),
    ),
    Chain(
        name="AVALANCHE",
        title="Avalanche C-Chain",
        chain_id=43114,
        coin="AVAX",
        websocket="wss://avalanche-c-chain-rpc.publicnode.com",
        rest="https://avalanche-c-chain-rpc.publicnode.com",
        documentation="https://build.avax.network/docs/rpcs/c-chain",
        confirmations=1,
        block_seconds=2.0,
        pools=(Pool("0xf4003f4efbe8691b60249e6afbd307abe7758adb", TRADER_JOE_V1),),  # WAVAX/USDC
        shared={PoolKind.BALANCER_V2: _BALANCER[PoolKind.BALANCER_V2]},
        notes=("An accepted block is final; one block more makes sure that its logs are there before it is told.",),
    ),
)

CHAIN_OF: Final = {chain.name: chain for chain in CHAINS}
CHAIN_SOURCES: Final[tuple[Source, ...]] = tuple(map(chain_source, CHAINS))
