"""Predicates over definitions: the language of `SubscriptionFilter.predicate`, its catalogue of fields, and its limits.

    predicate = parse('taker_bps < 10 and tick_size <= 0.01 and venue in ("XNAS", "XLON")')
    predicate.fields   -> {"taker_bps", "tick_size", "venue"}
    predicate == parse("tick_size<=0.010 and ...")   equal when they say the same in the same order, however it is written

Text becomes Python's syntax tree, the tree is checked node by node against a white list, and every comparison against the catalogue: a number is
never compared with a text. Numbers are exact decimals. No definitions live here: whoever holds them (`relay_service.subscriptions`) evaluates the
tree of `nodes`.
"""

from __future__ import annotations

from alphapulse.domain.predicate.catalogue import CATALOGUE, Field, Kind, Subject
from alphapulse.domain.predicate.findings import MAX_REPORTED
from alphapulse.domain.predicate.nodes import All, Among, Any, Compare, Has, Node, Not
from alphapulse.domain.predicate.predicate import Predicate, parse, violations
from alphapulse.domain.predicate.reader import MAX_COMPARISONS, MAX_DEPTH
from alphapulse.domain.predicate.scan import MAX_LENGTH, MAX_NESTING, MAX_NODES, MAX_NUMBER_LENGTH, MAX_TEXT_LENGTH

__all__ = [
    "CATALOGUE",
    "MAX_COMPARISONS",
    "MAX_DEPTH",
    "MAX_LENGTH",
    "MAX_NESTING",
    "MAX_NODES",
    "MAX_NUMBER_LENGTH",
    "MAX_REPORTED",
    "MAX_TEXT_LENGTH",
    "All",
    "Among",
    "Any",
    "Compare",
    "Field",
    "Has",
    "Kind",
    "Node",
    "Not",
    "Predicate",
    "Subject",
    "parse",
    "violations",
]
