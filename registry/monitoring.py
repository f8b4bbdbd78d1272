"""Watch over a running fit: its heartbeat, progress, metrics, and what it prints."""

import contextlib
import io
import logging
import math
import sys
import threading
from collections.abc import Iterator
from typing import Any, TextIO

from django.db import Error, connections
from django.utils import timezone

from registry.errors import RunTakenAway
from registry.models import TrainingRun
from registry.text import storable

BEAT_SECONDS = 1.0
_MAX_LOG = 200_000

logger = logging.getLogger(__name__)


class RunMonitor:
    """Writes what a fit tells onto its run, every second, from a thread and connection of its own.

    The fit may hold the interpreter or a transaction for as long as it likes: what it tells is
    kept here until the thread has its turn.
    """

    def __init__(self, run: TrainingRun) -> None:
        self._run = run
        self._lock = threading.Lock()
        self._news: dict[str, Any] = {}
        self._metrics: dict[str, Any] = dict(run.metrics)
        self._log = ""
        self._ended = threading.Event()
        self._taken_away = False

    def progress(self, fraction: float, text: str) -> None:
        """Note how far the fit is; raise RunTakenAway where it was cancelled meanwhile."""
        fraction = float(fraction)
        if not math.isfinite(fraction):
            raise ValueError("progress() takes a number from 0 to 1.")
        with self._lock:
            self._news |= {"progress": min(max(fraction, 0.0), 1.0), "progress_text": storable(str(text))[:255]}
        if self._taken_away:
            raise RunTakenAway("This run was cancelled; nothing of it is kept.")

    def metrics(self, values: dict[str, Any]) -> None:
        """Note what the fit measured."""
        with self._lock:
            for name, value in values.items():
                number = float(value)
                self._metrics[storable(str(name))] = number if math.isfinite(number) else None
            self._news["metrics"] = dict(self._metrics)

    @property
    def measured(self) -> dict[str, Any]:
        """All that the fit measured."""
        with self._lock:
            return dict(self._metrics)

    def write(self, text: str) -> None:
        """Take down what the fit printed or logged."""
        with self._lock:
            self._log = (self._log + storable(text))[-_MAX_LOG:]
            self._news["log"] = self._log

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Watch while the fit runs, and write the last of it when it ends."""
        handler = _LogHandler(self)
        thread = threading.Thread(target=self._beat, name=f"run-{self._run.pk}", daemon=True)
        thread.start()
        logging.getLogger().addHandler(handler)
        try:
            with (
                contextlib.redirect_stdout(_Tee(sys.stdout, self)),
                contextlib.redirect_stderr(_Tee(sys.stderr, self)),
            ):
                yield
        finally:
            logging.getLogger().removeHandler(handler)
            self._ended.set()
            thread.join()

    def _beat(self) -> None:
        try:
            while not self._ended.wait(BEAT_SECONDS):
                self.write_down()
            self.write_down()
        finally:
            connections.close_all()

    def write_down(self) -> None:
        """Write what the fit has told since the last time onto its run, while that is running."""
        with self._lock:
            news, self._news = self._news, {}
        running = TrainingRun.objects.running().filter(pk=self._run.pk)
        try:
            self._taken_away = not running.update(heartbeat_at=timezone.now(), **news)
        except Error as exc:
            logger.warning("The heartbeat of run %s is not written: %s", self._run.pk, exc)
            with self._lock:
                self._news = news | self._news
            connections.close_all()


class _Tee(io.TextIOBase):
    """Write to the worker's own output and onto the run."""

    def __init__(self, output: TextIO, monitor: RunMonitor) -> None:
        self._output = output
        self._monitor = monitor

    def write(self, text: str) -> int:
        self._monitor.write(text)
        return self._output.write(text)

    def flush(self) -> None:
        self._output.flush()


class _LogHandler(logging.Handler):
    """Take down log records. The console's own handler writes them to the worker's output."""

    def __init__(self, monitor: RunMonitor) -> None:
        super().__init__(logging.INFO)
        self._monitor = monitor
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s", "%H:%M:%S"))

    def emit(self, record: logging.LogRecord) -> None:
        self._monitor.write(self.format(record) + "\n")
