"""The error tree: unique reasons, rebuilding on the other side, values that are shown shortened."""

from __future__ import annotations

import pickle
import re

import grpc
import pytest

from alphapulse.domain import errors
from alphapulse.domain.errors import AlphaPulseError, FieldViolation, InvalidArgument, from_reason, reasons

TREE = list(reasons())


def test_every_code_is_a_grpc_status() -> None:
    assert {kind.code for _, kind in TREE} <= set(grpc.StatusCode.__members__)
    assert set(grpc.StatusCode.__members__) - {"OK"} == errors.GRPC_CODES


@pytest.mark.parametrize(("reason", "kind"), TREE)
def test_an_error_comes_back_as_its_own_class(reason: str, kind: type[AlphaPulseError]) -> None:
    violation = FieldViolation("isin", "X", "isin-length", "too short")
    sent = kind("said", metadata={"a": "b"}, violations=[violation], hint="do this", retry_after=1.5)
    back = from_reason(sent.reason, sent.message, sent.metadata, sent.violations, hint="do this", retry_after=1.5)
    assert type(back) is kind
    assert (back.message, back.metadata, back.violations, back.retry_after) == ("said", {"a": "b"}, (violation,), 1.5)
    assert type(pickle.loads(pickle.dumps(sent))) is kind
    assert pickle.loads(pickle.dumps(sent)).violations == (violation,)


def test_unknown_reason_gives_the_base_class_and_keeps_the_reason() -> None:
    back = from_reason("FROM_THE_FUTURE", "hm")
    assert type(back) is AlphaPulseError
    assert back.metadata == {"reason": "FROM_THE_FUTURE"}


def test_the_docstring_draws_every_class_at_its_place() -> None:
    drawn = {}
    stack: list[tuple[int, str]] = []
    for found in re.finditer(r"^    ([|` -]*)(\w+) +\S", errors.__doc__ or "", re.M):
        depth = len(found[1])
        stack = [entry for entry in stack if entry[0] < depth]
        drawn[found[2]] = stack[-1][1] if stack else "Exception"
        stack.append((depth, found[2]))
    actual = {kind.__name__: kind.__base__.__name__ for _, kind in TREE if kind.__module__.startswith(errors.__name__)}  # type: ignore[union-attr]
    assert drawn == {"AlphaPulseError": "Exception", **actual}


@pytest.mark.parametrize(
    ("reason", "code", "said"),
    [
        ("NOT_FOUND", "NOT_FOUND", "already the reason of NotFound"),
        ("UNKNOWN_REASON", "UNKNOWN", "already the reason of AlphaPulseError"),
        ("lower", "UNKNOWN", "not UPPER_SNAKE"),
        ("SOMETHING_NEW", "TEAPOT", "not a gRPC status name"),
    ],
)
def test_a_bad_class_is_refused_when_it_is_defined(reason: str, code: str, said: str) -> None:
    with pytest.raises(TypeError, match=said):
        type("Clash", (AlphaPulseError,), {"reason": reason, "code": code})


def test_a_subclass_without_its_own_reason_is_refused() -> None:
    with pytest.raises(TypeError, match="already the reason of"):
        type("Copy", (errors.NotFound,), {})


def test_long_values_are_shortened_once_and_say_their_length() -> None:
    violation = FieldViolation("name", "x" * 10_000_000, "text-length", "too long")
    assert len(violation.value) <= 200
    assert "10000000 characters" in violation.value
    assert violation.under("instrument") == FieldViolation(
        "instrument.name", violation.value, "text-length", "too long"
    )


def test_lone_surrogates_are_shown_escaped() -> None:
    FieldViolation("name", "\ud800" * 300, "r", "d").value.encode()


def test_the_message_lists_the_first_faults_and_counts_the_rest() -> None:
    error = InvalidArgument.of(FieldViolation(f"f{n}", "v", "r", "d") for n in range(5))
    assert "f2='v'" in str(error)
    assert str(error).endswith("and 2 more")
    assert len(error.violations) == 5


def test_a_secret_is_not_shown() -> None:
    error = errors.ConfigurationError.for_variable("DATABASE_URL", "postgres://u:pw@h", "must name a host", secret=True)
    assert "pw" not in str(error)
    assert "DATABASE_URL" in str(error)
    assert "not set" in str(errors.ConfigurationError.for_variable("PORT", None, "needed"))
