"""Formulas of synthetics: the grammar, its limits, and a compiler to a function of floats.

    formula = parse("(btc_a + btc_b) / 2 - k * eth")
    formula.variables                      -> ("btc_a", "btc_b", "eth", "k")
    formula.evaluate([100.0, 102.0, 3.0, 2.0])   -> 95.0
    formula.sign("eth")                    -> -1: the value falls when eth rises, so its bid is taken at the ask of eth

Text becomes Python's syntax tree, the tree is checked node by node against a white list, and only what passed becomes
code. Texts that could hurt Python's own parser are refused before it sees them. No market data and no states live here:
what a missing or stale component means is for the registry and the relay.
"""

from __future__ import annotations

from alphapulse.domain.formula.formula import Formula, parse, violations
from alphapulse.domain.formula.nodes import FUNCTIONS
from alphapulse.domain.formula.scan import (
    MAX_EXPONENT,
    MAX_LENGTH,
    MAX_NESTING,
    MAX_NODES,
    MAX_VARIABLE_LENGTH,
    MAX_VARIABLES,
)

__all__ = [
    "FUNCTIONS",
    "MAX_EXPONENT",
    "MAX_LENGTH",
    "MAX_NESTING",
    "MAX_NODES",
    "MAX_VARIABLES",
    "MAX_VARIABLE_LENGTH",
    "Formula",
    "parse",
    "violations",
]
