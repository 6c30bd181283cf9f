"""Whether a synthetic makes sense over what its components are: they exist, have a price, and their units agree."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Final

from alphapulse.domain import formula as grammar
from alphapulse.domain.asset_class import AssetClass
from alphapulse.domain.errors import FieldViolation, InvalidArgument
from alphapulse.domain.formula.dimensions import Dimensions, dimensions
from alphapulse.domain.formula.units import ONE, Unit
from alphapulse.domain.ids import InstrumentId
from registry_service.synthetic.components import Facts, FactsById
from registry_service.synthetic.convert import wire

_PRICELESS: Final = {
    AssetClass.CURRENCY: "a currency has no price of its own: name a pair",
    AssetClass.SYNTHETIC: "a synthetic is named by its name, in `synthetic`",
}


def asked_of(synthetics: Iterable[wire.Synthetic]) -> set[tuple[str, str]]:
    """What has to be known of the components, as FactsById names it."""
    listings, instruments = component_ids(synthetics)
    return {("listing_id", one) for one in listings} | {("instrument_id", one) for one in instruments}


def component_ids(synthetics: Iterable[wire.Synthetic]) -> tuple[set[str], set[str]]:
    """The well-formed ids of (listings, instruments) among the components."""
    found: dict[str, set[str]] = {"listing_id": set(), "instrument_id": set()}
    for synthetic in synthetics:
        for component in synthetic.components:
            target = component.WhichOneof("target")
            if target in found:
                found[target].add(getattr(component, target).lower())
    return {one for one in found["listing_id"] if _is_id(one)}, {one for one in found["instrument_id"] if _is_id(one)}


def component_violations(
    synthetic: wire.Synthetic, facts: FactsById | None, *, allow_unknown: bool = False
) -> list[FieldViolation]:
    """Components that do not exist, or have no price a formula can take. Fields are relative to the synthetic."""
    if facts is None:
        return []
    found: list[FieldViolation] = []
    for at, component in enumerate(synthetic.components):
        target = component.WhichOneof("target")
        if target not in ("listing_id", "instrument_id"):
            continue
        id_ = getattr(component, target).lower()
        field, fact = f"components[{at}].{target}", facts.get((target, id_))
        if fact is None and allow_unknown:
            continue
        if fact is None:
            what = target.removesuffix("_id")
            rule = f"no {what} with this id is registered with the instrument registry"
            found.append(FieldViolation(field, id_, "component-unknown", rule))
        elif fact.asset_class in _PRICELESS:
            found.append(FieldViolation(field, id_, "component-class", _PRICELESS[fact.asset_class]))
        elif len(fact.currencies) > 1:
            rule = f"its listings are priced in {' and '.join(fact.currencies)}: name the listing"
            found.append(FieldViolation(field, id_, "component-currency", rule))
        elif component.unit and not _agrees(component.unit, fact.readings):
            rule = f"its price is in {' or '.join(sorted(map(str, fact.readings or ())))}"
            found.append(FieldViolation(f"components[{at}].unit", component.unit, "component-unit", rule))
    return found


def nested_violations(synthetic: wire.Synthetic, nested: Mapping[str, wire.Synthetic]) -> list[FieldViolation]:
    """Components that are synthetics and whose stated unit is not theirs."""
    found: list[FieldViolation] = []
    for at, component in enumerate(synthetic.components):
        other = nested.get(component.synthetic) if component.WhichOneof("target") == "synthetic" else None
        unit = _unit(other.unit) if other is not None else None
        if component.unit and unit is not None and not _agrees(component.unit, (unit,)):
            rule = f"{component.synthetic} is in {unit}"
            found.append(FieldViolation(f"components[{at}].unit", component.unit, "component-unit", rule))
    return found


def checked(
    synthetic: wire.Synthetic, facts: FactsById | None, nested: Mapping[str, wire.Synthetic]
) -> Dimensions | None:
    """The units of a formula whose grammar is right; None where it is not. `nested` are the components that are synthetics, by name."""
    variables = list(dict.fromkeys(component.variable for component in synthetic.components))
    if grammar.violations(synthetic.formula, variables):
        return None
    root = grammar.parse(synthetic.formula, variables).root
    units = {one.variable: readings(one, facts, nested) for one in synthetic.components}
    declared = synthetic.unit if _unit(synthetic.unit) is not None else ""
    return dimensions(root, synthetic.formula, units, declared)


def readings(
    component: wire.Component, facts: FactsById | None, nested: Mapping[str, wire.Synthetic]
) -> Collection[Unit] | None:
    """The units a component's number can be read in; None where nothing says."""
    stated = _unit(component.unit) if component.unit else None
    if stated is not None:
        return (stated,)
    target = component.WhichOneof("target")
    if target == "synthetic":
        other = nested.get(component.synthetic)
        unit = _unit(other.unit) if other is not None and other.unit else None
        return None if unit is None else (unit,)
    fact = fact_of(component, facts or {})
    return None if fact is None else fact.readings


def fact_of(component: wire.Component, facts: FactsById) -> Facts | None:
    """What is known of a component that is a listing or an instrument."""
    target = component.WhichOneof("target")
    return facts.get((target, getattr(component, target).lower())) if target is not None else None


def _is_id(text: str) -> bool:
    try:
        InstrumentId.parse(text)
    except InvalidArgument:
        return False
    return True


def _agrees(stated: str, known: Collection[Unit] | None) -> bool:
    unit = _unit(stated)
    return unit is None or known is None or unit == ONE or unit in known


def _unit(text: str) -> Unit | None:
    """The unit; None for none and for what an earlier version took as one."""
    try:
        return Unit.parse(text) if text else None
    except ValueError:
        return None
