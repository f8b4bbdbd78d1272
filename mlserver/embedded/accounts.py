"""The system user that Postgres runs as: Postgres refuses to run as root."""

import os
import pwd
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mlserver.embedded.layout import EngineError
from mlserver.embedded.processes import PROGRAM_ENVIRONMENT

_SERVICE_USER = "pgserver"


@dataclass(frozen=True)
class Account:
    """Name the user and group that programs are run as."""

    uid: int
    gid: int

    @property
    def is_own(self) -> bool:
        """Say whether this is the user the process runs as already."""
        return self.uid == os.geteuid()

    def run(self, command: Sequence[str | Path], seconds: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a program as this user to its end and return what it wrote."""
        return subprocess.run(
            command,
            user=None if self.is_own else self.uid,
            group=None if self.is_own else self.gid,
            extra_groups=None if self.is_own else [],
            cwd="/",
            env=PROGRAM_ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
        )

    def succeeds(self, *command: str | Path) -> bool:
        """Say whether this user can run the program, and to a good end."""
        try:
            return self.run(command).returncode == 0
        except OSError:
            return False

    def can_write(self, folder: Path) -> bool:
        """Try whether this user gets to the folder and may write in it."""
        return self.succeeds("/bin/sh", "-c", 'cd "$0" && test -w .', folder)


def account_for(data_dir: Path) -> Account:
    """Return who runs Postgres on that data: this user, or a user without rights in root's place."""
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid())
    if data_dir.exists() and (found := data_dir.stat()).st_uid != 0:
        # Whoever made the data goes on owning it, so that root may start what a user made.
        return Account(found.st_uid, found.st_gid)
    return _service_account()


def _service_account() -> Account:
    try:
        entry = pwd.getpwnam(_SERVICE_USER)
    except KeyError:
        _create_service_user()
        entry = pwd.getpwnam(_SERVICE_USER)
    return Account(entry.pw_uid, entry.pw_gid)


def _create_service_user() -> None:
    # Root's PATH lacks the folder where `su` was used to become root.
    useradd = shutil.which("useradd") or "/usr/sbin/useradd"
    command = [useradd, "--system", "--no-create-home", "--shell", "/bin/false", _SERVICE_USER]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        problem = done.stderr.strip()
    except OSError as exc:
        problem = str(exc)
    # Another keeper may have been first, so what counts is that the user is there.
    try:
        pwd.getpwnam(_SERVICE_USER)
    except KeyError:
        raise EngineError(
            f"Postgres does not run as root, and the user it would run as cannot be made ({problem}). "
            f"Make a system user named {_SERVICE_USER}, run as another user than root, "
            "or set DATABASE_URL."
        ) from None
