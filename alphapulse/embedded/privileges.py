"""How root runs a program that refuses root, as Postgres does, without creating a user."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from alphapulse.embedded.errors import StoreStartError

_PREFERRED_USERS = ("postgres", "nobody")


@dataclass(frozen=True, slots=True)
class Privileges:
    """How to run the program: words before its command, and the owner its files must have if not this user."""

    prefix: tuple[str, ...] = ()
    owner: tuple[int, int] | None = None

    def give(self, *paths: Path) -> None:
        """Let the program own these files."""
        if self.owner is not None:
            for path in paths:
                os.chown(path, *self.owner)


def privileges_for(data: Path) -> Privileges:
    """How to run Postgres on the folder `data`, which need not exist. Raises StoreStartError when it cannot be done.

    An ordinary user: as is. Root: in a user namespace where root's files belong to an ordinary user, which changes
    nothing on disk and keeps the pid; where the system refuses that (a container without the right to it), or where the
    data belongs to another user already, as that user.
    """
    if os.geteuid() != 0:
        return Privileges()
    owner = data.stat().st_uid if data.exists() else 0
    user = _user_with_id(owner) if owner != 0 else _any_ordinary_user()
    if owner == 0:
        # initdb looks its user up, so the number must be one that this system knows.
        namespace = ("unshare", "--user", f"--map-user={user.pw_uid}", f"--map-group={user.pw_gid}")
        if _works(namespace):
            return Privileges(namespace)
    other = ("setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups")
    if not _works(other) or (owner == 0 and data.exists()):
        raise StoreStartError(
            "Postgres refuses to run as root, and this system gives root no user namespace (`unshare --user`): "
            "run as an ordinary user, or set DATABASE_URL to a server of yours"
        )
    return Privileges(other, (user.pw_uid, user.pw_gid))


def check_access(privileges: Privileges, *, program: Path, folder: Path) -> None:
    """Raise StoreStartError when that user cannot reach the program or the folder."""
    if privileges.owner is None:
        return
    for test, path in (("-x", program), ("-x", folder)):
        if not _works((*privileges.prefix, "test", test, str(path)), command=()):
            name = _user_with_id(privileges.owner[0]).pw_name
            raise StoreStartError(
                f"Postgres refuses to run as root, and the user {name} cannot reach {path}: use a folder that others "
                "may enter, run as an ordinary user, or set DATABASE_URL to a server of yours"
            )


def _works(prefix: Sequence[str], command: Sequence[str] = ("true",)) -> bool:
    if shutil.which(prefix[0]) is None:
        return False
    tried = subprocess.run([*prefix, *command], capture_output=True, check=False, timeout=30)  # noqa: S603
    return tried.returncode == 0


def _any_ordinary_user() -> pwd.struct_passwd:
    users = {user.pw_name: user for user in pwd.getpwall() if user.pw_uid != 0}
    for name in _PREFERRED_USERS:
        if name in users:
            return users[name]
    if not users:
        raise StoreStartError("Postgres refuses to run as root, and this system knows no other user: set DATABASE_URL")
    return next(iter(users.values()))


def _user_with_id(uid: int) -> pwd.struct_passwd:
    try:
        return pwd.getpwuid(uid)
    except KeyError:
        raise StoreStartError(
            f"the data belongs to the user number {uid}, whom this system does not know: use another data folder"
        ) from None
