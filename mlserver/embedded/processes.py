"""Look at engine processes, end them, and read the end of what they logged."""

import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil

_LOG_LINES = 15
_LOG_BYTES = 10 * 1024 * 1024

# Programs get only this, so that PGPORT, a locale or a secret of the caller's never reaches them.
PROGRAM_ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C"}


def find_process(process_id: int) -> psutil.Process | None:
    """Return the process of that id, if it lives."""
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(process_id)
        return process if alive(process) else None
    return None


def alive(process: psutil.Process) -> bool:
    """Say whether the process runs; a dead one that nobody waited for does not."""
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def end(process: psutil.Process, *steps: tuple[signal.Signals, float]) -> None:
    """Send each signal in turn, waiting its seconds for the process to end; then kill it."""
    for number, seconds in (*steps, (signal.SIGKILL, 5.0)):
        if not alive(process):
            return
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)
        await_end([process], seconds)


def await_end(processes: Sequence[psutil.Process], seconds: float) -> None:
    """Wait until the processes have ended, that long at most."""
    # psutil's own wait lasts until somebody has taken note of a dead process, if anybody does.
    deadline = time.monotonic() + seconds
    while any(alive(process) for process in processes) and time.monotonic() < deadline:
        time.sleep(0.02)


def tail(log: Path) -> str:
    """Return the last lines of a log, for an error message."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return "(it wrote no log)"
    return "\n".join(lines[-_LOG_LINES:])


def roll_over(log: Path) -> None:
    """Set a log that has grown large aside, in place of the one set aside before."""
    with suppress(FileNotFoundError):
        if log.stat().st_size > _LOG_BYTES:
            log.replace(log.with_suffix(".old.log"))
