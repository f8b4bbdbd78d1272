"""Django's Postgres backend on the embedded Postgres: ENGINE = "mlserver.embedded".

It starts Postgres at the first connection. The settings name VAR_DIR and the database's NAME.
"""

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db.backends.postgresql import base
from django.db.backends.postgresql.client import DatabaseClient as PostgresClient

from mlserver.embedded import POSTGRES_USER, Address, EngineError, ensure_postgres, reset

_RETRY_SECONDS = 10.0
# What libpq and Postgres say while Postgres is killed, started again, or recovering.
_PASSING = ("refused", "No such file", "the database system is", "server closed the connection")


class DatabaseClient(PostgresClient):
    """Run the psql of the embedded Postgres for `manage.py dbshell`."""

    @classmethod
    def settings_to_cmd_args_env(
        cls, settings_dict: dict[str, Any], parameters: Iterable[str]
    ) -> tuple[list[str], dict[str, str] | None]:
        address = ensure_postgres(Path(settings.VAR_DIR))
        where = {"HOST": str(address.socket.parent), "USER": POSTGRES_USER}
        args, env = super().settings_to_cmd_args_env(settings_dict | where, parameters)
        return [str(address.programs / "psql"), *args[1:]], env


class DatabaseWrapper(base.DatabaseWrapper):
    """Connect to the embedded Postgres, starting it where needed."""

    client_class = DatabaseClient

    def get_connection_params(self) -> dict[str, Any]:
        socket = self._engine().socket
        where = {"host": str(socket.parent), "user": POSTGRES_USER}
        return super().get_connection_params() | where

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        deadline = time.monotonic() + _RETRY_SECONDS
        while True:
            try:
                return super().get_new_connection(conn_params)
            except self.Database.OperationalError as exc:
                passing = any(words in str(exc) for words in _PASSING)
                if not passing or time.monotonic() > deadline:
                    raise
            reset(Path(settings.VAR_DIR))
            conn_params = self.get_connection_params()
            time.sleep(0.1)

    def _engine(self) -> Address:
        try:
            return ensure_postgres(Path(settings.VAR_DIR))
        except EngineError as exc:
            # Whoever handles a database that is down handles this one alike.
            raise self.Database.OperationalError(str(exc)) from exc
