"""This project's processes as production starts them: gunicorn, and workers."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import psutil

from tests.factories import predict_json
from tests.processes import eventually

PROJECT = Path(__file__).resolve().parent.parent
WEB_WORKERS = 2
_SECONDS_TO_STOP = 5


def free_port() -> int:
    """Return a port that nobody listens on."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        return int(listener.getsockname()[1])


class _Process:
    """A process of this project, what it writes, and its end."""

    def __init__(self, command: list[str], environment: Mapping[str, str], log: Path) -> None:
        self._log = log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, *command],
                cwd=PROJECT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    @property
    def log(self) -> str:
        return self._log.read_text()

    def children(self) -> list[psutil.Process]:
        """Return the processes that it started, and those that they did."""
        with suppress(psutil.NoSuchProcess):
            return psutil.Process(self.process.pid).children(recursive=True)
        return []

    def kill(self) -> None:
        """End it and all that it started, like a machine that loses power."""
        children = self.children()
        self.process.kill()
        for child in children:
            with suppress(psutil.NoSuchProcess):
                child.kill()
        self.process.wait()


class Gunicorn(_Process):
    """A web server on a port of its own."""

    def __init__(self, environment: Mapping[str, str], log: Path, port: int | None = None) -> None:
        self.port = port or free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        where = {"HOST": "127.0.0.1", "PORT": str(self.port), "WEB_WORKERS": str(WEB_WORKERS)}
        command = ["-m", "gunicorn", "-c", "python:mlserver.gunicorn_conf", "mlserver.wsgi"]
        super().__init__(command, {**where, **environment}, log)

    def workers(self) -> list[psutil.Process]:
        """Return its workers, all of them ready to answer."""
        eventually(lambda: self.log.count("Booting worker") >= WEB_WORKERS, seconds=10)
        return psutil.Process(self.process.pid).children()

    def ask(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.address + path, data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as response:
            answer: dict[str, Any] = json.load(response)
            return answer

    def predict(self, text: str = "text", backend: str = "", **fields: Any) -> dict[str, Any]:
        path = f"/{backend}/predict" if backend else "/predict"
        [prediction] = self.ask(path, predict_json(text, **fields))["results"]
        assert isinstance(prediction, dict)
        return prediction

    def await_start(self) -> None:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                self.ask("/health")
            except (urllib.error.URLError, OSError):
                time.sleep(0.05)
            else:
                return
        raise AssertionError(self.log)

    def await_in_log(self, text: str) -> None:
        deadline = time.monotonic() + 10
        while text not in self.log:
            assert time.monotonic() < deadline, self.log
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop it as Ctrl-C does."""
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(_SECONDS_TO_STOP)
        except subprocess.TimeoutExpired:
            # A worker that is just being forked loses gunicorn's signal, and is waited for as long as for any.
            self.kill()


class Worker(_Process):
    """`manage.py rqworker`, which sweeps every second."""

    def __init__(self, environment: Mapping[str, str], *options: str, log: Path = Path(os.devnull)) -> None:
        super().__init__(["manage.py", "rqworker", *options], {**environment, "SWEEP_SECONDS": "1"}, log)

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *error: object) -> None:
        self.kill()
