"""Regenerates `alphapulse/api` from `proto/`: messages, services and their type stubs. Run by `make proto`; with `--check` it only compares.

The proto path equals the Python import path, so no import is rewritten. Every folder gets an empty `__init__.py`.
"""

from __future__ import annotations

import argparse
import filecmp
import os
import shutil
import subprocess
import sys
import tempfile
from importlib import resources
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROTO = ROOT / "proto"
API = Path("alphapulse/api")
HEADER = '"""Generated from proto/ by `make proto`; nothing here is written by hand."""\n'


def generate(out: Path) -> None:
    """Writes the whole generated tree below `out`."""
    protos = sorted(str(p.relative_to(PROTO)) for p in PROTO.rglob("*.proto"))
    well_known = str(resources.files("grpc_tools") / "_proto")
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTO}", f"-I{well_known}"]
    command += [
        f"--python_out={out}",
        f"--grpc_python_out={out}",
        f"--mypy_out=quiet:{out}",
        f"--mypy_grpc_out=quiet:{out}",
        *protos,
    ]
    # protoc finds the mypy plug-ins of this interpreter's environment on PATH.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    subprocess.run(command, check=True, env={**os.environ, "PATH": path})
    for folder in {p.parent for p in (out / API).rglob("*.py")} | {
        out / API,
        *(p for p in (out / API).iterdir() if p.is_dir()),
    }:
        (folder / "__init__.py").write_text(HEADER)


def files(base: Path) -> set[Path]:
    return {p.relative_to(base) for p in base.rglob("*") if p.suffix in {".py", ".pyi"}}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare with what is committed, change nothing")
    check = parser.parse_args().check
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        fresh, committed = Path(folder) / API, ROOT / API
        if not check:
            shutil.rmtree(committed, ignore_errors=True)
            shutil.copytree(fresh, committed)
            return 0
        stale = sorted(str(p) for p in files(fresh) ^ files(committed))
        stale += [
            str(p)
            for p in sorted(files(fresh) & files(committed))
            if not filecmp.cmp(fresh / p, committed / p, shallow=False)
        ]
    for name in stale:
        print(f"alphapulse/api/{name} is not what proto/ generates: run `make proto`", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    raise SystemExit(main())
