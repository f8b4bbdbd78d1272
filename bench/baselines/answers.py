"""What every baseline answers: the server's own answers, without its work."""

from typing import Any

_REGION = {"from_name": "sentiment", "to_name": "text", "type": "choices", "value": {"choices": ["Positive"]}}


def answer(endpoint: str, message: Any) -> tuple[int, dict[str, Any]]:
    """Return the status and the answer to a request whose body is parsed already."""
    match endpoint:
        case "health":
            return 200, {"status": "UP", "backend": "constant"}
        case "setup":
            return 200, {"model_version": "constant"}
        case "predict":
            return 200, {"results": [_prediction() for _ in message["tasks"]]}
        case _:
            return 201, {"status": "ok", "event": "1", "job": "1"}


def _prediction() -> dict[str, Any]:
    return {"result": [_REGION], "score": 0.5, "model_version": "constant"}
