"""What can be wrong with a specification."""

from __future__ import annotations


class SpecificationError(ValueError):
    """A specification that cannot be a source: a mistake of whoever wrote it. Names the source, the field and the rule."""


def fault(where: str, value: object, rule: str) -> SpecificationError:
    """`where` is the field: `OKX.dialects[0].routes['trades'].price`."""
    return SpecificationError(f"{where}: {value!r}: {rule}")
