"""Start servers as processes, wait for them, and end them with all their children."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

_POLL_SECONDS = 0.05
_STOP_SECONDS = 20
_LOG_LINES = 40


def until(probe: Callable[[], T | None], what: str, seconds: float = 60) -> T:
    """Return the first answer of the probe that is true; raise AssertionError past the deadline."""
    deadline = time.monotonic() + seconds
    while not (found := probe()):
        if time.monotonic() > deadline:
            raise AssertionError(f"After {seconds:.0f} s still not so: {what}")
        time.sleep(_POLL_SECONDS)
    return found


def free_port() -> int:
    """Return a loopback port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Server:
    """Run one server process in a process group of its own, with its output in a log file."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        assert self._process is not None, "The server was not started."
        return self._process.pid

    def spawn(self, command: Sequence[str | Path], environment: Mapping[str, str], folder: Path) -> None:
        """Start the command; it is not ready yet when this returns."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [os.fspath(part) for part in command],
                cwd=folder,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def await_ready(self, probe: Callable[[], T | None], what: str, seconds: float) -> T:
        """Return the probe's answer once it is true; raise with the log's end when the process ends first."""

        def alive() -> T | None:
            assert self._process is not None
            assert self._process.poll() is None, f"It ended before {what}:\n{self.log_tail()}"
            return probe()

        try:
            return until(alive, what, seconds)
        except AssertionError as exc:
            raise AssertionError(f"{exc}\n{self.log_tail()}") from None

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send the signal, wait for the process, and kill what is left of its group."""
        if self._process is None:
            return
        self._process.send_signal(number)
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            pass
        finally:
            self._kill_group()
            self._process.wait()
            self._process = None

    def log_tail(self, lines: int = _LOG_LINES) -> str:
        """Return the last lines of what it wrote."""
        text = self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def _kill_group(self) -> None:
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            return
