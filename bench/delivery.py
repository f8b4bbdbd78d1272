"""Deliver each of many requests once, over connections that are kept alive, as Label Studio does."""

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

TIMEOUT_SECONDS = 10.0
_PAUSE_AFTER_A_FAILURE = 0.05


@dataclass(frozen=True)
class Delivery:
    """A request to be sent, and what its sender knows it by."""

    path: str
    body: bytes | None = None
    project: int = 0
    number: int = 0

    def head(self, port: int) -> bytes:
        """Return the request in HTTP up to its body."""
        lines = [f"{'GET' if self.body is None else 'POST'} {self.path} HTTP/1.1", f"Host: 127.0.0.1:{port}"]
        if self.body is not None:
            lines += ["Content-Type: application/json", f"Content-Length: {len(self.body)}"]
        return "\r\n".join([*lines, "", ""]).encode()


@dataclass(frozen=True)
class Answer:
    """What came of a request."""

    delivery: Delivery
    seconds: float
    status: int = 0
    """0 where the connection broke before there was an answer."""
    headers: dict[str, str] = field(default_factory=dict)
    data: Any = None
    error: str = ""


async def deliver(
    port: int, deliveries: Iterator[Delivery], connections: int, answers: list[Answer], pause: float = 0
) -> None:
    """Send the deliveries over that many connections, and append their answers as they come.

    None is sent twice. Each connection waits `pause` seconds after an answer.
    """
    await asyncio.gather(*(_one_connection(port, deliveries, answers, pause) for _ in range(connections)))


async def _one_connection(port: int, deliveries: Iterator[Delivery], answers: list[Answer], pause: float) -> None:
    connection = _Connection(port)
    for delivery in deliveries:
        begin = time.perf_counter()
        try:
            status, headers, data = await asyncio.wait_for(connection.ask(delivery), TIMEOUT_SECONDS)
        except (OSError, EOFError, TimeoutError) as exc:
            connection.close()
            answers.append(Answer(delivery, time.perf_counter() - begin, error=repr(exc)))
            await asyncio.sleep(_PAUSE_AFTER_A_FAILURE)
        else:
            answers.append(Answer(delivery, time.perf_counter() - begin, status, headers, data))
            await asyncio.sleep(pause)
    connection.close()


class _Connection:
    """A connection that is made when it is needed."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def ask(self, delivery: Delivery) -> tuple[int, dict[str, str], Any]:
        if self._reader is None or self._writer is None:
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._writer.write(delivery.head(self._port) + (delivery.body or b""))
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.rstrip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await self._reader.readexactly(int(headers["content-length"]))
        if headers.get("connection") == "close":
            self.close()
        return int(first.split()[1]), headers, json.loads(body)

    def close(self) -> None:
        if self._writer is not None:
            with suppress(OSError, RuntimeError):
                self._writer.close()
        self._reader = self._writer = None
