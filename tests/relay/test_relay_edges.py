"""Edges over the log of a relay: a client that moves between them at any moment, while they and the relay are killed, against what was relayed."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alphapulse.api.relay.v1 import relay_service_pb2 as pb
from alphapulse.records import QUOTE, TRADE

_spec = importlib.util.spec_from_file_location("edges", Path(__file__).with_name("edges.py"))
assert _spec is not None
assert _spec.loader is not None
edges: Any = importlib.util.module_from_spec(_spec)
sys.modules["edges"] = edges
_spec.loader.exec_module(edges)
resuming = edges.resuming
KEYS, SOURCES, TYPES = resuming.KEYS, resuming.SOURCES, resuming.TYPES
Q, T = QUOTE.event_type, TRADE.event_type

filters = st.fixed_dictionaries(
    {},
    optional={
        "listing_keys": st.lists(st.sampled_from(KEYS), min_size=1, max_size=3, unique=True),
        "event_types": st.lists(st.sampled_from(TYPES), min_size=1, max_size=2),
        "sources": st.lists(st.sampled_from(SOURCES), min_size=1, max_size=1),
    },
)
contracts = st.sampled_from(
    [{}, {}, {"stream": pb.StreamContract(max_queue_bytes=4096)}, {"latest": pb.LatestContract()}]
)
steps = st.lists(
    st.one_of(
        st.tuples(
            st.just("relay"),
            st.sampled_from(SOURCES),
            st.sampled_from(TYPES),
            st.lists(st.sampled_from(KEYS), min_size=1, max_size=120),
        ),
        st.tuples(st.just("lose"), st.sampled_from(SOURCES), st.integers(1, 5)),
        st.tuples(st.just("read"), st.integers(1, 4)),
        st.tuples(st.just("beat")),
        st.tuples(st.just("turn"), st.integers(0, 30)),
        st.tuples(st.just("move"), st.integers(0, 2)),
        st.tuples(st.just("kill"), st.integers(1, 2)),
        st.tuples(st.just("restart")),
        st.tuples(st.just("crash")),
    ),
    min_size=5,
    max_size=30,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(filters, contracts, steps, st.sampled_from([600, 5000, 1 << 20]))
def test_wherever_a_client_moves_everything_comes_once_or_is_declared(
    fresh_redis_url: str, chosen: dict[str, Any], contract: dict[str, Any], script: list[Any], window: int
) -> None:
    asyncio.run(edges.play(fresh_redis_url, chosen, contract, script, window))
