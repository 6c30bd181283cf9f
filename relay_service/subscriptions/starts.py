"""Where a subscription starts, from the API's message."""

from __future__ import annotations

import time
from typing import Any, Final

from alphapulse.domain.errors import FieldViolation
from alphapulse.records import LAYOUTS
from relay_service.subscriptions.wanted import Contract, FromTime, FromToken, Latest, Start

_RECEIVED: Final = ("received_sequence", "received_number", "received_by_type", "received_source_gap")


def start_of(message: Any, contract: Contract, found: list[FieldViolation]) -> Start | FromToken | FromTime:
    """A SubscriptionStart as a domain value; what is wrong with it is added to `found`. Whether a token is good is for the log to say."""
    which = message.WhichOneof("start")
    if which != "resume_token":
        for name in _RECEIVED:
            if value := getattr(message, name):
                text = "what was received is told together with a resume token, and means nothing without"
                found.append(FieldViolation(f"start.{name}", str(value).strip(), "received-without-token", text))
    if which in (None, "now"):
        return Start.NOW
    if which == "snapshot":
        return Start.SNAPSHOT
    if which == "resume_token":
        return _from_token(message, contract, found)
    now_ns = time.time_ns()
    if not 0 < message.time_ns <= now_ns:
        text = "a start lies in the past: nanoseconds since the Unix epoch, above 0 and at most the relay's time"
        found.append(FieldViolation("start.time_ns", str(message.time_ns), "start-time", f"{text} ({now_ns})"))
    return FromTime(message.time_ns)


def _from_token(message: Any, contract: Contract, found: list[FieldViolation]) -> FromToken:
    by_type = dict(message.received_by_type)
    conflates = isinstance(contract, Latest)
    if conflates and message.received_sequence:
        text = "with latest and window events come type by type: tell received_by_type instead"
        found.append(
            FieldViolation("start.received_sequence", str(message.received_sequence), "received-by-type", text)
        )
    for kind, sequence in sorted(by_type.items()):
        if conflates and kind in LAYOUTS:
            continue
        text = "the key is an event type, and the contract is latest or window; else tell received_sequence"
        found.append(FieldViolation(f"start.received_by_type[{kind}]", str(sequence), "received-by-type", text))
        break
    return FromToken(
        message.resume_token,
        message.received_sequence,
        message.received_number,
        by_type,
        message.received_source_gap,
    )
