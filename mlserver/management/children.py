"""Processes that come and go together: the server, and the worker that it starts."""

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

logger = logging.getLogger(__name__)

_POLL_SECONDS = 0.5
_RESTART_SECONDS = 1.0


def when_parent_is_gone(parent: int, leave: Callable[[], None]) -> None:
    """Call `leave` from a thread once the parent is another process than that one."""

    def watch() -> None:
        # Polled, as nothing tells a process of its parent's kill -9 on every system.
        while os.getppid() == parent:
            time.sleep(_POLL_SECONDS)
        leave()

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()


def leave_at_once() -> None:
    """End this process and everything it started, without finishing anything."""
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            child.send_signal(signal.SIGKILL)
    os._exit(1)


class WorkerProcess:
    """Keep an RQ worker running beside this process, and never beyond it."""

    def __init__(self, manage_py: Path, environment: dict[str, str]) -> None:
        # The worker compares this id with its parent's: the server may be gone before it looks.
        leash = ["--exit-with-parent", str(os.getpid())]
        self._command = [sys.executable, str(manage_py), "rqworker", "default", *leash]
        self._environment = environment

    def start(self) -> None:
        """Start the worker and return; from then on it is started again whenever it ends."""
        threading.Thread(target=self._keep_running, name="worker-watch", daemon=True).start()

    def _keep_running(self) -> None:
        while True:
            status = subprocess.call(self._command, env=self._environment, stdin=subprocess.DEVNULL)
            logger.warning("The worker ended with status %s and is started again.", status)
            time.sleep(_RESTART_SECONDS)
