"""A synthetic made from a template: its parameters put into the formula, its components held to what the template is about."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from alphapulse.domain.errors import FailedPrecondition, FieldViolation, InvalidArgument, NotFound
from alphapulse.domain.formula import MAX_VARIABLES
from registry_service.synthetic.components import Facts, FactsById
from registry_service.synthetic.convert import service, stamp, wire
from registry_service.synthetic.meaning import fact_of
from registry_service.synthetic.templates import TEMPLATES, Parameter, Template

_HOLDS: Final = timedelta(days=1)
"""How long a formula with a time to expiry in it is taken for right."""
_DAY: Final = timedelta(days=1)
_PLACE: Final = re.compile(r"\{([a-z0-9_]+)\}")


def listed() -> list[service.SyntheticTemplate]:
    """The templates, by name."""
    return [
        service.SyntheticTemplate(
            name=one.name,
            description=one.description,
            formula=one.formula,
            variables=one.variables,
            unit=one.unit,
            parameters=[_parameter(parameter) for parameter in one.parameters],
            weighted=one.weighted,
            refusal=one.refusal,
        )
        for one in TEMPLATES.values()
    ]


def template_of(name: str) -> Template:
    """Raises NotFound; FailedPrecondition for one of which no synthetic can be made."""
    template = TEMPLATES.get(name)
    if template is None:
        raise NotFound(f"there is no template {name!r}; there are {', '.join(TEMPLATES)}", metadata={"template": name})
    if template.refusal:
        raise FailedPrecondition(f"no synthetic can be made of {name}: {template.refusal}")
    return template


def plan(template: Template, request: service.PlanSyntheticRequest, facts: FactsById, at: datetime) -> wire.Synthetic:
    """The synthetic, as it can be registered. `facts` of the components, as far as known. Raises InvalidArgument with all violations."""
    components = {component.variable: component for component in request.components}
    known = {name: fact_of(component, facts) for name, component in components.items()}
    found = _wrong_components(template, request) + _wrong_terms(template, request, known)
    given = _given(template, request, known, at, found)
    weights = _weights(template, request, found)
    if found:
        raise InvalidArgument.of(found)
    numbers = {name: _number(value) for name, value in _with_derived(template, given).items()}
    numbers["sum"] = _sum(weights)
    synthetic = wire.Synthetic(
        name=request.name,
        description=template.description,
        formula=_PLACE.sub(lambda place: numbers[place[1]], template.formula),
        unit=template.unit,
        source=f"template {template.name}",
    )
    for component in request.components:
        synthetic.components.append(_component(template, component))
    if template.least is not None:
        synthetic.min_value = template.least
    if template.most is not None:
        synthetic.max_value = template.most
    if any(parameter.name == "days" for parameter in template.parameters):
        synthetic.valid_to.CopyFrom(stamp(at + min(_HOLDS, timedelta(days=given["days"]))))
    return synthetic


def _component(template: Template, component: wire.Component) -> wire.Component:
    copy = wire.Component()
    copy.CopyFrom(component)
    if component.variable in template.plain and not component.unit:
        copy.unit = "1"
    if template.last and component.price_field == wire.PRICE_FIELD_UNSPECIFIED:
        copy.price_field = wire.PRICE_FIELD_LAST
    return copy


def _wrong_components(template: Template, request: service.PlanSyntheticRequest) -> list[FieldViolation]:
    """Every variable has one component, and only a weighted template takes others."""
    found: list[FieldViolation] = []
    names = [component.variable for component in request.components]
    for name, meaning in template.variables.items():
        if name not in names:
            found.append(
                FieldViolation("components", name, "required", f"{template.name} needs a component {name}: {meaning}")
            )
    for at, name in enumerate(names):
        if name in names[:at]:
            found.append(FieldViolation(f"components[{at}].variable", name, "variable-twice", "it is given twice"))
        elif name not in template.variables and not template.weighted:
            known = ", ".join(template.variables)
            rule = f"{template.name} has no component of that name; it has {known}"
            found.append(FieldViolation(f"components[{at}].variable", name, "variable-unknown", rule))
    if template.weighted and not set(names) - set(template.variables):
        found.append(FieldViolation("components", "", "required", "at least one component to be weighted"))
    if len(names) > MAX_VARIABLES:
        rule = f"at most {MAX_VARIABLES} components, got {len(names)}"
        found.append(FieldViolation("components", str(len(names)), "too-many", rule))
    return found


def _wrong_terms(
    template: Template, request: service.PlanSyntheticRequest, known: Mapping[str, Facts | None]
) -> list[FieldViolation]:
    """Components that are not what the template is about, where the instrument registry can tell."""
    found: list[FieldViolation] = []
    places = {component.variable: f"components[{at}]" for at, component in enumerate(request.components)}
    for name, allowed in template.classes.items():
        fact = known.get(name)
        if fact is not None and fact.asset_class not in allowed:
            wanted = " or ".join(sorted(one.name for one in allowed))
            rule = f"it is {fact.asset_class.name}, expected {wanted}"
            found.append(FieldViolation(places[name], name, "component-class", rule))
    matched = [(name, fact) for name in template.matched if (fact := known.get(name)) is not None]
    if len({fact.underlying_id for _, fact in matched}) > 1:
        names = " and ".join(name for name, _ in matched)
        found.append(FieldViolation("components", names, "underlying", "they are not of one underlying"))
    if template.struck and len(matched) == 2:
        found += _wrong_options(places, *(fact for _, fact in matched))
    elif template.matched:
        found += _wrong_order(template, matched)
    return found


def _wrong_options(places: Mapping[str, str], call: Facts, put: Facts) -> list[FieldViolation]:
    found: list[FieldViolation] = []
    for name, fact, right in (("call", call, "CALL"), ("put", put, "PUT")):
        if fact.right and fact.right != right:
            found.append(FieldViolation(places[name], name, "option-right", f"it is a {fact.right}"))
        if fact.american:
            rule = "parity holds for European options; an American one can be exercised before"
            found.append(FieldViolation(places[name], name, "option-style", rule))
    if call.expiry != put.expiry:
        found.append(FieldViolation(places["put"], "put", "option-expiry", "call and put do not expire together"))
    if call.strike != put.strike:
        rule = f"the call's strike is {call.strike}, the put's {put.strike}"
        found.append(FieldViolation(places["put"], "put", "option-strike", rule))
    return found


def _wrong_order(template: Template, matched: list[tuple[str, Facts]]) -> list[FieldViolation]:
    """Expiries in the order near, middle, far."""
    expiries = {name: fact.expiry for name, fact in matched if fact.expiry is not None}
    ordered = [expiries[name] for name in ("near", "middle", "far") if name in expiries]
    if any(later <= earlier for earlier, later in itertools.pairwise(ordered)):
        shown = ", ".join(f"{name} {time:%Y-%m-%d}" for name, time in expiries.items())
        return [FieldViolation("components", shown, "expiry-order", "the far one has to expire after the near one")]
    return []


def _given(
    template: Template,
    request: service.PlanSyntheticRequest,
    known: Mapping[str, Facts | None],
    at: datetime,
    found: list[FieldViolation],
) -> dict[str, float]:
    """The parameters' values: as given, as the components say, or by default."""
    names = {parameter.name for parameter in template.parameters}
    for name in sorted(set(request.parameters) - names):
        rule = f"{template.name} has no such parameter; it has {', '.join(sorted(names)) or 'none'}"
        found.append(FieldViolation(f"parameters[{name}]", str(request.parameters[name]), "parameter-unknown", rule))
    values: dict[str, float] = {}
    for parameter in template.parameters:
        name, field = parameter.name, f"parameters[{parameter.name}]"
        value = request.parameters[name] if name in request.parameters else _from_terms(template, name, known, at)
        value = parameter.default if value is None else value
        if value is None:
            found.append(FieldViolation(field, "", "required", parameter.description))
        elif rule := _out_of_range(parameter, value):
            found.append(FieldViolation(field, str(value), "range", rule))
        else:
            values[name] = value
    return values


def _from_terms(template: Template, name: str, known: Mapping[str, Facts | None], at: datetime) -> float | None:
    expiring, struck = known.get(template.expiring), known.get(template.struck)
    if name == "days" and expiring is not None and expiring.expiry is not None:
        return (expiring.expiry - at) / _DAY
    if name == "strike" and struck is not None:
        return struck.strike
    return None


def _out_of_range(parameter: Parameter, value: float) -> str:
    low = parameter.least is not None and (value < parameter.least or (parameter.above and value <= parameter.least))
    high = parameter.most is not None and value > parameter.most
    if math.isfinite(value) and not low and not high:
        return ""
    bounds = []
    if parameter.least is not None:
        bounds.append(f"{'above' if parameter.above else 'at least'} {parameter.least:g}")
    if parameter.most is not None:
        bounds.append(f"at most {parameter.most:g}")
    return f"a finite number, {' and '.join(bounds)}" if bounds else "a finite number"


def _weights(
    template: Template, request: service.PlanSyntheticRequest, found: list[FieldViolation]
) -> dict[str, float]:
    """The weight of each further component, in order."""
    others = [one.variable for one in request.components if one.variable not in template.variables]
    for name in sorted(set(request.weights) - set(others)):
        rule = "no component to be weighted has that name"
        found.append(FieldViolation(f"weights[{name}]", str(request.weights[name]), "variable-unknown", rule))
    weights = {name: request.weights.get(name, 1.0) for name in others}
    for name, weight in weights.items():
        if not math.isfinite(weight) or weight == 0:
            rule = "a finite number other than 0"
            found.append(FieldViolation(f"weights[{name}]", str(weight), "range", rule))
    return weights if template.weighted else {}


def _with_derived(template: Template, given: Mapping[str, float]) -> dict[str, float]:
    values = {**given, **{name: compute(given) for name, compute in template.derived.items()}}
    odd = [name for name, value in values.items() if not math.isfinite(value)]
    if odd:
        raise InvalidArgument.field("parameters", ", ".join(odd), "range", "what follows from them is no finite number")
    return values


def _sum(weights: Mapping[str, float]) -> str:
    return "(" + " + ".join(f"{_number(weight)} * {name}" for name, weight in weights.items()) + ")"


def _number(value: float) -> str:
    """As a formula writes it, exactly."""
    text = str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    return f"({text})" if value < 0 else text


def _parameter(one: Parameter) -> service.TemplateParameter:
    return service.TemplateParameter(
        name=one.name, description=one.description, default_value=one.default, min_value=one.least, max_value=one.most
    )
