"""Run real Postgres and Redis on demand, without root and without Docker.

Each engine has a detached keeper process (keeper.py), which starts it, restarts it when it dies,
and stops it when the last process that uses it is gone. A user is whoever called `ensure`: it holds
a shared lock on the engine's lease, which the kernel releases however the process ends.
"""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from mlserver.embedded.layout import (
    DATABASE,
    POSTGRES,
    POSTGRES_USER,
    REDIS,
    Address,
    EngineError,
    EngineFiles,
    redis_socket_path,
)
from mlserver.embedded.users import EngineUser

__all__ = [
    "DATABASE",
    "POSTGRES_USER",
    "Address",
    "EngineError",
    "Engines",
    "ensure",
    "ensure_postgres",
    "ensure_redis",
    "redis_socket_path",
    "reset",
]


@dataclass(frozen=True)
class Engines:
    """Tell where both engines of a var folder are reached and keep their data."""

    postgres: Address
    redis: Address


def ensure(var_dir: Path) -> Engines:
    """Return both engines of the var folder, running; they start side by side."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        redis = pool.submit(ensure_redis, var_dir)
        return Engines(ensure_postgres(var_dir), redis.result())


def ensure_postgres(var_dir: Path) -> Address:
    """Return the var folder's Postgres, running and holding the database DATABASE.

    Connect with the socket's folder as the host and POSTGRES_USER as the user. Calling again is
    cheap. Raise EngineError, in words, when Postgres cannot be started within a minute.
    """
    return _users.user(var_dir, POSTGRES).ensure()


def ensure_redis(var_dir: Path) -> Address:
    """Return the var folder's Redis, running; raise EngineError as `ensure_postgres` does."""
    return _users.user(var_dir, REDIS).ensure()


def reset(var_dir: Path) -> None:
    """Make the next `ensure` look again, after a connection failed."""
    for engine in (POSTGRES, REDIS):
        _users.user(var_dir, engine).forget()


class _Users:
    """Keep this process's hold on each engine that it asked for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users: dict[EngineFiles, EngineUser] = {}

    def user(self, var_dir: Path, engine: str) -> EngineUser:
        files = EngineFiles(var_dir.resolve(), engine)
        with self._lock:
            return self._users.setdefault(files, EngineUser(files))

    def after_fork(self) -> None:
        self._lock = threading.Lock()
        for user in self._users.values():
            user.after_fork()


_users = _Users()
os.register_at_fork(after_in_child=_users.after_fork)
