"""Solana: pools of Orca's Whirlpools, by address, here or in the file that POOLS names."""

from __future__ import annotations

from typing import Final

from collector_service.chain.pools import ORCA_WHIRLPOOL, Pool
from collector_service.solana.source import Solana, solana_source
from collector_service.source import Source

SOLANA_CHAIN: Final = Solana(
    name="SOLANA",
    pools=(
        Pool("Czfq3xZZDmsdGdUyrNLtRhGc47cXcZtLG4crryfu44zE", ORCA_WHIRLPOOL),  # SOL/USDC 0.04%
        Pool("7qbRF6YsyGuLUVs6Y1q64bdVrfe4ZcUUz1JRdoVNUJnm", ORCA_WHIRLPOOL),  # SOL/USDC, ticks of 8
        Pool("HJPjoWUrhoZzkNfRpHuieeFk9WcZWjwy6PBjZ81ngndJ", ORCA_WHIRLPOOL),  # SOL/USDC, ticks of 64
    ),
)
SOLANA: Final[Source] = solana_source(SOLANA_CHAIN)
