"""gunicorn's settings: `gunicorn -c python:mlserver.gunicorn_conf mlserver.wsgi`."""

import gc
import os
from typing import Any

from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import Error, connections
from django.urls import get_resolver
from gunicorn.glogging import Logger  # type: ignore[import-untyped]

from backends.errors import BackendError
from mlserver.embedded import EngineError, ensure_postgres, ensure_redis
from mlserver.env import env_bool, env_int, env_str
from mlserver.logs import SecretMaskingFormatter

# Reading them here also names a wrong one in one line, before anything has started.
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mlserver.settings")
# PyTorch asked whether there is a GPU must not start CUDA, which would not survive the fork.
os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")

_host = env_str("HOST", "0.0.0.0")  # noqa: S104  (Label Studio usually runs on another machine or in a container)
_port = env_int("PORT", 9090, minimum=1)

bind = f"[{_host}]:{_port}" if ":" in _host else f"{_host}:{_port}"
workers = env_int("WEB_WORKERS", 2, minimum=1)
worker_class = "gthread"
threads = env_int("WEB_THREADS", 4, minimum=1)
preload_app = True
# The parser in C wherever its wheel is installed, else the one in Python.
http_parser = "auto"
# Heartbeats are files, and a disk that stalls would look like a worker that does.
worker_tmp_dir = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108  (they are unlinked at once)
control_socket_disable = True

# Label Studio waits 100 s for predictions. A worker is given up for dead later than that, as a
# model may hold the interpreter for as long; and one that is told to stop first answers.
timeout = 120
graceful_timeout = 100
# Longer than the 60 s for which proxies keep idle connections, so that it is never this side that
# closes one while a request is on its way.
keepalive = 75

loglevel = settings.LOG_LEVEL.lower()
accesslog = "-" if env_bool("ACCESS_LOG", False) else None
access_log_format = '%(h)s %(t)s "%(r)s" %(s)s %(b)s %(M)sms'


class MaskingLogger(Logger):  # type: ignore[misc]
    """Write gunicorn's own lines and the access log in the server's format, with secrets masked."""

    error_fmt = settings.LOGGING["formatters"]["line"]["format"]  # type: ignore[index]
    datefmt = None

    def setup(self, cfg: Any) -> None:
        """Give every handler, wherever it writes to, a formatter that masks."""
        super().setup(cfg)
        for log in (self.error_log, self.access_log):
            for handler in log.handlers:
                plain = handler.formatter
                handler.setFormatter(SecretMaskingFormatter(plain._fmt, plain.datefmt))


logger_class = MaskingLogger


def on_starting(server: Any) -> None:
    """Start and import in the master, once for all workers, what their first requests need."""
    _start_engines(server.log)
    get_resolver().url_patterns  # noqa: B018  (imports every view)
    if settings.PRELOAD_BACKEND:
        _import_backend(server.log)


def when_ready(server: Any) -> None:
    """Take what was imported out of the garbage collector's sight, before workers are forked."""
    _freeze()


def pre_fork(server: Any, worker: Any) -> None:
    """Close what a worker must not share with the master."""
    connections.close_all()


def post_worker_init(worker: Any) -> None:
    """Import the backend in the worker, where the master was told not to."""
    if not settings.PRELOAD_BACKEND:
        _import_backend(worker.log)
        _freeze()


def _start_engines(log: Any) -> None:
    try:
        if settings.EMBEDDED_REDIS:
            ensure_redis(settings.VAR_DIR)
        if settings.EMBEDDED_POSTGRES:
            ensure_postgres(settings.VAR_DIR)
            # A database that nobody has configured, nobody has prepared.
            call_command("migrate", interactive=False, verbosity=0)
            call_command("ensureadmin")
    except (EngineError, CommandError, Error) as exc:
        log.error("%s", exc)


def _import_backend(log: Any) -> None:
    """Import the chosen backend; one that is broken is told of, and the others are served."""
    from registry.instances import backend_class  # its models need the application, loaded by now

    try:
        backend_class(settings.ML_BACKEND)
    except BackendError as exc:
        log.error("The backend %s cannot be used: %s", settings.ML_BACKEND, exc)
    except SystemExit:
        log.error("The backend %s cannot be used: its model.py ends the program.", settings.ML_BACKEND)


def _freeze() -> None:
    # A full collection walks every object of the SDK and of the model's libraries, 65 ms and more,
    # while requests wait. None of them is ever freed, so none need be looked at again.
    gc.collect()
    gc.freeze()
