"""A formula and its components checked, and nothing written."""

from __future__ import annotations

from collections.abc import Mapping

from alphapulse.domain import formula as grammar
from alphapulse.domain.errors import FieldViolation
from alphapulse.domain.formula.dimensions import Dimensions, dimensions
from alphapulse.domain.formula.units import ONE
from registry_service.calls import violation_message
from registry_service.storage.model import EntityKind, Store
from registry_service.synthetic.components import ComponentDirectory
from registry_service.synthetic.convert import service, wire
from registry_service.synthetic.meaning import checked, component_ids, component_violations, nested_violations
from registry_service.synthetic.rules import formula_violations, unit_violations


async def validate(
    request: service.ValidateFormulaRequest, store: Store, directory: ComponentDirectory
) -> service.ValidateFormulaResponse:
    """Every violation, and what the formula is where its grammar holds."""
    found = unit_violations(request.unit)
    units: Dimensions | None = None
    if request.components:
        found += formula_violations(request.formula, request.components)
        draft = wire.Synthetic(formula=request.formula, components=request.components, unit=request.unit)
        nested = await _nested(draft, store)
        found += _unknown(draft, nested)
        if not found:
            facts = await directory.facts(*component_ids([draft]))
            found += component_violations(draft, facts) + nested_violations(draft, nested)
            units = checked(draft, facts, nested)
    else:
        found += grammar.violations(request.formula)
        if not found:
            units = dimensions(grammar.parse(request.formula).root, request.formula, {}, request.unit)
    if units is not None:
        found += units.violations
    response = service.ValidateFormulaResponse(
        valid=not found, violations=[violation_message(violation) for violation in found]
    )
    if units is not None:
        response.units.extend("1" if shown == str(ONE) else shown for shown in units.shown)
    if not grammar.violations(request.formula):
        parsed = grammar.parse(request.formula)
        response.variables.extend(parsed.variables)
        response.canonical = parsed.canonical
    return response


async def _nested(draft: wire.Synthetic, store: Store) -> Mapping[str, wire.Synthetic]:
    """The components that are synthetics, by name."""
    names = sorted({one.synthetic for one in draft.components if one.WhichOneof("target") == "synthetic"})
    held = await store.get(EntityKind.SYNTHETIC, names) if names else {}
    return {name: wire.Synthetic.FromString(entity.body) for name, entity in held.items()}


def _unknown(draft: wire.Synthetic, nested: Mapping[str, wire.Synthetic]) -> list[FieldViolation]:
    """Components that are synthetics nobody registered."""
    return [
        FieldViolation(
            f"components[{at}].synthetic", one.synthetic, "component-unknown", f"there is no synthetic {one.synthetic}"
        )
        for at, one in enumerate(draft.components)
        if one.WhichOneof("target") == "synthetic" and one.synthetic not in nested
    ]
