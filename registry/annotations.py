"""Keep the latest state of every annotation, and read the training set from it."""

from collections.abc import Iterator, Mapping
from typing import Any

import orjson
from django.db import connection
from django.db.models import QuerySet
from psycopg2.extras import execute_values

from backends import annotations
from backends.annotations import AnnotationState
from registry.lineage import Manifest
from registry.models import AnnotatedTask, Annotation

_CHUNK = 200

# One statement for a whole bulk event. A tombstone is never overwritten, nor a newer state by an
# older one that arrives after it; where Label Studio gave no time, the last to arrive counts.
_KEEP_ANNOTATIONS = """
    INSERT INTO registry_annotation AS known (project_id, ls_id, task_ls_id, updated_at, body, skipped, deleted)
    VALUES %s
    ON CONFLICT (project_id, ls_id) DO UPDATE SET
        task_ls_id = COALESCE(excluded.task_ls_id, known.task_ls_id), updated_at = excluded.updated_at,
        body = excluded.body, skipped = excluded.skipped, deleted = excluded.deleted
    WHERE NOT known.deleted AND (
        excluded.deleted OR excluded.updated_at IS NULL OR known.updated_at IS NULL
        OR excluded.updated_at >= known.updated_at)
"""
_KEEP_TASKS = """
    INSERT INTO registry_annotatedtask AS known (project_id, ls_id, updated_at, body, deleted) VALUES %s
    ON CONFLICT (project_id, ls_id) DO UPDATE SET updated_at = excluded.updated_at, body = excluded.body
    WHERE excluded.updated_at IS NULL OR known.updated_at IS NULL OR excluded.updated_at >= known.updated_at
"""
_BURY_TASKS = """
    INSERT INTO registry_annotatedtask (project_id, ls_id, updated_at, body, deleted) VALUES %s
    ON CONFLICT (project_id, ls_id) DO UPDATE SET deleted = true
"""


def apply(project_id: int, action: str, data: Mapping[str, Any]) -> None:
    """Take in what an event says of annotations."""
    # A bulk event may name one annotation twice, which one statement must not: the last counts.
    states = {state.annotation_id: state for state in annotations.states(action, data)}
    tasks = {state.task["id"]: state.task for state in states.values() if state.task is not None}
    _execute(_KEEP_TASKS, [_task_row(project_id, task) for task in tasks.values()])
    _execute(_KEEP_ANNOTATIONS, [_annotation_row(project_id, state) for state in states.values()])
    gone = dict.fromkeys(annotations.deleted_tasks(action, data))
    _execute(_BURY_TASKS, [(project_id, number, None, b"{}", True) for number in gone])


class ProjectAnnotations:
    """The annotated tasks of one project, read a few at a time."""

    def __init__(self, project_id: int, tasks: QuerySet[AnnotatedTask] | None = None) -> None:
        self._project_id = project_id
        every = AnnotatedTask.objects.all() if tasks is None else tasks
        self._tasks = every.filter(project_id=project_id, deleted=False)
        self.manifest = Manifest()
        """What was read the last time."""

    def annotated_tasks(self, include_skipped: bool) -> Iterator[dict[str, Any]]:
        """Yield the tasks in the order of their ids; see the AnnotatedTasks protocol."""
        manifest = self.manifest = Manifest()
        last = -1
        while tasks := self._tasks_after(last):
            last = tasks[-1][0]
            kept = self._annotations_of([number for number, _ in tasks], include_skipped)
            for number, body in tasks:
                if number in kept:
                    for annotation in kept[number]:
                        manifest.add(annotation)
                    yield orjson.loads(body) | {"annotations": kept[number]}

    def _tasks_after(self, last: int) -> list[tuple[int, bytes]]:
        tasks = self._tasks.filter(ls_id__gt=last)
        return [(number, bytes(body)) for number, body in tasks.order_by("ls_id").values_list("ls_id", "body")[:_CHUNK]]

    def _annotations_of(self, tasks: list[int], include_skipped: bool) -> dict[int, list[dict[str, Any]]]:
        rows = Annotation.objects.filter(project_id=self._project_id, task_ls_id__in=tasks, deleted=False)
        if not include_skipped:
            rows = rows.filter(skipped=False)
        found: dict[int, list[dict[str, Any]]] = {}
        for row in rows.order_by("ls_id"):
            if row.task_ls_id is not None and row.body is not None:
                found.setdefault(row.task_ls_id, []).append(orjson.loads(bytes(row.body)))
        return found


def _task_row(project_id: int, task: dict[str, Any]) -> tuple[Any, ...]:
    return project_id, task["id"], annotations.time_of(task.get("updated_at")), orjson.dumps(task), False


def _annotation_row(project_id: int, state: AnnotationState) -> tuple[Any, ...]:
    body = None if state.annotation is None else orjson.dumps(state.annotation)
    task = None if state.task is None else state.task["id"]
    return project_id, state.annotation_id, task, state.updated_at, body, state.skipped, body is None


def _execute(statement: str, rows: list[tuple[Any, ...]]) -> None:
    if rows:
        with connection.cursor() as cursor:
            execute_values(cursor.cursor, statement, rows, page_size=500)
