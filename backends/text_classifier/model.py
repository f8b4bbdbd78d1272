"""Classify texts by what people chose before: TF-IDF and logistic regression."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import Pipeline, make_pipeline

from backends import LabelConfigError, LabelStudioMLBase, ModelResponse, TrainingPolicy

_THRESHOLD = 0.5


@dataclass(frozen=True)
class Target:
    """The control that is learnt: any `Choices` over a `Text`."""

    from_name: str
    to_name: str
    field: str
    labels: tuple[str, ...]
    multiple: bool


class TextClassifier(LabelStudioMLBase):
    """Learns any `Choices` over `Text`, single or multiple, from the annotations of its project."""

    # With a task its annotations go, of which Label Studio says nothing more.
    TRAIN_EVENTS = (*LabelStudioMLBase.TRAIN_EVENTS, "TASKS_DELETED")
    # Each fit learns from all annotations there are, so one does for every event that waits.
    training_policy = TrainingPolicy()

    def setup(self) -> None:
        """Load the model, so that the first prediction need not."""
        self.get("model")

    def predict(
        self, tasks: list[dict[str, Any]], context: dict[str, Any] | None = None, **kwargs: Any
    ) -> ModelResponse:
        """Return the most probable choice per task, scored by its probability."""
        target = self._target()
        model: Pipeline | None = self.get("model")
        if model is None or not tasks:
            return ModelResponse(predictions=[_nothing() for _ in tasks])
        probabilities = model.predict_proba([_text(task, target) for task in tasks])
        classes: list[str] = self.get("classes")
        return ModelResponse(predictions=[_prediction(target, classes, row) for row in probabilities])

    def fit(self, event: str, data: dict[str, Any], **kwargs: Any) -> dict[str, int]:
        """Learn anew from every text that has an answer now, whichever event it was that came."""
        target = self._target()
        rows = list(self._examples(target))
        self._learn(rows, target)
        self.log_metrics({"examples": len(rows)})
        return {"examples": len(rows)}

    def _examples(self, target: Target) -> Iterator[tuple[str, list[str]]]:
        """Yield each annotated text with the choices to learn for it."""
        for task in self.annotations():
            text = _text(task, target)
            for annotation in task["annotations"]:
                choices = _chosen(annotation, target)
                if choices and text.strip():
                    yield text, choices

    def _learn(self, rows: list[tuple[str, list[str]]], target: Target) -> None:
        classes = sorted({choice for _, choices in rows for choice in choices})
        if len(classes) < 2:
            # One label alone teaches nothing; and when annotations were deleted, neither does what
            # had been learnt from them.
            if self.get("model") is not None:
                self.set("model", None)
            return
        classifier: Any = LogisticRegression(C=10.0, class_weight="balanced", max_iter=1000)
        labels: Any = [choices[0] for _, choices in rows]
        if target.multiple:
            classifier = OneVsRestClassifier(classifier)
            labels = [[int(name in choices) for name in classes] for _, choices in rows]
        # Word pieces as well as words, so that a few short texts in any language already tell.
        model = make_pipeline(TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 5), sublinear_tf=True), classifier)
        with warnings.catch_warnings():
            # A choice that every text has is learnt as just that.
            warnings.filterwarnings("ignore", message="Label .* is present in all training examples")
            model.fit([text for text, _ in rows], labels)
        # In the order of the columns that the model predicts.
        self.set("classes", classes)
        self.set("model", model)

    def _target(self) -> Target:
        for from_name, tag in self.parsed_label_config.items():
            if tag["type"] != "Choices":
                continue
            for to_name, shown in zip(tag["to_name"], tag["inputs"], strict=False):
                if shown["type"] == "Text":
                    field = shown.get("value", "")
                    return Target(from_name, to_name, field, tuple(tag["labels"]), self._is_multiple(from_name))
        raise LabelConfigError(
            'The text classifier needs a <Choices> over a <Text>, as in <Text name="text" value="$text"/>'
            '<Choices name="topic" toName="text">…</Choices>; the labelling config of this project has none.'
        )

    def _is_multiple(self, from_name: str) -> bool:
        return bool(self.label_interface.get_control(from_name).attr.get("choice", "").startswith("multiple"))


def _chosen(annotation: dict[str, Any], target: Target) -> list[str]:
    """Return the choices to learn from: those the config still has, and one where only one can be chosen."""
    regions = [region for region in annotation.get("result") or [] if region.get("from_name") == target.from_name]
    choices = [choice for region in regions for choice in region.get("value", {}).get("choices", [])]
    known = [choice for choice in choices if choice in target.labels]
    return known if target.multiple else known[:1]


def _text(task: dict[str, Any], target: Target) -> str:
    value = task.get("data", {}).get(target.field)
    return "" if value is None else str(value)


def _prediction(target: Target, classes: list[str], probabilities: Any) -> dict[str, Any]:
    ranked = sorted(zip(probabilities.tolist(), classes, strict=True), reverse=True)
    known = [(label, probability) for probability, label in ranked if label in target.labels]
    if not known:
        return _nothing()
    chosen = [pair for pair in known if pair[1] >= _THRESHOLD] if target.multiple else known[:1]
    if not chosen:
        return {"result": [], "score": 1.0 - known[0][1]}
    region = {
        "from_name": target.from_name,
        "to_name": target.to_name,
        "type": "choices",
        "value": {"choices": [label for label, _ in chosen]},
    }
    return {"result": [region], "score": min(probability for _, probability in chosen)}


def _nothing() -> dict[str, Any]:
    return {"result": [], "score": 0.0}
