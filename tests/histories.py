"""Events as Label Studio sends them of one project, at times of the test's choosing."""

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.factories import project_json

_START = datetime(2026, 11, 23, 8, tzinfo=UTC)


def at(second: float) -> str:
    """Return that second of the history in the form that Label Studio sends."""
    return (_START + timedelta(seconds=second)).isoformat().replace("+00:00", "Z")


def made(number: int, second: float, choice: str = "Positive", *, task: int = 1, skipped: bool = False) -> Any:
    """Return the event of an annotation made at that second; a skip comes as one too."""
    return _said("ANNOTATION_CREATED", _annotation(number, second, choice, skipped), _task(task, second))


def changed(number: int, second: float, choice: str, *, task: int = 1, skipped: bool = False) -> Any:
    """Return the event of an annotation changed at that second."""
    return _said("ANNOTATION_UPDATED", _annotation(number, second, choice, skipped), _task(task, second))


def made_in_bulk(second: float, *annotations: tuple[int, int]) -> Any:
    """Return the event of annotations made at once: pairs of the annotation's id and its task's."""
    return _said(
        "ANNOTATIONS_CREATED",
        [_annotation(number, second, "Positive", False) for number, _ in annotations],
        [_task(task, second) for _, task in annotations],
    )


def deleted(*numbers: int) -> Any:
    """Return the event of deleted annotations, of which Label Studio says no more than the ids."""
    return {
        "action": "ANNOTATIONS_DELETED",
        "annotations": [{"id": number} for number in numbers],
        "project": project_json(),
    }


def tasks_deleted(*numbers: int) -> Any:
    """Return the event of deleted tasks."""
    return {"action": "TASKS_DELETED", "tasks": [{"id": number} for number in numbers], "project": project_json()}


def button() -> Any:
    """Return the event of the button that starts training."""
    return {"action": "START_TRAINING", "project": project_json()}


def choices(tasks: Any) -> dict[int, dict[int, str]]:
    """Return what the annotations chose, by task and annotation."""
    return {
        task["id"]: {item["id"]: item["result"][0]["value"]["choices"][0] for item in task["annotations"]}
        for task in tasks
    }


def _said(action: str, annotation: Any, task: Any) -> dict[str, Any]:
    return {"action": action, "annotation": annotation, "task": task, "project": project_json()}


def _annotation(number: int, second: float, choice: str, skipped: bool) -> dict[str, Any]:
    region = {"from_name": "sentiment", "to_name": "text", "type": "choices", "value": {"choices": [choice]}}
    return {"id": number, "result": [region], "was_cancelled": skipped, "updated_at": at(second)}


def _task(number: int, second: float) -> dict[str, Any]:
    # Label Studio touches a task each time it is annotated.
    return {"id": number, "data": {"text": f"text {number}"}, "updated_at": at(second)}
