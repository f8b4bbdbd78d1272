"""The servers that are compared, each a gunicorn of its own."""

import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.cases import Case

ROOT = Path(__file__).resolve().parent.parent
_BACKENDS = Path(__file__).resolve().parent / "backends"
_SECONDS_TO_START = 60
_SECRET_KEY = secrets.token_urlsafe(50)
# Nothing of the caller's own configuration reaches the servers.
_INHERITED = ("PATH", "HOME", "LANG", "TMPDIR", "PYTHONPATH", "LD_LIBRARY_PATH")


@dataclass(frozen=True)
class Contender:
    """One of the implementations that are measured side by side."""

    name: str
    server: "Server"
    prefix: str

    def url(self, case: Case) -> str:
        """Return where it answers the case."""
        return self.server.address + self.prefix + case.path


@dataclass(frozen=True)
class Memory:
    """What one process holds, shared pages divided by how many share them."""

    process: str
    megabytes: float


class Server:
    """A running gunicorn."""

    def __init__(self, name: str, application: str, config: str, environment: dict[str, str]) -> None:
        self.name = name
        port = _free_port()
        self.address = f"http://127.0.0.1:{port}"
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  (closed by stop)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "-c", f"python:{config}", application],
            cwd=ROOT,
            env=environment | {"HOST": "127.0.0.1", "PORT": str(port)},
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )

    def await_start(self, path: str) -> None:
        """Wait until it answers; raise RuntimeError with its log where it does not."""
        deadline = time.monotonic() + _SECONDS_TO_START
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                urllib.request.urlopen(self.address + path, timeout=5).close()
            except (urllib.error.URLError, OSError):
                time.sleep(0.05)
            else:
                return
        raise RuntimeError(f"{self.name} does not start.\n{self.log()}")

    def log(self) -> str:
        """Return what it has written."""
        self._log.seek(0)
        return self._log.read().decode(errors="replace")

    def memory(self) -> list[Memory]:
        """Return what the master and each worker hold."""
        master = psutil.Process(self._process.pid)
        named = [("master", master), *(("worker", child) for child in master.children())]
        return [Memory(f"{self.name} {role}", _megabytes(process)) for role, process in named]

    def cpu_seconds(self) -> float:
        """Return the processor time that its workers have used."""
        times = [worker.cpu_times() for worker in psutil.Process(self._process.pid).children()]
        return sum(time.user + time.system for time in times)

    def stop(self) -> None:
        """Stop it and wait until it is gone."""
        # The signal for an end at once: nobody waits for an answer any more.
        self._process.send_signal(2)
        self._process.wait()
        self._log.close()


def environment_of(engines: dict[str, str]) -> dict[str, str]:
    """Return the environment of this project's processes over the engines."""
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    return (
        inherited
        | engines
        | {
            "SECRET_KEY": _SECRET_KEY,
            "BACKENDS_PATH": str(_BACKENDS),
            "ML_BACKEND": "constant",
            "LOG_LEVEL": "WARNING",
        }
    )


@contextmanager
def running(engines: dict[str, str], workers: int, threads: int) -> Iterator[tuple[Server, Server]]:
    """Yield this project's server and the baselines', both under the same settings."""
    environment = environment_of(engines) | {"WEB_WORKERS": str(workers), "WEB_THREADS": str(threads)}
    subprocess.run([sys.executable, "manage.py", "migrate", "--verbosity=0"], cwd=ROOT, env=environment, check=True)
    ours = Server("mlserver", "mlserver.wsgi", "mlserver.gunicorn_conf", environment)
    bare = Server(
        "bare",
        "bench.baselines.wsgi",
        "bench.baselines.gunicorn_conf",
        environment | {"DJANGO_SETTINGS_MODULE": "bench.baselines.settings"},
    )
    try:
        ours.await_start("/health")
        bare.await_start("/drf/health")
        yield ours, bare
    finally:
        ours.stop()
        bare.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _megabytes(process: psutil.Process) -> float:
    memory = process.memory_full_info()
    # Only Linux knows the proportional size.
    return getattr(memory, "pss", memory.uss) / 2**20
