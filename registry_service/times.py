"""Times of messages: kept to the microsecond, between the years 1 and 9999."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from alphapulse.domain.errors import FieldViolation


def moment(value: Timestamp) -> datetime:
    """The aware datetime, to the microsecond. What is finer is cut: of a time that is asked about that changes no answer, for every span that is
    kept begins and ends at a whole one. ValueError or OverflowError beyond the years 1 to 9999."""
    return value.ToDatetime(tzinfo=UTC)


def stamp(value: datetime) -> Timestamp:
    """The message of an aware datetime."""
    message = Timestamp()
    message.FromDatetime(value.astimezone(UTC).replace(tzinfo=None))
    return message


def broken_time(value: Timestamp, field: str) -> FieldViolation | None:
    """What is wrong with a time that is asked about; None where nothing is."""
    try:
        moment(value)
    except (ValueError, OverflowError):
        return FieldViolation(field, f"{value.seconds}s", "timestamp", "a time between the years 1 and 9999")
    return None


def broken_kept_time(value: Timestamp, field: str) -> FieldViolation | None:
    """What is wrong with a time that is kept: one that is finer than what is kept would begin before its time."""
    if value.nanos % 1000 and broken_time(value, field) is None:
        return FieldViolation(field, value.ToJsonString(), "time-precision", "times are kept to the microsecond")
    return broken_time(value, field)


def cut_times(message: Any) -> None:
    """Cuts all times of a message to the microsecond: entries of before there was a rule against finer ones were found by these."""
    for field, value in message.ListFields():
        if field.message_type is None or field.message_type.GetOptions().map_entry:
            continue
        for one in value if field.is_repeated else (value,):
            if isinstance(one, Timestamp):
                one.nanos -= one.nanos % 1000
            else:
                cut_times(one)
