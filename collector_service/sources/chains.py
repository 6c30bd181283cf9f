"""EVM chains, as data. Blocks and swaps are read alike on all of them; what differs is how deep a block has to lie before it stays.

Pools are those named here or in the file that POOLS names, by address: nothing else is listened to.
"""

from __future__ import annotations

from typing import Final

from collector_service.chain.node import Chain, chain_source
from collector_service.chain.pools import (
    PANCAKESWAP_V2,
    QUICKSWAP_V2,
    TRADER_JOE_V1,
    UNISWAP_V2,
    UNISWAP_V3,
    Pool,
)
from collector_service.source import Source

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
        ),
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
        notes=("An accepted block is final; one block more makes sure that its logs are there before it is told.",),
    ),
)

CHAIN_OF: Final = {chain.name: chain for chain in CHAINS}
CHAIN_SOURCES: Final[tuple[Source, ...]] = tuple(map(chain_source, CHAINS))
