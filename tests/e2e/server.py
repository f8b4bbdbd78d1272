"""Run our server the way `make serve` does: one command, with its engines and its worker."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from tests.e2e.database import Database
from tests.e2e.processes import Server, free_port, until

PROJECT = Path(__file__).resolve().parents[2]
BACKENDS = Path(__file__).resolve().parent / "backends"

_START_SECONDS = 90
# Whoever runs these tests may have a server of their own configured.
_NOT_INHERITED = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "ML_BACKEND", "BASIC_AUTH_USER", "BASIC_AUTH_PASS")
_CREDENTIALS = re.compile(r"Admin user\s+(\S+)\s+Password\s+(\S+)")


@dataclass(frozen=True)
class Credentials:
    """Name and password of an administrator."""

    user: str
    password: str


class MLServer(Server):
    """Our server on its own data folder; servers on one folder share database and queue."""

    def __init__(self, var_dir: Path, name: str = "server", **settings: str) -> None:
        super().__init__(var_dir.parent / f"{name}.log")
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.database = Database(var_dir)
        self._var_dir = var_dir
        self._settings = settings

    def start(self, *options: str) -> None:
        """Start it and return once it answers."""
        self.spawn([*self._command(), *options], self._environment(), PROJECT)
        self.await_ready(self._is_up, "the server answers", _START_SECONDS)

    def admin(self) -> Credentials:
        """Return the administrator that it made at its first start, from where it told a person."""
        found = _CREDENTIALS.search(self.log.read_text(encoding="utf-8"))
        assert found, f"It named no administrator:\n{self.log_tail()}"
        return Credentials(*found.groups())

    def worker(self) -> psutil.Process:
        """Return the worker that it keeps running beside it."""

        def find() -> psutil.Process | None:
            children = psutil.Process(self.pid).children()
            return next((child for child in children if "rqworker" in child.cmdline()), None)

        return until(find, "the server has a worker")

    def get(self, path: str) -> httpx.Response:
        """Ask it for a page or a status."""
        return httpx.get(f"{self.url}{path}", timeout=10)

    def _command(self) -> list[str]:
        return [server_python(), "manage.py", "runserver", f"127.0.0.1:{self.port}", "--noreload"]

    def _environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if name not in _NOT_INHERITED}
        own = {"VAR_DIR": str(self._var_dir), "BACKENDS_PATH": str(BACKENDS), "PYTHONUNBUFFERED": "1"}
        return inherited | own | self._settings

    def _is_up(self) -> bool:
        try:
            return self.get("/health").status_code == 200
        except httpx.HTTPError:
            return False


def server_python() -> str:
    """Return the Python of the server's own environment."""
    python = os.environ.get("E2E_SERVER_PYTHON") or str(PROJECT / ".venv" / "bin" / "python")
    assert Path(python).exists(), f"There is no {python}. Run `make e2e`, or set E2E_SERVER_PYTHON."
    return python
