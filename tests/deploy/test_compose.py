"""docker-compose.yml: every variable is one its process knows, and what has to hold on one machine does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from alphapulse.runtime import load
from collector_service.config import CollectorConfig
from relay_service.config import RelayConfig, Role

ROOT = Path(__file__).resolve().parents[2]
Compose = Callable[..., dict[str, Any]]
OURS = {"instrument-registry", "venue-registry", "synthetic-registry", "relay", "edge", "collector", "strategy", "seed"}
SERVERS = OURS - {"strategy", "seed"}


def test_every_process_is_there(compose: Compose) -> None:
    services = compose()["services"]
    assert set(services) == OURS | {"postgres", "valkey", "log", "prometheus"}
    assert {name for name, service in services.items() if "profiles" in service} == {"edge"}


def test_the_edge_serves_the_log_of_the_relay(compose: Compose) -> None:
    relay, edge = (load(RelayConfig, compose()["services"][name]["environment"]) for name in ("relay", "edge"))
    assert (relay.role, edge.role) == (Role.CORE, Role.EDGE)
    assert (edge.relay_id, edge.log_url, edge.token_key) == (relay.relay_id, relay.log_url, relay.token_key)


def test_every_variable_is_one_its_process_takes(
    compose: Compose, check_variables: Callable[[str, Mapping[str, str]], None]
) -> None:
    for name in OURS:
        service = compose()["services"][name]
        check_variables(service["command"][0], service["environment"])


@pytest.mark.parametrize("transport", ["live", "simulated"])
def test_the_transport_can_be_chosen(compose: Compose, transport: str) -> None:
    environment = compose(TRANSPORT=transport)["services"]["collector"]["environment"]
    assert load(CollectorConfig, environment).transport == transport


def test_the_processes_may_write_nothing_but_temporary_files(compose: Compose) -> None:
    for name in OURS:
        service = compose()["services"][name]
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert "no-new-privileges:true" in service["security_opt"], name
        assert "user" not in service, f"{name}: the image's user is not root already"


def test_ports_are_published_on_this_machine_alone(compose: Compose) -> None:
    for name, service in compose()["services"].items():
        for port in service.get("ports", ()):
            host, published, target = port.split(":")
            assert host == "127.0.0.1", f"{name} publishes {port}"
            assert published == target
        if name in SERVERS:
            own = [service["environment"][v] for v in ("GRPC_PORT", "HTTP_PORT") if v in service["environment"]]
            assert service["ports"] == [f"127.0.0.1:{port}:{port}" for port in own]
            assert ("HTTP_PORT" in service["environment"]) == name.endswith("-registry")


def test_addresses_lead_to_services_of_the_file(compose: Compose) -> None:
    services = compose()["services"]
    for name in OURS:
        for variable, value in services[name]["environment"].items():
            if variable.endswith("_ADDRESS"):
                host, _, port = value.partition(":")
                assert services[host]["environment"]["GRPC_PORT"] == port, f"{name}: {variable}={value}"


def test_sockets_are_shared_where_they_are_named(compose: Compose) -> None:
    for name in ("relay", "collector", "strategy"):
        service = compose()["services"][name]
        folders = {volume.split(":")[1] for volume in service["volumes"]}
        named = {v for k, v in service["environment"].items() if k.endswith("_SOCKET")}
        assert named, name
        assert all(str(Path(socket).parent) in folders for socket in named), name


def test_what_is_waited_for_can_become_healthy(compose: Compose) -> None:
    services = compose()["services"]
    for name, service in services.items():
        for other, how in service.get("depends_on", {}).items():
            if how["condition"] == "service_healthy":
                assert "test" in services[other]["healthcheck"], f"{name} waits for {other}"
            else:
                assert how["condition"] == "service_completed_successfully"
                assert services[other]["restart"] != "unless-stopped", f"{other} never completes"


def test_prometheus_scrapes_every_server() -> None:
    config = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    targets = {t for job in config["scrape_configs"] for each in job["static_configs"] for t in each["targets"]}
    by_name = {name for job in config["scrape_configs"] for found in job["dns_sd_configs"] for name in found["names"]}
    assert by_name == {"edge"}
    assert targets == {f"{name}:9090" for name in SERVERS - by_name}


def test_replay_override_is_taken(compose: Compose, tmp_path: Path) -> None:
    override = yaml.safe_load((ROOT / "deploy/compose.replay.yml").read_text())["services"]["collector"]
    environment = compose()["services"]["collector"]["environment"] | override["environment"]
    config = load(CollectorConfig, {**environment, "REPLAY_SPEED": "4"})
    assert config.transport == "replay"
    assert override["volumes"][0].split(":")[-2] == str(config.recordings)


def test_record_override_is_taken(compose: Compose, tmp_path: Path) -> None:
    override = yaml.safe_load((ROOT / "deploy/compose.record.yml").read_text())["services"]["collector"]
    environment = compose()["services"]["collector"]["environment"] | override["environment"]
    config = load(CollectorConfig, {**environment, "RECORD_SOURCES": "KRAKEN"})
    assert config.record_sources == ("KRAKEN",)
    assert override["volumes"][0].split(":")[-1] == str(config.record_dir)
