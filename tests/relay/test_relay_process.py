"""The relay as a process: its variables, its line that says ready, its end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from alphapulse.runtime import describe
from relay_service.config import RelayConfig


def start(environ: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "relay_service"],
        env={**os.environ, "GRPC_PORT": "0", "METRICS_PORT": "0", "LOG_FORMAT": "text", **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_it_becomes_ready_without_registries_and_leaves_no_socket(socket_folder: Path) -> None:
    sockets = {name: socket_folder / f"{name}.sock" for name in ("RELAY_INGRESS_SOCKET", "RELAY_EGRESS_SOCKET")}
    nowhere = {f"{name}_REGISTRY_ADDRESS": "127.0.0.1:1" for name in ("INSTRUMENT", "VENUE", "SYNTHETIC")}
    environ = {name: str(path) for name, path in sockets.items()} | nowhere | {"RELAY_REGISTRY_WAIT_SECONDS": "0.1"}
    process = start(environ)
    try:
        assert process.stdout is not None
        ready = dict(part.split("=") for part in process.stdout.readline().split()[1:])
        assert ready["service"] == "relay"
        assert all(path.is_socket() for path in sockets.values())
        with grpc.insecure_channel(ready["grpc"]) as channel:
            request = health_pb2.HealthCheckRequest(service="alphapulse.api.relay.v1.RelayService")
            answer: Any = health_pb2_grpc.HealthStub(channel).Check(request, timeout=10)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=30)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 0
    assert "the registries have not been learned yet" in errors
    assert not any(path.exists() for path in sockets.values())


def test_a_bad_value_stops_the_start_and_names_the_variable(socket_folder: Path) -> None:
    process = start({"RELAY_QUEUE_BYTES": "12", "REGISTRY_ENABLED": "perhaps"})
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "RELAY_QUEUE_BYTES is '12'" in errors
    assert "REGISTRY_ENABLED is 'perhaps'" in errors


@pytest.mark.parametrize("variable", describe(RelayConfig), ids=lambda one: one.name)
def test_every_variable_is_documented(variable: Any) -> None:
    assert len(variable.doc) > 20
