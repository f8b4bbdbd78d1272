"""Fail where the task or the annotation asks for it."""

from typing import Any

from backends import LabelStudioMLBase


class Fragile(LabelStudioMLBase):
    """Breaks on the word “break”, in predict() and in fit()."""

    def predict(self, tasks: list[dict[str, Any]], context: dict[str, Any] | None = None, **kwargs: Any) -> Any:
        """Return an empty prediction per task, or raise."""
        if any("break" in task["data"]["text"] for task in tasks):
            raise ZeroDivisionError("the model broke while predicting")
        return [{"result": [], "score": 0.5} for _ in tasks]

    def fit(self, event: str, data: dict[str, Any], **kwargs: Any) -> None:
        """Count the annotation, or raise."""
        if "break" in data.get("task", {}).get("data", {}).get("text", ""):
            raise ZeroDivisionError("the model broke while learning")
        self.set("count", (self.get("count") or 0) + 1)
