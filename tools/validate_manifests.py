"""Holds rendered manifests against the Kubernetes schemas, strictly: an unknown field or kind is an error.

    helm template ... | python tools/validate_manifests.py --name production

Also what schemas do not know: that selectors meet their pods, named ports exist, and no name is given twice. Used by tools/check_chart.sh.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from typing import Any, Final

import kubernetes_validate
import yaml

VERSIONS: Final = ("1.27", "1.31", "1.35")
"""Of Kubernetes: the oldest the chart takes, and newer ones."""
Manifest = dict[str, Any]


def problems(manifests: list[Manifest]) -> list[str]:
    """What is wrong with manifests that are installed together."""
    found = [problem for one in manifests for problem in _schema_problems(one)]
    found += _duplicates(manifests)
    found += _lost_selectors(manifests)
    return found


def _title(manifest: Manifest) -> str:
    return f"{manifest.get('kind')} {manifest.get('metadata', {}).get('name')}"


def _schema_problems(manifest: Manifest) -> Iterator[str]:
    if manifest.get("kind") == "ServiceMonitor":
        yield from _service_monitor(manifest)
        return
    for version in VERSIONS:
        try:
            kubernetes_validate.validate(manifest, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            yield f"{_title(manifest)} ({version}): {'.'.join(map(str, error.path))}: {error.message}"
        except kubernetes_validate.SchemaNotFoundError:
            yield f"{_title(manifest)}: Kubernetes {version} knows no {manifest.get('apiVersion')} {manifest.get('kind')}"


def _service_monitor(manifest: Manifest) -> Iterator[str]:
    """A custom resource, whose schema is not Kubernetes' own: the fields the chart writes, by the operator's reference."""
    spec = manifest.get("spec", {})
    if manifest.get("apiVersion") != "monitoring.coreos.com/v1":
        yield f"{_title(manifest)}: apiVersion {manifest.get('apiVersion')!r}"
    unknown = set(spec) - {"jobLabel", "namespaceSelector", "selector", "endpoints"}
    if unknown:
        yield f"{_title(manifest)}: spec has {sorted(unknown)}"
    if not spec.get("selector", {}).get("matchLabels"):
        yield f"{_title(manifest)}: selects every service there is"
    for endpoint in spec.get("endpoints") or [{}]:
        if not isinstance(endpoint.get("port"), str) or set(endpoint) - {"port", "interval", "path", "scheme"}:
            yield f"{_title(manifest)}: endpoint {endpoint!r}"


def _duplicates(manifests: list[Manifest]) -> Iterator[str]:
    seen: set[str] = set()
    for manifest in manifests:
        title = _title(manifest)
        if title in seen:
            yield f"{title}: is there twice"
        seen.add(title)


def _lost_selectors(manifests: list[Manifest]) -> Iterator[str]:
    """Services whose selector or named port meets no pod, workloads whose selector does not meet their own template."""
    pods = [m["spec"]["template"] for m in manifests if "template" in m.get("spec", {})]
    for manifest in manifests:
        spec = manifest.get("spec", {})
        if manifest["kind"] in ("Deployment", "StatefulSet"):
            if not _meets(spec["selector"]["matchLabels"], spec["template"]):
                yield f"{_title(manifest)}: its selector does not meet its pods"
        elif manifest["kind"] == "Service":
            met = [pod for pod in pods if _meets(spec["selector"], pod)]
            if not met:
                yield f"{_title(manifest)}: selects no pod"
            names = {port["name"] for pod in met for c in pod["spec"]["containers"] for port in c.get("ports", ())}
            for port in spec["ports"]:
                if isinstance(port["targetPort"], str) and port["targetPort"] not in names:
                    yield f"{_title(manifest)}: no pod has a port named {port['targetPort']}"
        elif manifest["kind"] in ("PodDisruptionBudget", "NetworkPolicy"):
            selector = spec.get("selector") or spec.get("podSelector")
            if not any(_meets(selector["matchLabels"], pod) for pod in pods):
                yield f"{_title(manifest)}: selects no pod"


def _meets(labels: Mapping[str, str], pod: Manifest) -> bool:
    held = pod.get("metadata", {}).get("labels", {})
    return all(held.get(name) == value for name, value in labels.items())


def main() -> int:
    """Reads documents from standard input; 1 when something is wrong with them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", default="stdin", help="what the documents are, for messages")
    name = parser.parse_args().name
    manifests = [one for one in yaml.safe_load_all(sys.stdin) if one]
    if not manifests:
        print(f"{name}: no documents", file=sys.stderr)
        return 1
    wrong = problems(manifests)
    for problem in wrong:
        print(f"{name}: {problem}", file=sys.stderr)
    if not wrong:
        print(f"{name}: {len(manifests)} objects, valid for Kubernetes {', '.join(VERSIONS)}")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
