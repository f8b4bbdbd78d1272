"""Fixtures: real Postgres, real Redis, and backends written on the spot."""

import itertools
import os
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import django_rq
import pytest
from django.conf import settings as django_settings
from django.db import connection

from mlserver.api import throttling
from registry import serving

# Beside a running server's own queue, which is number 0.
_TEST_REDIS_DB = 15
if django_settings.EMBEDDED_REDIS:
    django_settings.CACHES["embedded_redis"]["OPTIONS"] = {"db": _TEST_REDIS_DB}
else:
    django_settings.RQ_QUEUES["default"]["DB"] = _TEST_REDIS_DB
# A live server's threads would keep their connections, and the test database could not be dropped.
django_settings.DATABASES["default"]["CONN_MAX_AGE"] = 0
# The one that production uses takes half a second a password, on purpose.
django_settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

_HEADER = """
from backends import InvalidPrediction, LabelStudioMLBase, ModelResponse, predict_fn, update_fn
"""
_numbers = itertools.count(1)


@pytest.fixture
def make_backend(tmp_path: Path, settings) -> Callable[[str], str]:
    """Return a function that writes a model.py and returns the new backend's name."""
    settings.BACKENDS_PATH = [*settings.BACKENDS_PATH, tmp_path]

    def make(source: str) -> str:
        name = f"made{next(_numbers)}_{os.getpid()}"
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.py").write_text(_HEADER + textwrap.dedent(source))
        return name

    return make


@pytest.fixture
def chosen(make_backend, settings) -> Callable[[str], str]:
    """Return a function that writes a model.py and serves it at `/`."""

    def choose(source: str) -> str:
        name: str = make_backend(source)
        settings.ML_BACKEND = name
        return name

    return choose


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    """Let no warm instance, queued job or warming thread of one test reach the next."""
    yield
    for thread in threading.enumerate():
        if thread.name.startswith("warm-"):
            thread.join()
    serving.pool.clear()


@pytest.fixture
def queue(transactional_db):
    """Return the empty training queue."""
    queue = django_rq.get_queue("default")
    queue.empty()
    yield queue
    queue.empty()


@pytest.fixture
def _uncounted():
    """Let the API's throttle begin at nothing, whatever other tests and earlier runs have asked for."""
    redis = django_rq.get_connection("default")
    for key in redis.scan_iter(f"{throttling.PREFIX}:*"):
        redis.delete(key)


@pytest.fixture
def process_env(transactional_db, settings) -> dict[str, str]:
    """Return the environment in which another process shares this test's database and queue."""
    parameters = connection.get_connection_params()
    user, host = parameters.get("user", ""), parameters.get("host", "")
    port = f":{parameters['port']}" if parameters.get("port") else ""
    password = f":{parameters['password']}" if parameters.get("password") else ""
    redis = django_rq.get_connection("default").connection_pool.connection_kwargs
    return os.environ | {
        "DATABASE_URL": f"postgresql://{user}{password}@{str(host).replace('/', '%2F')}{port}/{parameters['dbname']}",
        "REDIS_URL": f"unix://{redis['path']}?db={_TEST_REDIS_DB}"
        if "path" in redis
        else f"redis://{redis['host']}:{redis['port']}/{_TEST_REDIS_DB}",
        "SECRET_KEY": settings.SECRET_KEY,
        "BACKENDS_PATH": os.pathsep.join(str(path) for path in settings.BACKENDS_PATH),
        "ML_BACKEND": settings.ML_BACKEND,
        "PYTHONPATH": os.pathsep.join([str(settings.BASE_DIR), *sys.path]),
    }
