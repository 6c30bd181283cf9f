"""What the addresses of requests, and what is said to venues, leave open until the last moment."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import quote

from alphapulse.domain.errors import FailedPrecondition

SECRET: Final = re.compile(r"\{secret:([A-Z0-9_]+)(?:\|([^{}]*))?\}")
"""Behind a `|` what stands there where nobody told the secret."""
_SHORTEST: Final = 4
MOMENT: Final = re.compile(r"\{utc(?:([+-])(\d{1,5})d)?:([^{}]+)\}")


def hidden(text: str, secrets: Mapping[str, str], path: str) -> str:
    """A text about a request to this path, such as an error's, without the secrets that were in its address."""
    for name, _ in SECRET.findall(path):
        value = secrets.get(name)
        if value:
            text = text.replace(value, f"{{secret:{name}}}").replace(quote(value, safe=""), f"{{secret:{name}}}")
    return text


def spellings(text: str, secrets: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """For each secret that a text names and that was told: how it may be spelled in what is sent and answered, and the name that stands for it.
    Less than four letters are no secret."""
    found: dict[bytes, bytes] = {}
    for name, _ in SECRET.findall(text):
        value = secrets.get(name, "")
        if len(value) >= _SHORTEST:
            for spelling in (value, quote(value, safe=""), json.dumps(value)[1:-1]):
                found[spelling.encode()] = f"{{secret:{name}}}".encode()
    return sorted(found.items(), key=lambda one: -len(one[0]))


def filled(path: str, secrets: Mapping[str, str], time_ns: int) -> str:
    """The path with its secrets, and with the time (nanoseconds since the Unix epoch) where it asks for one. Raises FailedPrecondition, which names
    the secret that nobody told."""

    def moment(found: re.Match[str]) -> str:
        days = timedelta(days=int(found[2] or 0))
        now = datetime.fromtimestamp(time_ns // 10**9, UTC)
        return (now - days if found[1] == "-" else now + days).strftime(found[3])

    # A secret that looks like a time stays what it is.
    return SECRET.sub(lambda found: _secret(found, secrets), MOMENT.sub(moment, path))


def spoken(text: str, secrets: Mapping[str, str]) -> str:
    """A frame with its secrets; in one that is JSON they stand within texts. Raises FailedPrecondition as `filled` does."""
    within = text[:1] in ("{", "[")

    def secret(found: re.Match[str]) -> str:
        value = _secret(found, secrets)
        return json.dumps(value)[1:-1] if within else value

    return SECRET.sub(secret, text)


def _secret(found: re.Match[str], secrets: Mapping[str, str]) -> str:
    value = secrets.get(found[1]) or found[2]
    if not value:
        raise FailedPrecondition(f"needs {found[1]}: set it in the environment")
    return value
