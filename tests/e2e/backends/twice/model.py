"""Give two predictions for every task."""

from typing import Any

from backends import LabelStudioMLBase, ModelResponse


class Twice(LabelStudioMLBase):
    """As a model does that has a second guess."""

    def predict(
        self, tasks: list[dict[str, Any]], context: dict[str, Any] | None = None, **kwargs: Any
    ) -> ModelResponse:
        """Return two guesses per task, the better one first."""
        guesses = [{"result": [], "score": 0.75}, {"result": [], "score": 0.25}]
        return ModelResponse(predictions=[guesses for _ in tasks])
