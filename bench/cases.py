"""The requests that are measured: what a real Label Studio sends, with tasks of 1 KB."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_WIRE = Path(__file__).resolve().parent.parent / "tests" / "wire"
_TASK_BYTES = 1024


@dataclass(frozen=True)
class Case:
    """One request, sent over and over."""

    name: str
    path: str
    body: bytes | None = None

    @property
    def method(self) -> str:
        """GET, or POST where there is a body."""
        return "GET" if self.body is None else "POST"


def all_cases() -> list[Case]:
    """Return the cases in the order they are measured in."""
    return [
        Case("health", "/health"),
        Case("setup", "/setup", _dump(recorded("setup"))),
        Case("predict 1", "/predict", _predict(1)),
        Case("predict 50", "/predict", _predict(50)),
        Case("webhook", "/webhook", _dump(recorded("webhook_ANNOTATION_CREATED"))),
    ]


def _predict(count: int) -> bytes:
    message = recorded("predict_single")
    [task] = message["tasks"]
    padding = _TASK_BYTES - len(_dump(task))
    task["data"]["text"] += " word" * (padding // 5)
    message["tasks"] = [task | {"id": number} for number in range(1, count + 1)]
    return _dump(message)


def recorded(name: str) -> dict[str, Any]:
    """Return the body of a recorded request."""
    body: dict[str, Any] = json.loads((_WIRE / f"{name}.json").read_text())["json"]
    return body


def _dump(message: dict[str, Any]) -> bytes:
    return json.dumps(message).encode()
