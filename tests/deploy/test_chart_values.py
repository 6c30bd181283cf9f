"""values.yaml, its schema and the values of ci/ say the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

CHART = Path(__file__).resolve().parents[2] / "helm/alphapulse"
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
VALUES = yaml.safe_load((CHART / "values.yaml").read_text())


def merged(base: Any, over: Any) -> Any:
    """As Helm merges values: maps by key, everything else replaced."""
    if isinstance(base, dict) and isinstance(over, dict):
        return base | {key: merged(base.get(key), value) for key, value in over.items()}
    return over


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    reference = schema.get("$ref")
    return SCHEMA["$defs"][reference.rpartition("/")[2]] if reference else schema


def differences(schema: dict[str, Any], values: Any, path: str = "") -> list[str]:
    """Values one of the two does not have."""
    schema = resolved(schema)
    if "properties" not in schema or not isinstance(values, dict):
        return []
    known = set(schema["properties"]) - ({"global"} if not path else set())
    found = [f"{path}{name}" for name in known ^ set(values) if not path.endswith("resources.")]
    for name in known & set(values):
        found += differences(schema["properties"][name], values[name], f"{path}{name}.")
    return found


def test_schema_and_values_name_the_same() -> None:
    assert differences(SCHEMA, VALUES) == []
    assert differences(SCHEMA["properties"]["collectors"]["items"], VALUES["collectors"][0], "collectors.") == []


@pytest.mark.parametrize("path", sorted((CHART / "ci").glob("*.yaml")), ids=lambda path: path.stem)
def test_values_of_ci_follow_the_schema(path: Path) -> None:
    jsonschema.validate(merged(VALUES, yaml.safe_load(path.read_text())), SCHEMA)


@pytest.mark.parametrize(
    "wrong",
    [
        {"relay": {"replcas": 2}},
        {"relay": {"port": 0}},
        {"edges": {"of": -1}},
        {"edges": {"replicas": "many"}},
        {"common": {"logLevel": "info"}},
        {"database": {"url": "mysql://u@h/d"}},
        {"image": {"digest": "sha256:short"}},
        {"collectors": [{"name": "Has Spaces"}]},
        {"common": {"env": {"lower_case": "1"}}},
        {"common": {"env": {"CACHE_BYTES": 1}}},
        {"strategy": {"place": "no-class.py"}},
        {"podDisruptionBudget": {"maxUnavailable": 0}},
    ],
    ids=str,
)
def test_wrong_values_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(merged(VALUES, wrong), SCHEMA)
