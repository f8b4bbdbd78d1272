"""Watch real processes: wait for what they do, and find those of a var folder."""

import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil


def eventually(holds: Callable[[], Any], seconds: float = 30) -> None:
    """Wait until the condition holds, and fail when it still does not."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)


def processes_of(var_dir: Path, *names: str) -> list[psutil.Process]:
    """Return the live keepers and engines of a var folder, or those whose command has that name."""
    places = {str(var_dir), str((var_dir / "postgres").resolve())}
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            command = " ".join(process.cmdline())
            mine = any(place in command or process.cwd() == place for place in places)
            if mine and process.status() != psutil.STATUS_ZOMBIE and all(name in command for name in names):
                found.append(process)
    return found


def clean_up(var_dir: Path) -> None:
    """Wait for the engines to stop by themselves, and remove data kept outside of the var folder."""
    eventually(lambda: not processes_of(var_dir))
    data = var_dir / "postgres"
    if data.is_symlink():
        shutil.rmtree(data.readlink().parent)
