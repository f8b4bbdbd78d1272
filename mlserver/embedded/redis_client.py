"""Connections of redis-py to the embedded Redis, which they start.

django-rq makes its clients itself and lets nobody choose their connections, but it takes a ready
client from a Django cache (USE_REDIS_CACHE). EngineCache is that cache, and nothing else.
"""

import functools
import socket
from pathlib import Path
from typing import Any, ClassVar

from django.core.cache.backends.base import BaseCache
from redis import ConnectionPool, Redis, UnixDomainSocketConnection
from redis.exceptions import ConnectionError as RedisConnectionError

from mlserver.embedded import EngineError, ensure_redis, redis_socket_path, reset


class EngineConnection(UnixDomainSocketConnection):
    """Connect to the Redis of a var folder, starting it where needed.

    The folder is the class's: RQ makes the connection of a spawned process, which finds Redis running,
    from what the pool gives to this one, and knows of no arguments but Redis's own.
    """

    _var_dir: ClassVar[Path]

    def _connect(self) -> socket.socket:
        try:
            return self._connect_to_engine()
        except OSError:
            # Redis may have died since it was last seen.
            reset(self._var_dir)
            return self._connect_to_engine()

    def _connect_to_engine(self) -> socket.socket:
        try:
            self.path = str(ensure_redis(self._var_dir).socket)
        except EngineError as exc:
            raise RedisConnectionError(str(exc)) from exc
        connected: socket.socket = super()._connect()  # type: ignore[no-untyped-call]
        return connected


class EngineCache(BaseCache):
    """Give django-rq its client: LOCATION is the var folder, and OPTIONS may name a `db`."""

    def __init__(self, location: str, params: dict[str, Any]) -> None:
        super().__init__(params)
        self._location = location
        self._db = int(params.get("OPTIONS", {}).get("db", 0))

    @property
    def _client(self) -> Redis:
        return Redis(connection_pool=_pool(self._location, self._db))


@functools.cache
def _pool(var_dir: str, db: int) -> ConnectionPool:
    # One for all threads: Django makes a cache object for each.
    path = str(redis_socket_path(Path(var_dir)))
    connection_class = type("Connection", (EngineConnection,), {"_var_dir": Path(var_dir)})
    return ConnectionPool(connection_class=connection_class, path=path, db=db)
