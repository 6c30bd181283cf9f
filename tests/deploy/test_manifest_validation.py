"""The validator of manifests finds what it is there to find."""

from __future__ import annotations

import copy
from types import ModuleType
from typing import Any

import pytest

POD = {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
DEPLOYMENT: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "d"},
    "spec": {"selector": {"matchLabels": {"app": "a"}}, "template": POD},
}
SERVICE: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "s"},
    "spec": {"selector": {"app": "a"}, "ports": [{"name": "grpc", "port": 1, "targetPort": 1}]},
}


def test_sound_manifests_have_no_problems(manifests_tool: ModuleType) -> None:
    assert manifests_tool.problems([DEPLOYMENT, SERVICE]) == []


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("kind",), "Deplyoment", "knows no"),
        (("spec", "replcas"), 2, "replcas"),
        (("spec", "replicas"), "two", "'two' is not"),
        (("spec", "selector", "matchLabels"), {"app": "b"}, "does not meet its pods"),
        (("apiVersion",), "extensions/v1beta1", "knows no"),
    ],
)
def test_a_fault_is_named(manifests_tool: ModuleType, path: tuple[str, ...], value: Any, said: str) -> None:
    broken = copy.deepcopy(DEPLOYMENT)
    place = broken
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    assert any(said in problem for problem in manifests_tool.problems([broken]))


def test_a_service_has_to_meet_a_pod_and_its_port(manifests_tool: ModuleType) -> None:
    lost = copy.deepcopy(SERVICE)
    lost["spec"]["selector"] = {"app": "b"}
    assert any("selects no pod" in problem for problem in manifests_tool.problems([DEPLOYMENT, lost]))
    named = copy.deepcopy(SERVICE)
    named["spec"]["ports"][0]["targetPort"] = "grpc"
    assert any("port named grpc" in problem for problem in manifests_tool.problems([DEPLOYMENT, named]))


def test_a_name_is_given_once(manifests_tool: ModuleType) -> None:
    assert any("twice" in problem for problem in manifests_tool.problems([DEPLOYMENT, DEPLOYMENT]))


def test_a_service_monitor_is_held_to_the_fields_it_has(manifests_tool: ModuleType) -> None:
    monitor = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "ServiceMonitor",
        "metadata": {"name": "m"},
        "spec": {"selector": {"matchLabels": {"a": "b"}}, "endpoints": [{"port": "metrics"}], "selecter": {}},
    }
    assert any("selecter" in problem for problem in manifests_tool.problems([monitor]))
