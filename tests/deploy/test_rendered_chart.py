"""The chart as Kubernetes gets it, for every values file of ci/."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "helm/alphapulse"
FILES = sorted((CHART / "ci").glob("*-values.yaml"))
Manifest = dict[str, Any]
DEVELOPMENT_STORES = ("postgres", "valkey")


def render(helm: str, values: Path, *options: str) -> list[Manifest]:
    command = [helm, "template", "check", str(CHART), "--kube-version", "1.31.0", "--values", str(values), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [one for one in yaml.safe_load_all(done.stdout) if one]


@pytest.fixture(scope="module", params=FILES, ids=lambda path: path.stem)
def manifests(helm: str, request: pytest.FixtureRequest) -> list[Manifest]:
    return render(helm, request.param)


def pods(manifests: list[Manifest]) -> Iterator[Manifest]:
    for one in manifests:
        if one["kind"] == "Pod":
            yield one["spec"]
        elif "template" in one.get("spec", {}):
            yield one["spec"]["template"]["spec"]


def containers(manifests: list[Manifest]) -> Iterator[Manifest]:
    for pod in pods(manifests):
        yield from pod.get("initContainers", ())
        yield from pod["containers"]


def environment(container: Manifest, manifests: list[Manifest]) -> dict[str, str]:
    """What the container's process gets; values of other people's secrets are made up."""
    maps = {m["metadata"]["name"]: m["data"] for m in manifests if m["kind"] == "ConfigMap"}
    secrets = {m["metadata"]["name"]: m["stringData"] for m in manifests if m["kind"] == "Secret"}
    made_up = {
        "DATABASE_URL": "postgresql://h/d",
        "REDIS_URL": "redis://h:1/0",
        "RELAY_LOG_URL": "redis://h:1/0",
        "TOKEN_SECRET": "secret",
    }
    found: dict[str, str] = {}
    for source in container.get("envFrom", ()):
        found |= maps[source["configMapRef"]["name"]]
    for variable in container.get("env", ()):
        reference = variable.get("valueFrom", {})
        if "secretKeyRef" in reference:
            held = secrets.get(reference["secretKeyRef"]["name"], {})
            found[variable["name"]] = held.get(reference["secretKeyRef"]["key"]) or made_up[variable["name"]]
        else:
            found[variable["name"]] = variable.get("value", "from-the-pod")
    return found


def is_ours(container: Manifest) -> bool:
    return container["name"] not in DEVELOPMENT_STORES


def test_every_variable_is_one_its_process_takes(
    manifests: list[Manifest], check_variables: Callable[[str, Mapping[str, str]], None]
) -> None:
    for container in filter(is_ours, containers(manifests)):
        check_variables(container["args"][0], environment(container, manifests))


def test_containers_may_do_as_little_as_they_need(manifests: list[Manifest]) -> None:
    for pod in pods(manifests):
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
    for container in containers(manifests):
        security = container["securityContext"]
        assert security["readOnlyRootFilesystem"], container["name"]
        assert security["allowPrivilegeEscalation"] is False
        assert security["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"]["requests"], container["name"]
        assert container["resources"]["limits"]["memory"], container["name"]
        assert "/tmp" in [mount["mountPath"] for mount in container["volumeMounts"]] or not is_ours(container)


def test_servers_are_asked_on_the_port_they_listen_on(manifests: list[Manifest]) -> None:
    servers = [c for c in containers(manifests) if "livenessProbe" in c]
    assert len(servers) >= 5
    for container in servers:
        port = int(environment(container, manifests)["GRPC_PORT"])
        assert container["livenessProbe"]["grpc"] == {"port": port, "service": ""}
        assert container["readinessProbe"]["grpc"] == {"port": port, "service": "readiness"}
        held = environment(container, manifests)
        listening = {int(held[name]) for name in ("GRPC_PORT", "HTTP_PORT", "METRICS_PORT") if name in held}
        assert {p["containerPort"] for p in container["ports"]} == listening


def test_http_of_the_registries_can_be_reached_and_turned_off(helm: str) -> None:
    values = CHART / "ci/production-values.yaml"
    on, off = render(helm, values), render(helm, values, "--set", "registries.instrument.httpPort=0")
    for manifests, ports in ((on, {8051, 8052, 8053}), (off, {8052, 8053})):
        served = {
            int(held["HTTP_PORT"]) for c in containers(manifests) if "HTTP_PORT" in (held := environment(c, manifests))
        }
        assert served == ports
        exposed = {
            p["port"] for m in manifests if m["kind"] == "Service" for p in m["spec"]["ports"] if p["name"] == "http"
        }
        assert exposed == ports
        allowed = {
            p["port"]
            for m in manifests
            if m["kind"] == "NetworkPolicy"
            for rule in m["spec"]["ingress"]
            for p in rule["ports"]
            if "from" in rule
        }
        assert {8051, 8052, 8053} & allowed == ports


def test_a_pod_has_longer_to_leave_than_its_processes_take(manifests: list[Manifest]) -> None:
    for manifest in manifests:
        if manifest["kind"] not in ("Deployment", "StatefulSet") or "spec" not in manifest:
            continue
        pod = manifest["spec"]["template"]["spec"]
        for container in filter(is_ours, pod["containers"]):
            drain = environment(container, manifests).get("DRAIN_SECONDS", "5")
            assert pod["terminationGracePeriodSeconds"] > float(drain)


def test_collectors_reach_the_relays_socket(manifests: list[Manifest]) -> None:
    (relay,) = (m for m in manifests if m["kind"] == "StatefulSet" and m["metadata"]["name"].endswith("-relay"))
    pod = relay["spec"]["template"]["spec"]
    named = {environment(c, manifests)["RELAY_INGRESS_SOCKET"] for c in pod["containers"]}
    assert len(pod["containers"]) >= 2
    assert len(named) == 1
    for container in pod["containers"]:
        mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
        assert mounts[str(Path(named.copy().pop()).parent)] == "sockets"
    ports = [p["containerPort"] for c in pod["containers"] for p in c["ports"]]
    assert len(ports) == len(set(ports)), "two containers of one pod listen on one port"


def test_edges_serve_the_log_of_a_pod_of_the_relay(helm: str) -> None:
    values = CHART / "ci/production-values.yaml"
    manifests = render(helm, values)
    by_name = {(m["kind"], m["metadata"]["name"]): m for m in manifests}
    relay = by_name["StatefulSet", "check-alphapulse-relay"]
    edge = by_name["Deployment", "check-alphapulse-edge"]
    for kind in ("Service", "HorizontalPodAutoscaler", "PodDisruptionBudget", "NetworkPolicy"):
        assert (kind, "check-alphapulse-edge") in by_name
    [serving] = edge["spec"]["template"]["spec"]["containers"]
    writing = relay["spec"]["template"]["spec"]["containers"][0]
    held = environment(serving, manifests)
    assert held["RELAY_ROLE"] == "edge"
    assert held["RELAY_ID"] == f"{relay['metadata']['name']}-1"
    assert relay["spec"]["replicas"] > 1
    assert [v for v in serving["env"] if v["name"] == "RELAY_LOG_URL"] == [
        v for v in writing["env"] if v["name"] == "RELAY_LOG_URL"
    ]
    (strategy,) = (c for c in containers(manifests) if c["args"][0] == "strategy")
    assert environment(strategy, manifests)["RELAY_ADDRESS"] == f"check-alphapulse-edge:{held['GRPC_PORT']}"


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--set", "edges.of=2"), "relay.replicas"),
        (("--set", "relay.log.existingSecret="), "relay.log.url"),
    ],
)
def test_edges_that_could_serve_nothing_are_refused(helm: str, options: tuple[str, ...], why: str) -> None:
    values = CHART / "ci/production-values.yaml"
    command = [helm, "template", "check", str(CHART), "--kube-version", "1.31.0", "--values", str(values), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert why in done.stderr


def test_partitions_are_relays_of_a_pod_that_collectors_and_clients_know_in_order(
    helm: str, check_variables: Callable[[str, Mapping[str, str]], None], manifests_tool: ModuleType
) -> None:
    manifests = render(helm, CHART / "ci/production-values.yaml", "--set", "relay.partitions=3")
    by_name = {(m["kind"], m["metadata"]["name"]): m for m in manifests}
    pod = by_name["StatefulSet", "check-alphapulse-relay"]["spec"]["template"]["spec"]
    held = [environment(c, manifests) for c in pod["containers"]]
    relays, collectors = held[:3], held[3:]
    assert [one["RELAY_PARTITION"] for one in relays] == ["0/3", "1/3", "2/3"]
    sockets = [one["RELAY_INGRESS_SOCKET"] for one in relays]
    assert len({one["RELAY_EGRESS_SOCKET"] for one in relays} | set(sockets)) == 6
    assert {one["RELAY_INGRESS_SOCKET"] for one in collectors} == {",".join(sockets)}
    ports = [p["containerPort"] for c in pod["containers"] for p in c["ports"]]
    assert len(ports) == len(set(ports)), "two containers of one pod listen on one port"
    for container, one in zip(pod["containers"], held, strict=True):
        assert int(one["METRICS_PORT"]) in {p["containerPort"] for p in container["ports"]}
        check_variables(container["args"][0], one)
    services = {
        f"{m['metadata']['name']}:{p['port']}" for m in manifests if m["kind"] == "Service" for p in m["spec"]["ports"]
    }
    assert {f"check-alphapulse-relay:{one['GRPC_PORT']}" for one in relays} <= services
    edges = [by_name["Deployment", f"check-alphapulse-edge{behind}"] for behind in ("", "-1", "-2")]
    served = [environment(one["spec"]["template"]["spec"]["containers"][0], manifests) for one in edges]
    assert [one["RELAY_PARTITION"] for one in served] == ["0/3", "1/3", "2/3"]
    assert len({one["RELAY_ID"] for one in served}) == 1
    chosen = [one["spec"]["selector"]["matchLabels"]["app.kubernetes.io/component"] for one in edges]
    assert len(set(chosen)) == 3, "a client of one partition's edges must not reach another's"
    (strategy,) = (c for c in containers(manifests) if c["args"][0] == "strategy")
    addresses = environment(strategy, manifests)["RELAY_ADDRESS"].split(";")
    assert addresses == [f"{one['metadata']['name']}:{served[0]['GRPC_PORT']}" for one in edges]
    assert set(addresses) <= services
    assert manifests_tool.problems(manifests) == []


def test_addresses_lead_to_services_of_the_release(manifests: list[Manifest]) -> None:
    services = {
        f"{m['metadata']['name']}:{p['port']}" for m in manifests if m["kind"] == "Service" for p in m["spec"]["ports"]
    }
    for container in filter(is_ours, containers(manifests)):
        for name, value in environment(container, manifests).items():
            if name.endswith("_ADDRESS"):
                assert value in services, f"{container['name']}: {name}={value}"


def test_no_secret_is_made_where_one_is_named(helm: str) -> None:
    production = render(helm, CHART / "ci/production-values.yaml")
    assert "Secret" not in [one["kind"] for one in production]
    names = {
        v["valueFrom"]["secretKeyRef"]["name"]
        for c in containers(production)
        for v in c.get("env", ())
        if "secretKeyRef" in v.get("valueFrom", {})
    }
    assert names == {"stores", "tokens"}


def test_a_changed_setting_starts_pods_anew(helm: str) -> None:
    def stamps(*options: str) -> set[str]:
        rendered = render(helm, CHART / "ci/minimal-values.yaml", *options)
        templates = [m["spec"]["template"] for m in rendered if m["kind"] in ("Deployment", "StatefulSet")]
        return {one["metadata"]["annotations"]["checksum/config"] for one in templates}

    assert stamps() == stamps()
    assert stamps().isdisjoint(stamps("--set", "common.logLevel=DEBUG"))


def test_manifests_are_valid(manifests: list[Manifest], manifests_tool: ModuleType) -> None:
    assert manifests_tool.problems(manifests) == []
