"""Tests that every backend inherits, and events in the shapes that Label Studio sends.

    class TestContract(BackendContract):
        backend = MyModel
        label_config = '<View>…</View>'
        tasks = [{"id": 1, "data": {"text": "a text"}}]

pytest finds the tests of BackendContract through that class. No server and no Label Studio is needed.
"""

import contextlib
import copy
import json
import math
import pickle
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

from backends import label_config as label_configs
from backends.annotations import MemoryAnnotations
from backends.base import LabelStudioMLBase
from backends.errors import BackendError
from backends.response import to_results
from backends.services import Services
from backends.signatures import call_accepting
from backends.state import MODEL_VERSION, MemoryState

_UNKNOWN_ID = 987_654_321
_PROJECT = {"id": 1, "title": "A project", "created_at": "2026-01-01T00:00:00.000000Z"}


class Event(NamedTuple):
    """A webhook as `fit()` gets it: `model.fit(*event)`."""

    action: str
    data: dict[str, Any]


def annotation_event(
    task: dict[str, Any],
    result: list[dict[str, Any]],
    *,
    annotation_id: int = 1,
    action: str = "ANNOTATION_CREATED",
    skipped: bool = False,
    label_config: str = "",
) -> Event:
    """Return the event of one annotation of a task: created, or ANNOTATION_UPDATED, or skipped."""
    annotation = _annotation(task, result, annotation_id, skipped)
    return _event(action, label_config, annotation=annotation, task=task)


def bulk_event(
    annotated: Sequence[tuple[dict[str, Any], list[dict[str, Any]]]], *, first_id: int = 1, label_config: str = ""
) -> Event:
    """Return the event of many annotations made at once: pairs of a task and its result."""
    annotations = [_annotation(task, result, first_id + i, False) for i, (task, result) in enumerate(annotated)]
    return _event("ANNOTATIONS_CREATED", label_config, annotation=annotations, task=[task for task, _ in annotated])


def deletion_event(*annotation_ids: int, label_config: str = "") -> Event:
    """Return the event of deleted annotations. Label Studio says no more of them than their ids."""
    return _event("ANNOTATIONS_DELETED", label_config, annotations=[{"id": number} for number in annotation_ids])


def training_event(label_config: str = "") -> Event:
    """Return the event of the button that starts training."""
    return _event("START_TRAINING", label_config)


def choices_region(from_name: str, to_name: str, *choices: str) -> dict[str, Any]:
    """Return the region of a `Choices` control."""
    return {"from_name": from_name, "to_name": to_name, "type": "choices", "value": {"choices": list(choices)}}


def sample_result(label_config: str, number: int = 0) -> list[dict[str, Any]]:
    """Return what an annotator might have made: a region per control, with its label of that number."""
    regions: list[dict[str, Any]] = []
    for name, tag in label_configs.parse(label_config).parsed.items():
        kind = tag["type"].lower()
        labels = tag["labels"]
        label = labels[number % len(labels)] if labels else "A label"
        value = _sample_value(kind, label)
        if value is not None:
            region = {"id": f"{name}-{number}", "from_name": name, "to_name": tag["to_name"][0], "type": kind}
            on_image = any(shown["type"] == "Image" for shown in tag["inputs"])
            size = {"original_width": 640, "original_height": 480, "image_rotation": 0} if on_image else {}
            regions.append({**region, **size, "origin": "manual", "value": value})
    return regions


class StoredState(MemoryState):
    """State that gives back copies, as the server does, and refuses what cannot be stored."""

    def get(self, key: str) -> Any:
        """Return a copy of the value, or None."""
        value = super().get(key)
        return value if key == MODEL_VERSION or value is None else pickle.loads(value)  # noqa: S301

    def set(self, key: str, value: Any) -> None:
        """Keep a copy of the value."""
        super().set(key, value if key == MODEL_VERSION else pickle.dumps(value))


def train(model: LabelStudioMLBase, event: Event, job_id: str = "1") -> Any:
    """Give a model made in a test an event as the server does, its annotations included.

    `model.annotations()` knows of it then; calling `model.fit(*event)` alone leaves it as it was.
    """
    remembered = model._services.annotated_tasks
    if isinstance(remembered, MemoryAnnotations):
        remembered.apply(event.action, copy.deepcopy(event.data))
    return model.process_event(event.action, copy.deepcopy(event.data), job_id, {})


class BackendContract:
    """What Label Studio and the server count on in a backend. Derive a class named Test… from it."""

    backend: ClassVar[type[LabelStudioMLBase]]
    label_config: ClassVar[str]
    """A labelling config that the backend is made for, XML."""

    tasks: ClassVar[Sequence[dict[str, Any]]]
    """A few tasks for it, `{"id", "data"}`."""

    events: ClassVar[Sequence[Event]] = ()
    """What it is trained on, in order; made up from config and tasks where there are none."""

    def build(self, services: Services | None = None) -> LabelStudioMLBase:
        """Make an instance as the server does. Override it to put a stand-in for what a test must not call."""
        services = services or Services(StoredState())
        return self.backend.build(services, project_id="1", label_config=self.label_config)

    def predictions(self, model: LabelStudioMLBase, tasks: Sequence[dict[str, Any]], context: Any = None) -> list[Any]:
        """Return what Label Studio gets for the tasks, each item as a list of predictions."""
        answer = call_accepting(model.predict, copy.deepcopy(list(tasks)), context=context)
        results = to_results(answer, len(tasks), model.model_version)
        return [item if isinstance(item, list) else [item] for item in results]

    def train(self, model: LabelStudioMLBase, events: Sequence[Event]) -> None:
        """Give the model the events, as a worker does."""
        for number, event in enumerate(events):
            try:
                train(model, event, job_id=str(number))
            except Exception as exc:
                exc.add_note(f"The event was {event.action}.")
                raise

    def training_events(self) -> Sequence[Event]:
        """Return every kind of event that trains: created, updated, skipped, in bulk, deleted, by the button."""
        if self.events:
            return [Event(*event) for event in self.events]
        config = self.label_config
        annotated = [(task, sample_result(config, number)) for number, task in enumerate(self.tasks)]
        task, result = annotated[0]
        return [
            training_event(config),
            *(annotation_event(*pair, annotation_id=i, label_config=config) for i, pair in enumerate(annotated, 1)),
            annotation_event(task, sample_result(config, 1), action="ANNOTATION_UPDATED", label_config=config),
            annotation_event(task, [], annotation_id=101, skipped=True, label_config=config),
            annotation_event(task, result, annotation_id=102, skipped=True, label_config=config),
            annotation_event(task, [], annotation_id=103, label_config=config),
            bulk_event(annotated, first_id=201, label_config=config),
            deletion_event(201, 102, label_config=config),
            _event("TASKS_DELETED", config, tasks=[{"id": _UNKNOWN_ID}]),
            training_event(config),
        ]

    # --- Before anything is learnt -------------------------------------------------------------

    def test_it_can_be_made_without_a_labelling_config(self) -> None:
        for label_config in (None, ""):
            # It may say in words what it needs: those reach Label Studio's user.
            with contextlib.suppress(BackendError):
                self.backend.build(Services(StoredState()), project_id="1", label_config=label_config)

    def test_it_has_a_version_and_predicting_does_not_change_it(self) -> None:
        model = self.build()
        before = model.model_version
        self.predictions(model, self.tasks)
        assert before.strip(), "The model version is empty; Label Studio tells models apart by it."
        assert model.model_version == before, "predict() changed the model version; only fit() may."

    def test_it_predicts_an_item_per_task(self) -> None:
        self._check(self.predictions(self.build(), self.tasks))

    def test_it_answers_no_tasks_with_no_predictions(self) -> None:
        assert self.predictions(self.build(), []) == []

    def test_it_survives_a_task_without_data(self) -> None:
        predictions = self.predictions(self.build(), [self.tasks[0], {"id": _UNKNOWN_ID, "data": {}}])
        assert len(predictions) == 2, "One task without its data must not cost the others their predictions."

    def test_it_answers_while_a_task_is_being_labelled(self) -> None:
        for result in ([], sample_result(self.label_config)):
            self._check(self.predictions(self.build(), self.tasks[:1], context={"result": result}))

    def test_it_leaves_the_tasks_as_they_were(self) -> None:
        tasks = copy.deepcopy(list(self.tasks))
        self.build().predict(tasks)
        assert tasks == list(self.tasks), "predict() changed the tasks that it was given; work on copies."

    # --- Learning ------------------------------------------------------------------------------

    def test_it_predicts_after_every_event_that_label_studio_sends(self) -> None:
        model = self.build()
        for event in self.training_events():
            self.train(model, [event])
            self._check(self.predictions(model, self.tasks))

    def test_it_survives_the_same_events_twice(self) -> None:
        model = self.build()
        self.train(model, [*self.training_events(), *self.training_events()])
        self._check(self.predictions(model, self.tasks))

    def test_it_survives_the_deletion_of_annotations_it_never_saw(self) -> None:
        model = self.build()
        self.train(model, [deletion_event(_UNKNOWN_ID, label_config=self.label_config)])
        self._check(self.predictions(model, self.tasks))

    def test_what_it_learnt_is_in_its_state(self) -> None:
        services = Services(StoredState())
        model = self.build(services)
        self.train(model, self.training_events())
        learnt, restarted = (_scores(self.predictions(one, self.tasks)) for one in (model, self.build(services)))
        assert learnt == restarted, (
            "A new instance on the same state and files scores otherwise than the one that learnt. "
            "Keep what fit() learns with self.set() or in self.artifact_path()."
        )

    def _check(self, predictions: list[Any]) -> None:
        """Assert that Label Studio can store and show the predictions of all tasks."""
        json.dumps(predictions, allow_nan=False)
        interface = label_configs.parse(self.label_config).interface
        for prediction in (prediction for item in predictions for prediction in item):
            assert math.isfinite(prediction["score"]), "A score must be finite: Label Studio orders tasks by it."
            # The score is left out: the SDK holds it to 0…1, Label Studio does not.
            wrong = interface.validate_prediction({"result": prediction["result"]}, return_errors=True)
            assert not wrong, f"Label Studio cannot show this prediction: {'; '.join(wrong)}"


def _event(action: str, label_config: str, **data: Any) -> Event:
    return Event(action, copy.deepcopy({**data, "project": {**_PROJECT, "label_config": label_config}}))


def _annotation(task: dict[str, Any], result: list[dict[str, Any]], number: int, skipped: bool) -> dict[str, Any]:
    return {
        "id": number,
        "result": result,
        "was_cancelled": skipped,
        "ground_truth": False,
        "created_at": "2026-01-01T00:00:01.000000Z",
        "updated_at": "2026-01-01T00:00:01.000000Z",
        "lead_time": 1.5,
        "prediction": {},
        "result_count": len(result),
        "task": task.get("id"),
        "project": _PROJECT["id"],
        "completed_by": 1,
        "parent_prediction": None,
        "parent_annotation": None,
    }


def _sample_value(kind: str, label: str) -> dict[str, Any] | None:
    """Return the value of a region of that type; None for types whose regions cannot be made up."""
    labels = {kind: [label]} if kind.endswith("labels") else {}
    match kind.removesuffix("labels"):
        case "choices":
            return {"choices": [label]}
        case "taxonomy":
            return {"taxonomy": [[label]]}
        case "textarea":
            return {"text": ["A text"]}
        case "rating" | "number":
            return {kind: 3}
        case "rectangle":
            return {"x": 10.0, "y": 10.0, "width": 20.0, "height": 20.0, "rotation": 0, **labels}
        case "ellipse":
            return {"x": 30.0, "y": 30.0, "radiusX": 10.0, "radiusY": 10.0, "rotation": 0, **labels}
        case "keypoint":
            return {"x": 30.0, "y": 30.0, "width": 1.0, **labels}
        case "polygon":
            return {"points": [[10.0, 10.0], [30.0, 10.0], [20.0, 30.0]], "closed": True, **labels}
        case "":
            return {"start": 0, "end": 1, "text": "A", **labels}
        case "timeseries":
            return {"start": 0, "end": 1, "instant": False, **labels}
        case "hypertext" | "paragraph":
            return {"start": "0", "end": "0", "startOffset": 0, "endOffset": 1, "text": "A", **labels}
    return None


def _scores(predictions: list[Any]) -> list[float]:
    # Rounded, as sums of the same numbers differ in their last digits.
    return [round(prediction["score"], 4) for item in predictions for prediction in item]
