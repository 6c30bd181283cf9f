"""Addresses that a venue gives for one connection."""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from alphapulse.domain.errors import InvalidArgument
from collector_service.compiler.faults import fault
from collector_service.compiler.paths import Step, read_path
from collector_service.source import AddressRequest
from collector_service.spec.dialect import Ticket

_PLACE: Final = re.compile(r"\{([^{}]+)\}")
_UUID: Final = "uuid"


def compile_ticket(spec: Ticket, where: str) -> AddressRequest:
    """The request and how its answer is read. Raises SpecificationError."""
    places = {name: read_path(name, f"{where}.url").steps for name in _PLACE.findall(spec.url) if name != _UUID}
    if not places:
        raise fault(f"{where}.url", spec.url, "has to name what the answer holds, such as {data.token}")

    def url(answer: bytes) -> str:
        told, names = msgspec.json.decode(answer), {_UUID: str(uuid.uuid4())}
        for name, steps in places.items():
            found = _at(told, steps)
            if not isinstance(found, str) or not found:
                raise InvalidArgument.field(
                    name, str(found)[:64], "address-missing", "the answer has to tell it, as text"
                )
            names[name] = found
        return _PLACE.sub(lambda place: names[place[1]], spec.url)

    return AddressRequest(spec.path, url)


def _at(value: Any, steps: Sequence[Step]) -> Any:
    """What is at the steps; None where nothing is."""
    for step in steps:
        if isinstance(step, str):
            value = value.get(step) if isinstance(value, dict) else None
        else:
            value = value[step] if isinstance(value, list) and step < len(value) else None
    return value
