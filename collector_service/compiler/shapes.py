"""Types for msgspec that hold what a record reads, and how code gets at it. Everything else of a message is skipped without being made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from collector_service.compiler.faults import fault
from collector_service.compiler.paths import Path, Step


class Shape:
    """A part of a message. `require` paths in it, then `build` it once; `reach` gives the code to a path."""

    def __init__(self, where: str, leaf: Any = Any) -> None:
        self._where = where
        self._leaf_type = leaf
        self._parts: dict[Step, Shape] = {}
        self._item: Shape | None = None
        self._named = False
        self._is_leaf = False
        self._optional = True

    @property
    def parts(self) -> Mapping[Step, Shape]:
        """Its fields or places."""
        return self._parts

    @property
    def item(self) -> Shape | None:
        """What it is a list of, or an object of, where it `has_names`."""
        return self._item

    @property
    def has_names(self) -> bool:
        """Its items are the values of an object."""
        return self._named

    @property
    def optional(self) -> bool:
        """It may be absent, or null."""
        return self._optional

    def require(self, path: Path) -> Shape:
        """The part at a path, which will be there in the type."""
        here = self
        for step in path.steps:
            here._optional = here._optional and path.optional
            here = here._part(step)
        here._optional = here._optional and path.optional
        return here

    def leaf(self, path: Path) -> None:
        """A value at a path."""
        found = self.require(path)
        if found._parts or found._item:
            raise fault(self._where, path.steps, "one record reads it as a value and another as something with parts")
        found._is_leaf = True

    def items(self, path: Path, *, named: bool = False) -> Shape:
        """What the list at a path is made of, or the object, where its values are `named`."""
        found = self.require(path)
        if found._parts or found._is_leaf or (found._item is not None and found._named != named):
            raise fault(self._where, path.steps, "one record reads it as a list and another as something else")
        if found._item is None:
            found._item = Shape(self._where, self._leaf_type)
            found._item._optional = False
            found._named = named
        return found._item

    def _part(self, step: Step) -> Shape:
        if self._is_leaf or self._item or any(type(one) is not type(step) for one in self._parts):
            raise fault(self._where, step, "is a name, a place and a list at once")
        return self._parts.setdefault(step, Shape(self._where, self._leaf_type))

    def build(self, name: str = "Message") -> Any:
        """The type."""
        if self._item is not None:
            item = self._item.build(f"{name}Item")
            return dict[str, item] if self._named else list[item]  # type: ignore[valid-type]
        if not self._parts:
            return self._leaf_type
        return self._array(name) if any(isinstance(step, int) for step in self._parts) else self._object(name)

    def _object(self, name: str) -> Any:
        fields: list[Any] = []
        rename: dict[str, str] = {}
        for place, (step, part) in enumerate(self._parts.items()):
            rename[f"f{place}"] = str(step)
            fields.append(part._field(f"f{place}", f"{name}{place}"))
        fields.sort(key=len)  # those that have a default come last
        return msgspec.defstruct(name, fields, rename=rename, gc=False)

    def _array(self, name: str) -> Any:
        fields: list[Any] = []
        last = max(int(step) for step, part in self._parts.items())
        required = max((int(step) for step, part in self._parts.items() if not part._optional), default=-1)
        for place in range(last + 1):
            part = self._parts.get(place)
            if part is None:
                plain: Any = (f"f{place}", msgspec.Raw)
                fields.append(plain if place <= required else (*plain, msgspec.Raw(b"null")))
            else:
                made = part._field(f"f{place}", f"{name}{place}")
                fields.append(made[:2] if place <= required else made)
        return msgspec.defstruct(name, fields, array_like=True, gc=False)

    def _field(self, attribute: str, name: str) -> Any:
        made = self.build(name)
        if not self._optional:
            return attribute, made
        default = None if self._leaf_type is Any else msgspec.Raw(b"")
        if self._is_leaf or not (self._parts or self._item):
            return attribute, made, default
        return attribute, made | None, None

    def reach(self, path: Path, variable: str) -> str:
        """Code for the value at a path of a message in a variable; None where it is not there."""
        here, code, guards = self, variable, []
        for place, step in enumerate(path.steps):
            attribute = f"f{step}" if isinstance(step, int) else f"f{list(here._parts).index(step)}"
            code = f"{code}.{attribute}"
            here = here._parts[step]
            if here._optional and place < len(path.steps) - 1:
                guards.append(code)
        for guard in reversed(guards):
            code = f"(None if {guard} is None else {code})"
        return code
