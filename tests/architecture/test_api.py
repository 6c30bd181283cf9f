"""The API holds its own rules: stubs are fresh, every mutation takes the options of a write."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf.descriptor import MethodDescriptor

from alphapulse.api.collector.v1 import collector_service_pb2
from alphapulse.api.common.v1 import common_pb2
from alphapulse.api.instrument.v1 import instrument_service_pb2
from alphapulse.api.relay.v1 import relay_service_pb2
from alphapulse.api.synthetic.v1 import synthetic_service_pb2
from alphapulse.api.venue.v1 import venue_service_pb2

ROOT = Path(__file__).resolve().parents[2]
FILES = (
    collector_service_pb2,
    instrument_service_pb2,
    relay_service_pb2,
    synthetic_service_pb2,
    venue_service_pb2,
)
READS = ("Get", "List", "Lookup", "Search", "Watch", "Batch", "Validate", "Evaluate", "Is", "Rank", "Plan", "Explain")
STREAMS_OF_EVENTS = ("Publish", "PublishAcknowledged", "Subscribe")


def methods() -> list[MethodDescriptor]:
    return [m for file in FILES for service in file.DESCRIPTOR.services_by_name.values() for m in service.methods]


@pytest.mark.parametrize("method", methods(), ids=lambda m: m.name)
def test_every_mutation_takes_write_options(method: MethodDescriptor) -> None:
    if method.name.startswith(READS) or method.name in STREAMS_OF_EVENTS:
        return
    options = [
        f.name
        for f in method.input_type.fields
        if f.message_type is not None and f.message_type.full_name == common_pb2.WriteOptions.DESCRIPTOR.full_name
    ]
    assert options == ["write"], f"{method.full_name} changes something and takes no WriteOptions `write`"


REGISTRIES = (instrument_service_pb2, venue_service_pb2, synthetic_service_pb2)
CONSTANT = {"ListTemplates", "PlanSynthetic"}
"""Answers that rest on nothing the registry holds."""


@pytest.mark.parametrize(
    "method",
    [m for m in methods() if m.containing_service.file in [one.DESCRIPTOR for one in REGISTRIES]],
    ids=lambda m: f"{m.containing_service.name}.{m.name}",
)
def test_every_read_of_a_registry_takes_a_consistency(method: MethodDescriptor) -> None:
    if not method.name.startswith(READS) or method.server_streaming or method.name in CONSTANT:
        return
    wanted = {common_pb2.ReadOptions.DESCRIPTOR.full_name, instrument_service_pb2.LookupOptions.DESCRIPTOR.full_name}
    taken = {f.name: f.message_type.full_name for f in method.input_type.fields if f.message_type is not None}
    options = [name for name, kind in taken.items() if kind in wanted]
    assert options in (["read"], ["options"]), f"{method.full_name} answers and takes no ReadOptions `read`"


@pytest.mark.parametrize("method", [m for m in methods() if m.name.startswith("List")], ids=lambda m: m.name)
def test_every_list_is_paged(method: MethodDescriptor) -> None:
    bounded_by_nature = {"ListSessions", "ListDependents", "ListTemplates"}
    if method.name in bounded_by_nature:
        return
    assert {"page_size", "page_token"} <= {f.name for f in method.input_type.fields}
    assert "next_page_token" in {f.name for f in method.output_type.fields}


def test_generated_code_is_fresh() -> None:
    done = subprocess.run(
        [sys.executable, "tools/generate_protos.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
