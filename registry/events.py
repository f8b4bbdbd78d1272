"""Receive webhooks: store first, then see to the training."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import transaction

from backends import loading
from registry import projects, training, versions
from registry.models import Event, Project, TrainingRun
from registry.projects import ProjectKey


@dataclass(frozen=True)
class Receipt:
    """What became of a webhook."""

    event_id: int
    run_id: int | None
    """The training run that the event waits for; None where it is not the backend's business."""


def receive(backend: str, key: ProjectKey, action: str, payload: Mapping[str, Any], body: bytes) -> Receipt:
    """Store the event and have it trained on.

    The event is committed when this returns, whether or not the queue could be told of it.
    """
    project = projects.find_or_create(backend, key)
    with transaction.atomic():
        # Events of one project are numbered in the order they are committed in.
        project = versions.locked(project.pk)
        _remember(project, payload.get("project"))
        run = TrainingRun.objects.create(project=project) if _is_business(backend, action) else None
        event = Event.objects.create(
            project=project,
            action=_storable(action)[:255],
            body=body,
            status=Event.Status.PENDING if run else Event.Status.IGNORED,
            run=run,
        )
    if run is not None:
        training.request_drain(project.pk)
    return Receipt(event.pk, run.pk if run else None)


def _is_business(backend: str, action: str) -> bool:
    """Whether the event may lead to training.

    A backend that this process has not imported yet is given every event, and the worker decides:
    the import may take seconds, and Label Studio waits for one.
    """
    found = loading.loaded(backend)
    return found is None or found.handles(action)


def _remember(project: Project, said: Any) -> None:
    if not isinstance(said, dict):
        return
    facts = {name: _storable(said[name]) for name in ("title", "label_config") if isinstance(said.get(name), str)}
    projects.remember(project, **facts)


def _storable(text: str) -> str:
    """Return the text without what a Postgres text column cannot hold; the event's body keeps it."""
    return text.replace("\0", "")
