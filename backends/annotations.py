"""The current annotations of a project, made up from the events about them.

Events arrive out of order, and a deletion carries nothing but ids. So of two states of one
annotation the one that Label Studio updated later counts, and what is deleted stays deleted.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

_CREATED_OR_UPDATED = frozenset({"ANNOTATION_CREATED", "ANNOTATION_UPDATED", "ANNOTATIONS_CREATED"})
_DELETED = frozenset({"ANNOTATION_DELETED", "ANNOTATIONS_DELETED"})


@dataclass(frozen=True)
class AnnotationState:
    """What an event says of one annotation."""

    annotation_id: int
    updated_at: datetime | None
    """By Label Studio's clock; a deletion does not say when."""
    annotation: dict[str, Any] | None = None
    """None where it is deleted."""
    task: dict[str, Any] | None = None

    @property
    def skipped(self) -> bool:
        """Whether the annotator skipped the task."""
        return bool(self.annotation and self.annotation.get("was_cancelled"))


class AnnotatedTasks(Protocol):
    """The tasks of a project that have annotations."""

    def annotated_tasks(self, include_skipped: bool) -> Iterator[dict[str, Any]]:
        """Yield each task as Label Studio sent it, with its current `annotations`."""


def states(action: str, data: Mapping[str, Any]) -> list[AnnotationState]:
    """Return what an event says of annotations. What cannot be read is left out: no event is refused."""
    if action in _CREATED_OR_UPDATED:
        pairs = zip(_listed(data.get("annotation")), _listed(data.get("task")), strict=False)
        return [state for annotation, task in pairs if (state := _state(annotation, task))]
    if action in _DELETED:
        gone = _listed(data.get("annotations")) or _listed(data.get("annotation"))
        return [AnnotationState(number, None) for item in gone if (number := _id(item)) is not None]
    return []


def deleted_tasks(action: str, data: Mapping[str, Any]) -> list[int]:
    """Return the ids of the tasks that an event says are deleted, and their annotations with them."""
    if action != "TASKS_DELETED":
        return []
    return [number for task in _listed(data.get("tasks")) if (number := _id(task)) is not None]


def time_of(value: Any) -> datetime | None:
    """Read one of Label Studio's times, ISO 8601."""
    try:
        time = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


class MemoryAnnotations:
    """Annotated tasks in memory: for unit tests, and for a backend used on its own."""

    def __init__(self) -> None:
        self._states: dict[int, AnnotationState] = {}
        self._tasks: dict[int, dict[str, Any]] = {}
        self._deleted_tasks: set[int] = set()

    def apply(self, action: str, data: Mapping[str, Any]) -> None:
        """Take in what an event says."""
        for state in states(action, data):
            known = self._states.get(state.annotation_id)
            if known is None or _replaces(state, known):
                self._states[state.annotation_id] = state
            if state.task is not None:
                self._keep_task(state.task)
        self._deleted_tasks.update(deleted_tasks(action, data))

    def annotated_tasks(self, include_skipped: bool) -> Iterator[dict[str, Any]]:
        """Yield the tasks in the order of their ids; see the AnnotatedTasks protocol."""
        for number, task in sorted(self._tasks.items()):
            if number in self._deleted_tasks:
                continue
            kept = [
                state.annotation
                for _, state in sorted(self._states.items())
                if state.annotation and state.task and state.task["id"] == number
                if include_skipped or not state.skipped
            ]
            if kept:
                yield task | {"annotations": kept}

    def _keep_task(self, task: dict[str, Any]) -> None:
        known = self._tasks.get(task["id"])
        if known is None or _not_older(time_of(task.get("updated_at")), time_of(known.get("updated_at"))):
            self._tasks[task["id"]] = task


def _replaces(new: AnnotationState, known: AnnotationState) -> bool:
    if known.annotation is None:
        return False
    return new.annotation is None or _not_older(new.updated_at, known.updated_at)


def _not_older(new: datetime | None, known: datetime | None) -> bool:
    return new is None or known is None or new >= known


def _state(annotation: Any, task: Any) -> AnnotationState | None:
    number = _id(annotation)
    if number is None or _id(task) is None:
        return None
    return AnnotationState(number, time_of(annotation.get("updated_at")), annotation, task)


def _id(item: Any) -> int | None:
    number = item.get("id") if isinstance(item, dict) else None
    return number if type(number) is int and 0 <= number < 2**63 else None


def _listed(value: Any) -> list[Any]:
    if isinstance(value, list):
        return value
    return [] if value is None else [value]
