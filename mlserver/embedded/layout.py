"""Where the engines of one var folder keep files, locks and sockets, and how these are read."""

import fcntl
import hashlib
import json
import os
import socket
import stat
import tempfile
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

POSTGRES = "postgres"
REDIS = "redis"
ENGINES = (POSTGRES, REDIS)

DATABASE = "mlserver"
POSTGRES_USER = "postgres"
POSTGRES_SOCKET = ".s.PGSQL.5432"

# The kernel takes 107 bytes on Linux and 103 on macOS.
_SOCKET_PATH_LIMIT = 100


class EngineError(Exception):
    """Say why an embedded engine cannot be used, in words for whoever started the program."""


@dataclass(frozen=True)
class Address:
    """Tell where a running engine listens, keeps its data, and has its programs."""

    socket: Path
    data_dir: Path
    programs: Path


@dataclass(frozen=True)
class EngineFiles:
    """Name the files that the keeper of one engine shares with the users of that engine."""

    var_dir: Path
    engine: str

    @property
    def lease(self) -> Path:
        """Every user holds a shared lock on this file for as long as it lives."""
        return self._file("lease")

    @property
    def lock(self) -> Path:
        """The keeper holds an exclusive lock on this file, so there is only ever one."""
        return self._file("keeper.lock")

    @property
    def ready(self) -> Path:
        """The keeper's process id and the engine's address, while the engine answers."""
        return self._file("ready.json")

    @property
    def log(self) -> Path:
        """What the keeper did and when."""
        return self._file("keeper.log")

    def _file(self, kind: str) -> Path:
        return self.var_dir / "engines" / f"{self.engine}.{kind}"

    def publish(self, address: Address) -> None:
        """Write the ready file in one step, so that no reader sees half of it."""
        fields = {"keeper": os.getpid()} | {key: str(path) for key, path in vars(address).items()}
        draft = self.ready.with_suffix(".new")
        draft.write_text(json.dumps(fields), encoding="utf-8")
        draft.replace(self.ready)

    def published(self) -> Address | None:
        """Return the address in the ready file, unless its keeper is gone."""
        try:
            fields = json.loads(self.ready.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        if not _exists(int(fields.pop("keeper"))):
            return None
        return Address(**{key: Path(value) for key, value in fields.items()})


def open_lock_file(path: Path) -> int:
    """Open a lock file, making it and its folder where missing; programs it executes get no copy."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except PermissionError as exc:
        raise EngineError(
            f"{path} belongs to another user. Run as the user who ran this the first time, "
            f"or give the folder to this one: chown -R {os.geteuid()} {path.parent.parent}"
        ) from exc
    except OSError as exc:
        raise EngineError(f"{path.parent} cannot be used: {exc.strerror}.") from exc


def try_lock(descriptor: int, mode: int) -> bool:
    """Take the lock (fcntl.LOCK_SH or LOCK_EX) if that needs no waiting, and say whether it did."""
    try:
        fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_same_file(descriptor: int, path: Path) -> bool:
    """Say whether the open file is still the one at that path: the var folder may be deleted."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def answers(address: Path) -> bool:
    """Say whether some process listens on the Unix socket."""
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as probe:
        probe.settimeout(1)
        try:
            probe.connect(os.fspath(address))
        except TimeoutError:
            return True  # Alive, with a full queue of callers.
        except OSError:
            return False
    return True


def short_name(path: Path) -> str:
    """Return ten characters that stand for the path wherever the path itself is too long."""
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:10]


def socket_folder(home: Path, socket_name: str, uid: int) -> Path:
    """Return the folder for an engine's socket: its home, or a short one where that cannot be."""
    # Postgres and libpq both read a comma or a quote in a folder's name as the end of it.
    usable = not set(os.fspath(home)) & set(",'\"\\")
    if usable and len(os.fsencode(home / socket_name)) <= _SOCKET_PATH_LIMIT:
        return home
    return Path(tempfile.gettempdir()) / f"mlserver-{uid}-{short_name(home)}"


def private_folder(path: Path, uid: int, gid: int) -> Path:
    """Make the folder for that user alone, or verify that it is; raise EngineError otherwise."""
    with suppress(FileExistsError):
        path.mkdir(mode=0o700, parents=True)
        os.chown(path, uid, gid)
    # Anybody may make a folder or a link in the temporary folder under a name they can foresee.
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != uid or found.st_mode & 0o077:
        raise EngineError(
            f"{path} must be a folder that belongs to user {uid} and that only this user may open "
            "(mode 0700). Remove it or mend its owner and mode, then start again."
        )
    return path


def remove_folder_if_empty(folder: Path) -> None:
    """Remove a folder made for sockets alone, once these are gone."""
    with suppress(OSError):
        folder.rmdir()


def redis_socket_path(var_dir: Path) -> Path:
    """Return where the Redis of that var folder listens, without starting anything."""
    name = "redis.sock"
    return socket_folder(var_dir.resolve() / REDIS, name, os.geteuid()) / name


def _exists(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
