"""A database and a queue of the bench's own, gone when it ends."""

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg2

from mlserver.embedded.layout import ENGINES, EngineFiles
from mlserver.env import env_secret

_SECONDS_TO_STOP = 30


@contextmanager
def throwaway_engines() -> Iterator[dict[str, str]]:
    """Yield the environment that leads a server to an empty database and an empty queue.

    The database is a new one on the Postgres of DATABASE_URL, or an embedded one. The queue is always
    embedded: a job on a queue that others use could reach their workers.
    """
    with tempfile.TemporaryDirectory(prefix="mlserver-bench-", ignore_cleanup_errors=True) as folder:
        # The user that an embedded Postgres runs under must be able to pass through.
        Path(folder).chmod(0o755)
        var_dir = Path(folder) / "var"
        environment = {"VAR_DIR": str(var_dir)}
        configured = env_secret("DATABASE_URL")
        try:
            if configured:
                with _new_database(configured) as url:
                    yield environment | {"DATABASE_URL": url}
            else:
                yield environment
        finally:
            _await_engines(var_dir)


@contextmanager
def _new_database(url: str) -> Iterator[str]:
    name = f"mlserver_bench_{os.getpid()}"
    execute(url, f'CREATE DATABASE "{name}"')
    try:
        yield urlsplit(url)._replace(path=f"/{name}").geturl()
    finally:
        execute(url, f'DROP DATABASE "{name}" WITH (FORCE)')


def execute(url: str, statement: str) -> None:
    """Run one statement outside of any transaction."""
    with closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)


def _await_engines(var_dir: Path) -> None:
    """Wait until the engines have stopped, which they do by themselves, and write no more files."""
    deadline = time.monotonic() + _SECONDS_TO_STOP
    files = [EngineFiles(var_dir, engine) for engine in ENGINES]
    while any(file.published() for file in files) and time.monotonic() < deadline:
        time.sleep(0.1)
