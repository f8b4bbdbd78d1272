"""Keep one engine running for as long as anybody uses it: python -m mlserver.embedded.keeper."""

import argparse
import fcntl
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import NoReturn, Protocol

from mlserver.embedded.layout import (
    ENGINES,
    POSTGRES,
    REDIS,
    Address,
    EngineError,
    EngineFiles,
    is_same_file,
    open_lock_file,
    try_lock,
)
from mlserver.embedded.postgres import Postgres
from mlserver.embedded.processes import roll_over
from mlserver.embedded.redis import Redis

logger = logging.getLogger(__name__)

_POLL_SECONDS = 0.2
_READY = "ready"


class Engine(Protocol):
    """What the keeper asks of an engine."""

    @property
    def address(self) -> Address:
        """Tell where it listens."""

    def start(self) -> None:
        """Start it or take over a running one; return once it answers."""

    def running(self) -> bool:
        """Say whether it runs."""

    def stop(self) -> None:
        """Stop it and return once it is gone."""


_MAKERS: dict[str, Callable[[Path], Engine]] = {POSTGRES: Postgres, REDIS: Redis}


class Keeper:
    """Start an engine, restart it when it dies, and stop it when its last user is gone."""

    def __init__(self, files: EngineFiles, lock: int) -> None:
        self._files = files
        self._lock = lock
        self._lease = open_lock_file(files.lease)
        self._engine: Engine | None = None

    def start(self) -> None:
        """Start the engine and tell its users where it is."""
        # Whatever stands there was written by a keeper that died.
        self._files.ready.unlink(missing_ok=True)
        self._engine = self._engine or _MAKERS[self._files.engine](self._files.var_dir)
        self._engine.start()
        self._files.publish(self._engine.address)
        logger.info("%s runs; its data is in %s", self._files.engine, self._engine.address.data_dir)

    def watch(self) -> None:
        """Return when the engine has no users, or when the var folder has been deleted."""
        while is_same_file(self._lock, self._files.lock):
            # Held until this process ends: who comes in the meantime waits for that.
            if try_lock(self._lease, fcntl.LOCK_EX):
                return
            if self._engine is not None and not self._engine.running():
                logger.warning("%s died and is started again", self._files.engine)
                self._restart()
            time.sleep(_POLL_SECONDS)

    def stop(self) -> None:
        """Stop the engine, if it was ever made."""
        # In a var folder deleted and made again, the ready file is another keeper's.
        if is_same_file(self._lock, self._files.lock):
            self._files.ready.unlink(missing_ok=True)
        if self._engine is not None:
            self._engine.stop()
            logger.info("%s stopped", self._files.engine)

    def _restart(self) -> None:
        try:
            self.start()
        except EngineError:
            # Users may still be there, and what is wrong may be mended: the disk may be full.
            logger.exception("%s does not start", self._files.engine)
            time.sleep(1)


def main(arguments: list[str] | None = None) -> int:
    """Become the engine's keeper and return once it is ready, or say why it cannot be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("engine", choices=ENGINES)
    parser.add_argument("var_dir", type=Path)
    options = parser.parse_args(arguments)
    files = EngineFiles(options.var_dir, options.engine)
    lock = _take(files.lock)
    if lock is None:
        return 0
    reading, writing = os.pipe()
    if os.fork():
        os.close(writing)
        with os.fdopen(reading, encoding="utf-8") as pipe:
            outcome = pipe.read()
        if outcome == _READY:
            return 0
        sys.stderr.write(outcome or f"The keeper ended early; see {files.log}")
        return 1
    os.close(reading)
    return _keep(files, lock, writing)


def _take(path: Path) -> int | None:
    descriptor = open_lock_file(path)
    # A user that looks whether there is a keeper holds the lock for an instant.
    for _ in range(20):
        if try_lock(descriptor, fcntl.LOCK_EX):
            return descriptor
        time.sleep(0.01)
    return None


def _keep(files: EngineFiles, lock: int, report: int) -> NoReturn:
    status = 1
    try:
        _detach(files.log)
        signal.signal(signal.SIGTERM, _leave)
        keeper = Keeper(files, lock)
        try:
            _start(keeper, report)
            keeper.watch()
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            keeper.stop()
        status = 0
    except Exception:
        logger.exception("The keeper of %s failed", files.engine)
    finally:
        # A fork leaves by this door, so that nothing of its parent is closed twice.
        os._exit(status)


def _start(keeper: Keeper, report: int) -> None:
    outcome = "The engine was told to stop before it had started."
    try:
        keeper.start()
        outcome = _READY
    except EngineError as exc:
        outcome = str(exc)
        raise
    except Exception as exc:
        outcome = f"The embedded engine does not start: {exc!r}"
        raise
    finally:
        try:
            os.write(report, outcome.encode())
        except BrokenPipeError:
            logger.info("Who asked for the engine is gone")
        os.close(report)


def _detach(log: Path) -> None:
    os.setsid()
    os.chdir("/")
    os.umask(0o077)
    roll_over(log)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(output, 1)
    os.dup2(output, 2)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")


def _leave(number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(f"signal {number}")


if __name__ == "__main__":
    raise SystemExit(main())
