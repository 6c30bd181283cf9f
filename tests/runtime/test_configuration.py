"""Environment variables become a frozen dataclass, or one error that names every bad one."""

from __future__ import annotations

import dataclasses
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphapulse.domain.errors import ConfigurationError
from alphapulse.runtime import ServerConfig, describe, load, setting


class Transport(Enum):
    LIVE = "live"
    REPLAY = "replay"


@dataclass(frozen=True, slots=True)
class CollectorConfig(ServerConfig):
    database_url: str = setting("DATABASE_URL", secret=True)
    """Where the truth is."""

    grpc_port: int = setting("GRPC_PORT", default=50071, ge=0, le=65535)
    sources: tuple[str, ...] = setting("SOURCES", default=("BINANCE",), choices=("BINANCE", "KRAKEN"))
    """Which venues,
    comma separated."""

    transport: Transport = setting("TRANSPORT", default=Transport.LIVE)
    recordings: Path | None = setting("RECORDINGS", default=None, doc="Folder of frames.")
    enabled: bool = setting("REGISTRY_ENABLED", default=True)
    speed: float = setting("REPLAY_SPEED", default=1.0, ge=0.01, le=1000)


REQUIRED = {"DATABASE_URL": "postgresql://u:pass@h/d"}


def test_defaults_hold_where_a_variable_is_absent_or_empty() -> None:
    config = load(CollectorConfig, {**REQUIRED, "GRPC_PORT": "", "LOG_LEVEL": "  "})
    assert config == CollectorConfig(database_url=REQUIRED["DATABASE_URL"])
    assert (config.grpc_port, config.metrics_port, config.log_level) == (50071, 9090, "INFO")
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.grpc_port = 1  # type: ignore[misc]


def test_each_type_is_parsed() -> None:
    given_variables = {
        "SOURCES": "KRAKEN, BINANCE",
        "TRANSPORT": "replay",
        "RECORDINGS": "frames",
        "REPLAY_SPEED": "2.5",
    }
    config = load(CollectorConfig, {**REQUIRED, **given_variables, "REGISTRY_ENABLED": "False", "LOG_LEVEL": "debug"})
    assert config.sources == ("KRAKEN", "BINANCE")
    assert config.transport is Transport.REPLAY
    assert config.recordings == Path("frames")
    assert config.speed == 2.5
    assert config.enabled is False
    assert config.log_level == "DEBUG"


@pytest.mark.parametrize(("text", "port"), [("off", None), ("OFF", None), ("0", 0), ("65535", 65535)])
def test_metrics_port_is_a_port_or_off(text: str, port: int | None) -> None:
    assert load(ServerConfig, {"METRICS_PORT": text}).metrics_port == port


def test_all_bad_variables_are_named_at_once_with_value_and_rule() -> None:
    bad = {
        "GRPC_PORT": "70000",
        "METRICS_PORT": "maybe",
        "LOG_FORMAT": "xml",
        "REPLAY_SPEED": "nan",
        "SOURCES": "BINANCE,MTGOX",
        "TRANSPORT": "pigeon",
        "REGISTRY_ENABLED": "perhaps",
    }
    with pytest.raises(ConfigurationError) as caught:
        load(CollectorConfig, bad)
    error = caught.value
    assert {violation.field for violation in error.violations} == {*bad, "DATABASE_URL"}
    for variable, value in bad.items():
        assert f"{variable} is {value!r}" in error.message
    assert "DATABASE_URL is not set" in error.message
    assert "from 0 to 65535" in error.message
    assert "one of live, replay" in error.message


def test_a_secret_is_never_shown() -> None:
    @dataclass(frozen=True, slots=True)
    class Config:
        token: int = setting("TOKEN", secret=True, ge=0)

    with pytest.raises(ConfigurationError) as caught:
        load(Config, {"TOKEN": "hunter2"})
    assert "hunter2" not in str(caught.value) + repr(caught.value.violations) + repr(caught.value.metadata)


def test_the_description_lists_every_variable_with_default_rule_and_doc() -> None:
    described = {variable.name: variable for variable in describe(CollectorConfig)}
    assert described["DATABASE_URL"].default is None
    assert described["DATABASE_URL"].secret
    assert described["DATABASE_URL"].doc == "Where the truth is."
    assert described["SOURCES"].doc == "Which venues, comma separated."
    assert described["SOURCES"].default == "BINANCE"
    assert described["RECORDINGS"].doc == "Folder of frames."
    assert described["TRANSPORT"].rule == "one of live, replay"
    assert described["GRPC_PORT"].default == "50071"
    assert described["GRPC_PORT"].doc  # of the base class
    assert all(variable.doc for variable in describe(ServerConfig))


@given(st.integers())
def test_a_port_is_taken_exactly_when_it_is_in_range(number: int) -> None:
    if 0 <= number <= 65535:
        assert load(ServerConfig, {"GRPC_PORT": str(number)}).grpc_port == number
    else:
        with pytest.raises(ConfigurationError):
            load(ServerConfig, {"GRPC_PORT": str(number)})


@given(st.text())
def test_no_text_gives_anything_but_a_value_or_a_configuration_error(text: str) -> None:
    variables = {variable.name: text for variable in describe(CollectorConfig)}
    with suppress(ConfigurationError):
        load(CollectorConfig, variables)
