"""Receive webhooks: store first, then see to the training. Replay what was stored."""

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AbstractUser
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.utils import timezone

from backends import loading
from backends.annotations import AnnotationState, states
from registry import annotations, drains, projects, versions
from registry.errors import EventError
from registry.models import Event, Project, TrainingRun
from registry.models.event import EventQuerySet
from registry.projects import ProjectKey
from registry.text import storable


@dataclass(frozen=True)
class Receipt:
    """What became of a webhook."""

    event_id: int
    status: str
    run_id: int | None
    """The training run that the event waits for; None where it is not the backend's business."""


def receive(backend: str, key: ProjectKey, action: str, payload: Mapping[str, Any], body: bytes) -> Receipt:
    """Store the event and have it trained on.

    The event is committed when this returns, whether or not the queue could be told of it. One that
    was delivered before is kept as a duplicate, answered with the run of the first, and not trained on.
    """
    project_id = projects.standing(backend, key).project_id
    said = states(action, payload)
    fingerprint = _fingerprint(action, said)
    with transaction.atomic():
        # Events of one project are stored one after the other, so a redelivery finds the first.
        project = _locked(project_id)
        first = _delivered_before(project, fingerprint)
        if first is None:
            _remember(project, payload.get("project"))
            annotations.apply(project.pk, action, payload)
            run = _run_for(project, backend, action)
            run_id, status = (run.pk, Event.Status.PENDING) if run else (None, Event.Status.IGNORED)
        else:
            run_id, status = first.run_id, Event.Status.DUPLICATE
        event = Event.objects.create(
            project=project,
            action=storable(action)[:255],
            body=body,
            status=status,
            run_id=run_id,
            happened_at=_happened_at(project, said),
            annotation_count=len(said),
            fingerprint=fingerprint,
        )
    # As it stood under the lock: a drain that began since then has found the event.
    if status == Event.Status.PENDING and not drains.counts(project.drain_queued_at):
        drains.request(project.pk)
    return Receipt(event.pk, status, run_id)


def start_training(project: Project, *, by: AbstractUser | str) -> Receipt:
    """Store what the training button of Label Studio sends, as though it had been pressed there.

    Raise BackendNotFound where the project's backend is there no more, and PermissionDenied for a
    user who may not.
    """
    if not isinstance(by, str) and not by.has_perm("registry.change_project"):
        raise PermissionDenied("You need the permission “Can change project”.")
    loading.folder_of(project.backend, settings.BACKENDS_PATH)
    # Nothing of the project that may have changed in Label Studio meanwhile.
    said: dict[str, Any] = {"id": project.ls_id}
    if project.ls_created:
        said["created_at"] = datetime.fromtimestamp(project.ls_created, UTC).isoformat()
    action = "START_TRAINING"
    payload = {"action": action, "project": said}
    key = ProjectKey(project.ls_id, project.ls_created)
    return receive(project.backend, key, action, payload, json.dumps(payload).encode())


def select(
    project_id: int | None = None,
    *,
    ids: Collection[int] = (),
    since: datetime | None = None,
    until: datetime | None = None,
    action: str = "",
) -> EventQuerySet:
    """Return the events to replay, by when they were received; raise EventError naming ids that are not among them.

    Without an end, those received until now: events that come meanwhile are no part of it.
    """
    chosen = Event.objects.filter(received_at__lte=until or timezone.now())
    if project_id is not None:
        chosen = chosen.filter(project=project_id)
    if since:
        chosen = chosen.filter(received_at__gte=since)
    if action:
        chosen = chosen.filter(action=action)
    if ids:
        chosen = chosen.filter(pk__in=ids)
        if unknown := set(ids) - set(chosen.values_list("pk", flat=True)):
            raise EventError(f"Not among the events chosen: {', '.join(map(str, sorted(unknown)))}.")
    return chosen


@transaction.atomic
def replay(events: EventQuerySet, *, fresh: bool = False, by: AbstractUser | str) -> int:
    """Have stored events trained on again, in the order they happened; return how many.

    They are learnt on top of each project's live version or, with `fresh`, on a new one that has
    learnt nothing. Those that are not replayable are left out. When they are trained on is still the
    project's training policy to say. Raise PermissionDenied for a user who may not.
    """
    if not isinstance(by, str) and not by.has_perm("registry.replay_event"):
        raise PermissionDenied("You need the permission “Can have stored events trained on again”.")
    count = 0
    # In one order, so that two replays cannot each hold a project that the other one waits for.
    for project_id in sorted(set(events.replayable().values_list("project_id", flat=True))):
        versions.locked(project_id)
        chosen = events.replayable().filter(project_id=project_id).order_by().values("pk")
        again = Event.objects.filter(pk__in=chosen).update(status=Event.Status.PENDING, run=None, attempts=0)
        if again and fresh:
            versions.start_afresh(project_id, actor=versions.actor(by))
        count += again
        transaction.on_commit(partial(drains.request, project_id))
    return count


def _run_for(project: Project, backend: str, action: str) -> TrainingRun | None:
    """Return the run that the event waits for.

    A backend that this process has not imported yet is given every event, and the worker decides:
    the import may take seconds, and Label Studio waits for one.
    """
    found = loading.loaded(backend)
    business = found is None or found.handles(action)
    return TrainingRun.objects.create(project=project) if business else None


def _locked(project_id: int) -> Project:
    """Do as `versions.locked`, and read no more of the project than a webhook needs: it is asked to be quick."""
    projects = Project.objects.select_for_update(no_key=True)
    return projects.only("title", "label_config", "last_happened_at", "drain_queued_at").get(pk=project_id)


def _delivered_before(project: Project, fingerprint: str) -> Event | None:
    if not fingerprint:
        return None
    same = Event.objects.filter(project_id=project.pk, fingerprint=fingerprint).exclude(status=Event.Status.DUPLICATE)
    return same.only("run_id").first()


def _fingerprint(action: str, said: list[AnnotationState]) -> str:
    """Return what each delivery of one event has in common; "" where deliveries cannot be told apart.

    Label Studio numbers no events. What happened to an annotation is told by its id and the time of
    its last change, and a deletion happens once. The training button may well be pressed twice.
    """
    named = sorted((state.annotation_id, state.updated_at.isoformat() if state.updated_at else "") for state in said)
    if not said or any(state.annotation and not state.updated_at for state in said):
        return ""
    return hashlib.sha256(json.dumps([action, named]).encode()).hexdigest()


def _happened_at(project: Project, said: list[AnnotationState]) -> datetime:
    """Return the event's place in time, and remember the latest one on the project.

    By Label Studio's clock alone: an event that does not say when it happened did so after all that
    came before it.
    """
    times = [state.updated_at for state in said if state.updated_at]
    latest = project.last_happened_at
    happened_at = max(times) if times else latest or timezone.now()
    if times and (latest is None or happened_at > latest):
        project.last_happened_at = happened_at
        project.save(update_fields=["last_happened_at"])
    return happened_at


def _remember(project: Project, said: Any) -> None:
    if not isinstance(said, dict):
        return
    facts = {name: storable(said[name]) for name in ("title", "label_config") if isinstance(said.get(name), str)}
    projects.remember(project, **facts)
