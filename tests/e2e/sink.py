"""A backend that answers everything and writes down what it was asked."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.e2e.connected import chosen
from tests.e2e.wire import Request

VERSION = "0.0.1"


class Sink(ThreadingHTTPServer):
    """Listens on a free loopback port and keeps every request."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[Request] = []

    @property
    def url(self) -> str:
        """The address to give to Label Studio."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def last(self, path: str, action: str = "") -> Request:
        """Return the newest request to the path, and for /webhook of the action."""
        found = [asked for asked in self.requests if asked.path == path and _action(asked) == action]
        assert found, f"Label Studio did not ask for {path} {action}"
        return found[-1]


@contextmanager
def listening() -> Iterator[Sink]:
    """Answer requests until the block ends."""
    with Sink() as sink:
        threading.Thread(target=sink.serve_forever, daemon=True).start()
        try:
            yield sink
        finally:
            sink.shutdown()


class _Handler(BaseHTTPRequestHandler):
    server: Sink

    def do_GET(self) -> None:
        self._answer(None)

    def do_POST(self) -> None:
        self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def _answer(self, body: Any) -> None:
        self.server.requests.append(Request(self.command, self.path, dict(self.headers), body))
        content = json.dumps(_answer_to(self.path, body)).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def _answer_to(path: str, body: Any) -> dict[str, Any]:
    if path == "/predict":
        return {"results": [_prediction(task["id"]) for task in body["tasks"]]}
    answers: dict[str, dict[str, Any]] = {
        "/setup": {"model_version": VERSION},
        "/versions": {"versions": [VERSION]},
        "/webhook": {"status": "ok", "job": "1"},
    }
    return answers.get(path, {"status": "UP"})


def _prediction(task_id: int) -> dict[str, Any]:
    choice = "Neutral" if task_id % 2 else "Positive"
    return {"result": [chosen(choice)], "score": 0.5, "model_version": VERSION}


def _action(request: Request) -> str:
    return str(request.body["action"]) if request.path == "/webhook" else ""
