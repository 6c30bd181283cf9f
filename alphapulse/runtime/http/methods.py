"""The RPCs of a server as HTTP paths, read from the descriptors of its services."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message

_READS: Final = ("Get", "List", "Lookup", "Search", "BatchGet", "BatchLookup", "Is", "Rank", "Plan", "Validate", "Evaluate", "Explain")  # fmt: skip
_WRITE_OPTIONS: Final = "write"


@dataclass(frozen=True, slots=True)
class Method:
    """One RPC of one request: what is asked, what is answered, at which path."""

    path: str
    """`/package.Service/Method`, as gRPC has it."""
    short_path: str
    """`/Service/Method`."""
    request: type[Message]
    response: type[Message]
    streams: bool
    """Whether it answers with a stream of messages."""
    reads: bool
    """Whether it changes nothing, so that GET may ask it."""


def methods_of(services: Iterable[str]) -> Mapping[str, Method]:
    """The methods of these services (full names) by both of their paths. Those that take a stream are left out: HTTP has none to give.

    A service whose descriptors are not loaded has none.
    """
    found: dict[str, Method] = {}
    pool = descriptor_pool.Default()
    for name in services:
        try:
            service = pool.FindServiceByName(name)
        except KeyError:
            continue
        for descriptor in service.methods:
            if not descriptor.client_streaming:
                method = _method(descriptor)
                found[method.path] = found[method.short_path] = method
    return found


def _method(descriptor: MethodDescriptor) -> Method:
    service = descriptor.containing_service
    writes = _WRITE_OPTIONS in descriptor.input_type.fields_by_name
    return Method(
        path=f"/{service.full_name}/{descriptor.name}",
        short_path=f"/{service.name}/{descriptor.name}",
        request=message_factory.GetMessageClass(descriptor.input_type),
        response=message_factory.GetMessageClass(descriptor.output_type),
        streams=descriptor.server_streaming,
        reads=not writes and (descriptor.server_streaming or descriptor.name.startswith(_READS)),
    )
