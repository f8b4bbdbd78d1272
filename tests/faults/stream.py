"""Webhooks that keep coming while something breaks."""

import asyncio
import threading
from collections.abc import Iterator
from itertools import count

from bench.delivery import Answer, Delivery, deliver
from tests.faults.system import webhook
from tests.processes import eventually

PROJECTS = 3
_CONNECTIONS = 6
_PAUSE = 0.05


class Stream:
    """Sends webhooks of a few projects over a few connections, each once, until it is left."""

    def __init__(self, port: int, backend: str) -> None:
        self.answers: list[Answer] = []
        self._ended = threading.Event()
        arguments = (port, self._webhooks(backend), _CONNECTIONS, self.answers, _PAUSE)
        self._thread = threading.Thread(target=lambda: asyncio.run(deliver(*arguments)))

    def __enter__(self) -> "Stream":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()

    def await_answers(self, more: int, status: int = 201) -> None:
        """Wait until that many more were answered so."""
        already = self._count(status)
        eventually(lambda: self._count(status) >= already + more)

    def _count(self, status: int) -> int:
        return sum(answer.status == status for answer in self.answers)

    def _webhooks(self, backend: str) -> Iterator[Delivery]:
        for number in count(1):
            if self._ended.is_set():
                return
            yield webhook(backend, number, project=1 + number % PROJECTS)
