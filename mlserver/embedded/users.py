"""What a process does to use an engine: hold its lease, and start its keeper where none runs."""

import fcntl
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

from mlserver.embedded.layout import (
    Address,
    EngineError,
    EngineFiles,
    answers,
    is_same_file,
    open_lock_file,
    try_lock,
)

_SECONDS_TO_START = 60.0
_POLL_SECONDS = 0.05
_PROJECT = Path(__file__).resolve().parents[2]


class EngineUser:
    """Hold one engine of one var folder for this process and the processes forked from it."""

    def __init__(self, files: EngineFiles) -> None:
        self._files = files
        self._lock = threading.Lock()
        self._lease: int | None = None
        self._address: Address | None = None

    def ensure(self) -> Address:
        """Return the address of the running engine, starting it where needed."""
        with self._lock:
            if self._address is None:
                deadline = time.monotonic() + _SECONDS_TO_START
                self._hold_lease(deadline)
                self._address = self._reach(deadline)
            return self._address

    def forget(self) -> None:
        """Make the next `ensure` look again; the lease stays."""
        with self._lock:
            self._address = None

    def after_fork(self) -> None:
        """Start anew in a forked child, where the lock may be held by a thread left behind."""
        self._lock = threading.Lock()
        self._address = None

    def _hold_lease(self, deadline: float) -> None:
        if self._lease is not None:
            if is_same_file(self._lease, self._files.lease):
                return
            os.close(self._lease)
        self._lease = None
        lease = open_lock_file(self._files.lease)
        # A keeper that is stopping its engine holds the lease for itself until it is done.
        while not try_lock(lease, fcntl.LOCK_SH):
            if time.monotonic() > deadline:
                os.close(lease)
                raise self._too_late("is still being stopped")
            time.sleep(_POLL_SECONDS)
        # Kept open until the process ends: the kernel then lets go of it, kill -9 included.
        self._lease = lease

    def _reach(self, deadline: float) -> Address:
        while time.monotonic() < deadline:
            if not self._has_keeper():
                self._start_keeper(deadline)
            address = self._files.published()
            # The socket is asked too: the engine may have died since its keeper looked.
            if address is not None and answers(address.socket):
                return address
            time.sleep(_POLL_SECONDS)
        raise self._too_late("does not answer")

    def _has_keeper(self) -> bool:
        with os.fdopen(open_lock_file(self._files.lock)) as file:
            return not try_lock(file.fileno(), fcntl.LOCK_SH)

    def _start_keeper(self, deadline: float) -> None:
        files = self._files
        command = [sys.executable, "-m", "mlserver.embedded.keeper", files.engine, str(files.var_dir)]
        try:
            done = subprocess.run(
                command,
                cwd=_PROJECT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                timeout=max(0.1, deadline - time.monotonic()),
                start_new_session=True,
                check=False,
            )
        except subprocess.TimeoutExpired as exc:
            raise self._too_late("does not start") from exc
        if done.returncode:
            raise EngineError(done.stderr.strip() or f"No keeper for {files.engine}: {files.log}")

    def _too_late(self, what: str) -> EngineError:
        return EngineError(
            f"The embedded {self._files.engine} {what} after {_SECONDS_TO_START:.0f} seconds. "
            f"What it was doing: {self._files.log}"
        )
