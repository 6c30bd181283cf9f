"""Sources of the user's own: a folder of Python files, each of which describes one source, beside those that are built in.

A file is run when the folder is read. One that is broken costs no other: what is wrong with it is told wherever sources are listed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Final

from alphapulse.domain.errors import FailedPrecondition, NotFound
from collector_service.compiler import SpecificationError, compile_source
from collector_service.source import Source
from collector_service.sources import SOURCES, named_in
from collector_service.spec import SourceSpec

MODULES: Final = "alphapulse_own_source_"
"""How the names of these modules begin."""
_CHOSEN: Final = "SPEC"


@dataclass(frozen=True, slots=True)
class Known:
    """The sources there are for one collector."""

    sources: Mapping[str, Source]
    """By name."""
    files: Mapping[str, Path]
    """Of those that are the user's own, by name."""
    broken: Mapping[str, str]
    """Files that are no source, and why, by file name."""

    def named(self, name: str) -> Source:
        """The source of a name, in any spelling. Raises NotFound, which lists the names there are and the files that are broken."""
        try:
            return named_in(self.sources, name)
        except NotFound as error:
            if not self.broken:
                raise
            told = "; ".join(f"{file} is broken: {why}" for file, why in self.broken.items())
            raise NotFound(f"{error.message}; {told}") from error


BUILT_IN: Final = Known(SOURCES, {}, {})


@cache
def known_sources(folder: Path | None) -> Known:
    """Those of a folder and those that are built in, read once a process."""
    return BUILT_IN if folder is None else read_folder(folder)


def read_folder(folder: Path) -> Known:
    """The sources of a folder's files (`*.py`; those that begin with an underscore are none), with those that are built in. Raises FailedPrecondition
    where there is no folder."""
    if not folder.is_dir():
        raise FailedPrecondition(f"{folder} is no folder")
    found: dict[str, Source] = {}
    files: dict[str, Path] = {}
    broken: dict[str, str] = {}
    for path in sorted(folder.glob("[!_.]*.py")):
        try:
            source = read_source(path)
            require_free(source, Known({**SOURCES, **found}, files, {}))
        except FailedPrecondition as error:
            broken[path.name] = error.message.removeprefix(f"{path.name}: ")
            continue
        found[source.name], files[source.name] = source, path
    return Known(MappingProxyType({**SOURCES, **found}), files, broken)


def read_source(path: Path) -> Source:
    """The source that a file describes: its one SourceSpec, or the one it calls SPEC. Raises FailedPrecondition, which names the file, and the source
    and the field where one of them is wrong."""
    name = f"{MODULES}{os.path.realpath(path)}"
    module = ModuleType(name)
    module.__file__ = str(path)
    before = sys.modules.get(name)
    # Before it runs: a dataclass in it asks for its module.
    sys.modules[name] = module
    try:
        exec(compile(path.read_bytes(), str(path), "exec"), module.__dict__)  # noqa: S102 - the user's own file is what is asked for
        return compile_source(_described(module))
    except (Exception, SystemExit) as error:
        if before is not None:
            sys.modules[name] = before
        else:
            del sys.modules[name]
        raise FailedPrecondition(f"{path.name}: {_told(error, path)}") from error


def require_free(source: Source, known: Known) -> None:
    """Raises FailedPrecondition where another source has this name, or one of these aliases."""
    aliases = source.spec.aliases if source.spec is not None else ()
    for name in (source.name, *aliases):
        try:
            other = named_in(known.sources, name)
        except NotFound:
            continue
        place = known.files.get(other.name)
        raise FailedPrecondition(
            f"{name} is taken: {other.name} {'is built in' if place is None else f'stands in {place.name}'}",
            hint="give the source another name",
        )


def _described(module: ModuleType) -> SourceSpec:
    told = {name: value for name, value in vars(module).items() if isinstance(value, SourceSpec)}
    if _CHOSEN in told:
        return told[_CHOSEN]
    if len({id(spec) for spec in told.values()}) != 1:
        raise ValueError(
            f"{', '.join(told) or 'nothing'} in it is a SourceSpec: there has to be one, or one called {_CHOSEN}"
        )
    return next(iter(told.values()))


def _told(error: BaseException, path: Path) -> str:
    """What is wrong, with the line of the file where it went wrong."""
    if isinstance(error, SpecificationError):
        return str(error)
    line, trace = 0, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            line = trace.tb_lineno
        trace = trace.tb_next
    if isinstance(error, SyntaxError):
        line = error.lineno or 0
        return f"line {line}: SyntaxError: {error.msg}"
    return f"{f'line {line}: ' if line else ''}{type(error).__name__}: {error}"
