"""Sources of the user's own, as the commands find and install them."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Final

from alphapulse.domain.errors import AlphaPulseError, FailedPrecondition, InvalidArgument, NotFound
from alphapulse_cli.exits import ServiceError
from collector_service.own import BUILT_IN, Known, read_folder, read_source, require_free
from collector_service.skeleton import checked_name, skeleton
from collector_service.source import Source

VARIABLE: Final = "SOURCES_PATH"
CATALOGUE: Final = "the catalogue of sources"


def known_here() -> Known:
    """The sources there are with this environment: those that are built in, and those of SOURCES_PATH. Raises ServiceError."""
    folder = os.environ.get(VARIABLE, "").strip()
    try:
        return read_folder(Path(folder)) if folder else BUILT_IN
    except AlphaPulseError as error:
        raise ServiceError(FailedPrecondition(f"{VARIABLE}: {error.message}"), CATALOGUE) from error


def source_here(name: str) -> Source:
    """The source of a name. Raises ServiceError."""
    try:
        return known_here().named(name)
    except NotFound as error:
        raise ServiceError(error, CATALOGUE) from error


def checked_file(name: str, file: Path, folder: Path, *, replaces: bool) -> Source:
    """The source that a file describes, which may be installed in the folder under this name. Raises InvalidArgument, FailedPrecondition."""
    source = read_source(file)
    if source.name != checked_name(name):
        raise InvalidArgument.field("name", name, "source-named", f"the file describes {source.name}")
    require_free(source, _others(source.name, folder, replaces=replaces))
    return source


def install(name: str, text: bytes, folder: Path, *, replaces: bool) -> Path:
    """Puts the text into the folder as the file of a source, whole or not at all. Raises FailedPrecondition where there is one already."""
    target = folder / f"{checked_name(name).lower()}.py"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Hidden, so that nobody takes half a file for a source.
        handle, made = tempfile.mkstemp(prefix=".", suffix=".new", dir=folder)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(text)
                os.fchmod(file.fileno(), 0o644)
            if replaces:
                os.replace(made, target)
            else:
                os.link(made, target)
        finally:
            Path(made).unlink(missing_ok=True)
    except FileExistsError as error:
        raise FailedPrecondition(f"{target} is there already", hint="--replace writes it anew") from error
    except OSError as error:
        raise FailedPrecondition(f"{folder} cannot be written to: {error.strerror}") from error
    return target


def begin(name: str, folder: Path, *, replaces: bool) -> Path:
    """Writes a source to start from. Raises InvalidArgument, FailedPrecondition."""
    text = skeleton(name).encode()
    with tempfile.TemporaryDirectory() as made:
        draft = Path(made) / f"{name.lower()}.py"
        draft.write_bytes(text)
        checked_file(name, draft, folder, replaces=replaces)
    return install(name, text, folder, replaces=replaces)


def _others(name: str, folder: Path, *, replaces: bool) -> Known:
    """The sources whose names are taken; not the one that is replaced."""
    known = read_folder(folder) if folder.is_dir() else BUILT_IN
    if not replaces or name not in known.files:
        return known
    rest = {other: source for other, source in known.sources.items() if other != name}
    return Known(rest, known.files, known.broken)
