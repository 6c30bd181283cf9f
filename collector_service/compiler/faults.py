"""What can be wrong with a specification."""

from __future__ import annotations

from alphapulse.domain.errors import ConfigurationError


class SpecificationError(ConfigurationError):
    """A specification that cannot be a source. Names the source, the field and the rule."""

    reason = "SPECIFICATION_INVALID"


def fault(where: str, value: object, rule: str) -> SpecificationError:
    """`where` is the field: `OKX.dialects[0].routes['trades'].price`."""
    return SpecificationError(f"{where}: {value!r}: {rule}")
