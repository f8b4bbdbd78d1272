"""Find a project by what Label Studio says of it."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import F

from registry.connections import on_a_living_connection
from registry.errors import InvalidProjectKey
from registry.models import Project

_KEY = re.compile(r"(\d{1,18})(?:\.(\d{1,18}))?", re.ASCII)


_COLUMNS = "SELECT id, generation, state_revision FROM registry_project WHERE backend = %s AND ls_id = %s"
_EXACT = f"{_COLUMNS} AND ls_created = %s"
_NEWEST = f"{_COLUMNS} ORDER BY ls_created DESC LIMIT 1"


@dataclass(frozen=True)
class Standing:
    """What tells a process whether its warm instance is still the right one."""

    project_id: int
    generation: int
    """Counts the versions made live; another one calls for a new instance."""
    revision: int
    """Counts the writes to the live version; another one calls for reading the state again."""


@dataclass(frozen=True)
class ProjectKey:
    """A project's number in Label Studio and its creation second, None where it was not said."""

    ls_id: int
    created: int | None


def parse_key(value: Any) -> ProjectKey:
    """Read `project` of /setup and /predict: "52.1795419125", "52" or 52."""
    text = str(value) if type(value) in (str, int) else ""
    if match := _KEY.fullmatch(text):
        return ProjectKey(int(match[1]), int(match[2]) if match[2] else None)
    raise InvalidProjectKey(
        'project must be the text that Label Studio sends, "<id>.<creation second>" as in "52.1795419125".'
    )


def parse_webhook_key(project: Any) -> ProjectKey:
    """Read `project` of a webhook: an object with `id` and `created_at`, or what `parse_key` takes."""
    if not isinstance(project, dict):
        return parse_key(project)
    if "id" not in project:
        raise InvalidProjectKey("project.id is missing; it must be the project's number in Label Studio.")
    key = parse_key(project["id"])
    return ProjectKey(key.ls_id, _epoch(project.get("created_at")) if key.created is None else key.created)


def find(backend: str, key: ProjectKey) -> Project | None:
    """Return the project, without its config; by id alone the newest one of that id."""
    rows = Project.objects.filter(backend=backend, ls_id=key.ls_id).select_related("live").defer("label_config")
    if key.created is not None:
        rows = rows.filter(ls_created=key.created)
    return rows.order_by("-ls_created").first()


def standing(backend: str, key: ProjectKey) -> Standing:
    """Return how the project stands; one that Label Studio names for the first time is made.

    Asked before every prediction, so it is one indexed query, past the ORM: building the same
    query through it costs ten times what Postgres takes to answer.
    """
    row = on_a_living_connection(lambda: _standing(backend, key))
    if row is None:
        project = find_or_create(backend, key)
        return Standing(project.pk, project.generation, project.state_revision)
    return Standing(*row)


def find_or_create(backend: str, key: ProjectKey) -> Project:
    """Return the project, made where Label Studio names it for the first time."""
    project = on_a_living_connection(lambda: find(backend, key))
    if project is None:
        project, _ = Project.objects.get_or_create(backend=backend, ls_id=key.ls_id, ls_created=key.created or 0)
    return project


def remember(project: Project, **facts: Any) -> None:
    """Store what Label Studio said of the project, where it is news; instances then read it anew."""
    news = {name: value for name, value in facts.items() if getattr(project, name) != value}
    if not news:
        return
    for name, value in news.items():
        setattr(project, name, value)
    project.save(update_fields=list(news))
    Project.objects.filter(pk=project.pk).update(state_revision=F("state_revision") + 1)


def _standing(backend: str, key: ProjectKey) -> tuple[int, int, int] | None:
    with connection.cursor() as cursor:
        if key.created is None:
            cursor.execute(_NEWEST, [backend, key.ls_id])
        else:
            cursor.execute(_EXACT, [backend, key.ls_id, key.created])
        row: tuple[int, int, int] | None = cursor.fetchone()
        return row


def _epoch(created_at: Any) -> int | None:
    try:
        return int(datetime.fromisoformat(created_at).timestamp())
    except (TypeError, ValueError, OverflowError):
        return None
