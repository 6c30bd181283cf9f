"""The rules of a synthetic: every broken one at once, each with its path in the request."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence
from typing import Final

from alphapulse.domain import formula
from alphapulse.domain.errors import FieldViolation, InvalidArgument
from alphapulse.domain.formula.units import UNIT_RULE, Unit
from alphapulse.domain.ids import InstrumentId, ListingId
from alphapulse.domain.invisible import broken_sight
from registry_service.synthetic.convert import wire
from registry_service.times import broken_kept_time

NAME: Final = re.compile(r"[A-Z0-9_/-]{1,64}")
NAME_RULE: Final = "1 to 64 capitals, digits, -, _ and /"
DESCRIPTION_LENGTH: Final = 4096
TEXT_LENGTH: Final = 256
UNIT_LENGTH: Final = 64
_VARIABLE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,31}")


def synthetic_violations(synthetic: wire.Synthetic, prefix: str = "synthetic") -> list[FieldViolation]:
    """Every rule a synthetic breaks by itself; empty for a valid one."""
    found: list[FieldViolation] = []
    if NAME.fullmatch(synthetic.name) is None:
        found.append(FieldViolation("name", synthetic.name, "synthetic-name", NAME_RULE))
    for field, value, limit in (
        ("description", synthetic.description, DESCRIPTION_LENGTH),
        ("source", synthetic.source, TEXT_LENGTH),
    ):
        found += _text(field, value, limit)
    found += unit_violations(synthetic.unit)
    if synthetic.status not in wire.SyntheticStatus.values():
        found.append(FieldViolation("status", str(synthetic.status), "enum-unknown", "no value this registry knows"))
    found += _bounds(synthetic)
    if synthetic.HasField("valid_to") and (broken := broken_kept_time(synthetic.valid_to, "valid_to")) is not None:
        found.append(broken)
    if not synthetic.components:
        found.append(FieldViolation("components", "", "required", "a synthetic has at least one component"))
    found += formula_violations(synthetic.formula, synthetic.components)
    for at, component in enumerate(synthetic.components):
        if component.WhichOneof("target") == "synthetic" and component.synthetic == synthetic.name:
            rule = "a synthetic cannot be a component of itself"
            found.append(FieldViolation(f"components[{at}].synthetic", synthetic.name, "component-cycle", rule))
    return [violation.under(prefix) for violation in found]


def formula_violations(text: str, components: Sequence[wire.Component]) -> list[FieldViolation]:
    """What is wrong with components and a formula over them; the formula's field is `formula`."""
    found: list[FieldViolation] = []
    if len(components) > formula.MAX_VARIABLES:
        rule = f"at most {formula.MAX_VARIABLES} components, got {len(components)}"
        found.append(FieldViolation("components", str(len(components)), "too-many", rule))
        components = components[: formula.MAX_VARIABLES]
    for at, component in enumerate(components):
        found += [violation.under(f"components[{at}]") for violation in _component(component)]
    names = [component.variable for component in components]
    for at, name in enumerate(names):
        if name in names[:at]:
            rule = f"another component is called {name}"
            found.append(FieldViolation(f"components[{at}].variable", name, "variable-twice", rule))
    found += formula.violations(text, list(dict.fromkeys(names)))
    return found


def require_name(name: str, field: str = "name") -> None:
    """InvalidArgument for what cannot be a name."""
    if NAME.fullmatch(name) is None:
        raise InvalidArgument.field(field, name, "synthetic-name", NAME_RULE)


def _component(component: wire.Component) -> list[FieldViolation]:
    found: list[FieldViolation] = []
    if _VARIABLE.fullmatch(component.variable) is None or component.variable in formula.FUNCTIONS:
        rule = "a letter, then letters, digits and _; at most 32 characters, and no function's name"
        found.append(FieldViolation("variable", component.variable, "variable-name", rule))
    match component.WhichOneof("target"):
        case "listing_id":
            found += _id(ListingId, component.listing_id, "listing_id")
        case "instrument_id":
            found += _id(InstrumentId, component.instrument_id, "instrument_id")
        case "synthetic" if NAME.fullmatch(component.synthetic) is None:
            found.append(FieldViolation("synthetic", component.synthetic, "synthetic-name", NAME_RULE))
        case None:
            found.append(FieldViolation("target", "", "required", "a listing, an instrument or a synthetic"))
    if component.price_field not in wire.PriceField.values():
        number = str(component.price_field)
        found.append(FieldViolation("price_field", number, "enum-unknown", "no value this registry knows"))
    return found + unit_violations(component.unit)


def unit_violations(text: str) -> list[FieldViolation]:
    """What is wrong with a unit; empty is none."""
    if len(text) > UNIT_LENGTH:
        return _text("unit", text, UNIT_LENGTH)
    try:
        if text:
            Unit.parse(text)
    except ValueError:
        return [FieldViolation("unit", text, "unit-format", UNIT_RULE)]
    return []


def _id(kind: type[InstrumentId] | type[ListingId], text: str, field: str) -> tuple[FieldViolation, ...]:
    try:
        kind.parse(text, field)
    except InvalidArgument as error:
        return error.violations
    return ()


def _text(field: str, value: str, limit: int) -> list[FieldViolation]:
    if len(value) > limit:
        return [FieldViolation(field, value, "text-length", f"at most {limit} characters, got {len(value)}")]
    if any(unicodedata.category(char) == "Cc" and char not in "\n\t" for char in value):
        return [FieldViolation(field, value, "text-characters", "control characters are not text")]
    if (hidden := broken_sight(value)) is not None:
        return [FieldViolation(field, value, "text-invisible", hidden)]
    return []


def _bounds(synthetic: wire.Synthetic) -> list[FieldViolation]:
    found: list[FieldViolation] = []
    given = {
        "min_value": synthetic.min_value if synthetic.HasField("min_value") else None,
        "max_value": synthetic.max_value if synthetic.HasField("max_value") else None,
        "outlier_sigma": synthetic.outlier_sigma if synthetic.HasField("outlier_sigma") else None,
    }
    for field, value in given.items():
        if value is not None and not math.isfinite(value):
            found.append(FieldViolation(field, str(value), "finite", "it has to be a finite number"))
    low, high, sigma = given["min_value"], given["max_value"], given["outlier_sigma"]
    if low is not None and high is not None and low > high:
        found.append(FieldViolation("max_value", str(high), "range-order", "it must not be below min_value"))
    if sigma is not None and sigma <= 0:
        found.append(FieldViolation("outlier_sigma", str(sigma), "positive", "it has to be above zero"))
    return found
