"""One Postgres server run from a folder, as any user and as root."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import ClassVar

import psutil

from alphapulse.embedded.binaries import PostgresPrograms, postgres_programs
from alphapulse.embedded.errors import DataFolderError, StoreStartError
from alphapulse.embedded.launch import run
from alphapulse.embedded.privileges import Privileges, check_access, privileges_for
from alphapulse.embedded.processes import HOST, send, store_process, store_processes, wait_gone
from alphapulse.embedded.store import LocalStore

USER = "alphapulse"
DATABASE = "alphapulse"

_BUILTIN_LOCALE_SINCE = 17
_HALF_MADE = "data.new-"

# Appended to postgresql.conf, where the owner of the folder may change them.
_SETTINGS = """
# AlphaPulse: small, local, durable.
max_connections = 200
shared_buffers = 128MB
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] '
"""
# For data that need not survive a power failure.
_FAST_SETTINGS = """
fsync = off
synchronous_commit = off
full_page_writes = off
"""


class PostgresStore(LocalStore):
    """Postgres with one database, `alphapulse`, owned by the superuser `alphapulse`."""

    name = "postgres"
    title: ClassVar[str] = "Postgres"
    process_names: ClassVar[tuple[str, ...]] = ("postgres", "postmaster")
    # SIGINT is Postgres' fast shutdown: it ends the sessions and writes a checkpoint. SIGTERM would wait for clients.
    stop_signal: ClassVar[signal.Signals] = signal.SIGINT
    force_signals: ClassVar[tuple[signal.Signals, ...]] = (signal.SIGQUIT, signal.SIGKILL)

    _programs: PostgresPrograms | None = None
    _privileges = Privileges()

    @property
    def url(self) -> str:
        """`postgresql://alphapulse:PASSWORD@127.0.0.1:PORT/alphapulse`."""
        return f"postgresql://{USER}:{self._password()}@{HOST}:{self.port}/{DATABASE}"

    def _find(self) -> tuple[psutil.Process, int] | None:
        lines = self._pid_file_lines()
        if len(lines) < 4 or not lines[0].isdigit() or not lines[3].isdigit():
            return None
        process = store_process(int(lines[0]), self.process_names, self.data)
        return None if process is None else (process, int(lines[3]))

    def _is_ready(self, process: psutil.Process, port: int) -> bool:
        # The last line of its pid file is how pg_ctl knows, too.
        lines = self._pid_file_lines()
        return len(lines) > 7 and lines[0] == str(process.pid) and lines[7] == "ready"

    def _prepare(self) -> None:
        programs = self._programs = self._programs or postgres_programs()
        for leftover in self.folder.glob(f"{_HALF_MADE}*"):
            shutil.rmtree(leftover, ignore_errors=True)
        version = self.data / "PG_VERSION"
        if not version.exists():
            self._set_broken_data_aside()
        self._privileges = privileges_for(self.data)
        check_access(self._privileges, program=programs.postgres, folder=self.folder)
        if not version.exists():
            self._create(programs)
        found = version.read_text("ascii").strip()
        if found != str(programs.major):
            raise DataFolderError(
                f"the data in {self.data} was made by Postgres {found}, the program {programs.postgres} is version "
                f"{programs.major}: use that version, or name another data folder"
            )
        self._end_orphans()
        self._remove_stale_pid_file()

    def _command(self, port: int) -> list[str]:
        assert self._programs is not None
        options = {"listen_addresses": HOST, "port": port, "unix_socket_directories": "", "logging_collector": "off"}
        flags = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        return [*self._privileges.prefix, str(self._programs.postgres), "-D", str(self.data), *flags]

    def _create(self, programs: PostgresPrograms) -> None:
        """Make the data folder beside its place and move it there at once: a crash leaves no half of it."""
        self._progress("creating the database ...")
        half_made = Path(tempfile.mkdtemp(prefix=_HALF_MADE, dir=self.folder))
        try:
            self._fill(programs, half_made)
            half_made.rename(self.data)
        except BaseException:
            shutil.rmtree(half_made, ignore_errors=True)
            raise
        _sync_folder(self.folder)

    def _fill(self, programs: PostgresPrograms, data: Path) -> None:
        self._password()
        password = self.folder / "password"
        self._privileges.give(data, password)
        locale = ["--locale=C"]
        if programs.major >= _BUILTIN_LOCALE_SINCE:
            locale += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        durable = [] if self._options.durable else ["--no-sync"]
        initdb = [str(programs.initdb), "-D", str(data), "-U", USER, "--encoding=UTF8", *locale, *durable]
        self._run_step([*initdb, "--auth=scram-sha-256", f"--pwfile={password}", "--no-instructions"])
        with (data / "postgresql.conf").open("a", encoding="utf-8") as conf:
            conf.write(_SETTINGS + ("" if self._options.durable else _FAST_SETTINGS))
        self._create_database(programs, data)

    def _create_database(self, programs: PostgresPrograms, data: Path) -> None:
        command = [*self._privileges.prefix, str(programs.postgres), "--single", "-D", str(data), "template1"]
        done = subprocess.run(  # noqa: S603
            command, input=f"CREATE DATABASE {DATABASE}\n", capture_output=True, text=True, check=False, timeout=300
        )
        if done.returncode != 0 or "ERROR" in done.stderr:
            raise StoreStartError(f"{self.title}: cannot create the database {DATABASE}:\n{done.stderr.strip()}")

    def _run_step(self, command: list[str]) -> None:
        start = self.log_path.stat().st_size if self.log_path.exists() else 0
        code = run([*self._privileges.prefix, *command], log=self.log_path)
        if code != 0:
            raise StoreStartError(f"{Path(command[0]).name} failed with code {code}:\n{self._log_tail(start)}")

    def _set_broken_data_aside(self) -> None:
        """A folder without PG_VERSION is no database, but may hold something of the user's: keep it."""
        if not self.data.exists():
            return
        if not any(self.data.iterdir()):
            self.data.rmdir()
            return
        aside = self.folder / f"data.broken-{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}"
        self.data.rename(aside)
        self._progress(f"{self.data} is no complete database: moved to {aside.name}, starting with an empty one")

    def _end_orphans(self) -> None:
        """End what outlived a killed server: its sessions go on with the shared memory and block the next start."""
        orphans = store_processes(self.process_names, self.data)
        for orphan in orphans:
            send(orphan, signal.SIGQUIT)
        for orphan in orphans:
            if not wait_gone(orphan, 5.0):
                send(orphan, signal.SIGKILL)
                wait_gone(orphan, 5.0)

    def _remove_stale_pid_file(self) -> None:
        """Remove a pid file that is damaged, or whose pid now belongs to another program.

        Postgres takes any living process of that pid for a server. The file of a dead process is left to Postgres,
        which checks the shared memory it names as well. Safe: the lock is held, no process of this folder is left.
        """
        lines = self._pid_file_lines()
        dead = bool(lines) and lines[0].isdigit() and not psutil.pid_exists(int(lines[0]))
        if lines and not dead and not store_processes(self.process_names, self.data):
            (self.data / "postmaster.pid").unlink(missing_ok=True)

    def _pid_file_lines(self) -> list[str]:
        try:
            text = (self.data / "postmaster.pid").read_text("utf-8", "replace")
        except OSError:
            return []
        return [line.strip() for line in text.splitlines()]


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
