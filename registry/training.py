"""Drain a project's events: fit, then commit a version or nothing."""

import logging
import os
import socket
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import Error, connection, transaction
from django.db.models import F
from django.utils import timezone
from rq import get_current_job

from backends.policy import TrainingPolicy
from registry import artifacts, drains, evaluation, instances, policies, versions
from registry.connections import is_lost, on_a_living_connection
from registry.errors import ParentMoved, RunTakenAway
from registry.fitting import Fit
from registry.models import Event, ModelVersion, Project, TrainingRun
from registry.text import storable

logger = logging.getLogger(__name__)

_MAX_BATCH = 10_000
_UNREACHABLE_SECONDS = 60
_PAUSE_SECONDS = 0.5
_START = "START_TRAINING"


@dataclass(frozen=True)
class Waiting:
    """An event that waits to be trained on."""

    id: int
    action: str
    received_at: datetime
    annotation_count: int
    run_id: int | None


@dataclass(frozen=True)
class Batch:
    """A run that this process has claimed, and the events it is to learn from, in order."""

    run: TrainingRun
    event_ids: Sequence[int]
    coalesced: bool


def drain(project_id: int) -> int:
    """Train on the project's waiting events, in order, until none is due; return how many runs.

    Only one process drains a project at a time; where another one is at it, it takes these events too.
    """
    drains.begin(project_id)
    count = 0
    while (due_at := _next_due(project_id)) and due_at <= timezone.now():
        with drains.sole(project_id) as alone:
            if not alone:
                return count
            if not _recover(project_id):
                return count
            evaluation.judge_waiting(project_id)
            while batch := _claim_next(project_id):
                execute(batch)
                count += 1
        # Looked at again after the lock is free: an event that came while it was held may have
        # been told to a job that found the lock taken and left.
    if due_at:
        drains.postpone(project_id, due_at)
    return count


def execute(batch: Batch) -> None:
    """Run one fit. What it staged becomes a version, or nothing at all is changed."""
    run = batch.run
    try:
        committed = _fit_and_commit(batch)
    except ParentMoved:
        committed = _requeue(batch)
    except RunTakenAway:
        committed = False
    except (Exception, SystemExit):  # a fit may call sys.exit(), which must not end the drain
        committed = on_a_living_connection(lambda: _fail(batch))
    if not committed:
        logger.warning("Run %s was taken from this worker; what it learnt is dropped.", run.pk)
        return
    run.refresh_from_db(fields=["status"])
    version = ModelVersion.objects.select_related("project").filter(run=run).first()
    made = f", made {version}" if version else ""
    logger.info("Run %s on %d events: %s%s", run.pk, len(batch.event_ids), run.status, made)
    if version:
        evaluation.judge(version)


def _fit_and_commit(batch: Batch) -> bool:
    stored = Event.objects.in_bulk(batch.event_ids)
    events = [stored[event_id] for event_id in batch.event_ids]
    with artifacts.workshop(batch.run.pk) as folder:
        fit = Fit(batch.run, events, coalesced=batch.coalesced, folder=folder)
        with fit.monitor.watching():
            fit.call()
            fit.monitor.write_down()
            return _when_reachable(lambda: _commit(batch, fit, fit.change()))


def _when_reachable(commit: Callable[[], bool]) -> bool:
    """Commit, and where Postgres is away wait for it a while: the fit may have taken hours."""
    deadline = time.monotonic() + _UNREACHABLE_SECONDS
    while True:
        try:
            return commit()
        except Error as exc:
            if not is_lost(exc) or time.monotonic() > deadline:
                raise
            connection.close()
            logger.warning("What was learnt cannot be stored yet: %s", exc)
            time.sleep(_PAUSE_SECONDS)


@transaction.atomic
def _commit(batch: Batch, fit: Fit, change: versions.Change | None) -> bool:
    """Make a version of what the run learnt and close it; return False where it is not ours any more."""
    run = batch.run
    project = versions.locked(run.project_id)
    if not run.succeed(fit.result):
        return False
    if change is not None:
        if change.name or instances.backend_class(project.backend).auto_version:
            hold = policies.promotion(project).mode != "at_once"
            actor = f"training run {run.pk}"
            versions.create(fit.parent, run, change, actor=actor, reason="A fit succeeded.", hold=hold)
        else:
            versions.amend(fit.parent, change)
    # The run's own events also hold those that were delivered again meanwhile, and stay duplicates.
    events = Event.objects.filter(pk__in=batch.event_ids)
    events.exclude(pk__in=fit.held_out).update(status=Event.Status.DONE)
    events.filter(pk__in=fit.held_out).update(status=Event.Status.HELD_OUT)
    return True


@transaction.atomic
def _requeue(batch: Batch) -> bool:
    """Give the run back: an operator moved the live version meanwhile, and theirs is learnt on.

    It was no attempt: moving the live version often must not wear an event out.
    """
    Event.objects.filter(pk__in=batch.event_ids).update(attempts=F("attempts") - 1)
    return batch.run.requeue()


def _fail(batch: Batch) -> bool:
    """Close the run with its traceback; its events wait again."""
    run = batch.run
    text = storable(traceback.format_exc())
    logger.warning("Run %s failed; the version that was live goes on serving.\n%s", run.pk, text)
    return run.fail(text)


def _next_due(project_id: int) -> datetime | None:
    """Return when there is something to do in the project: a run to recover, events to train on."""
    if TrainingRun.objects.running().filter(project_id=project_id).exists():
        return timezone.now()
    project = Project.objects.get(pk=project_id)
    waiting = _waiting(project)
    return _due_at(policies.training(project), waiting) if waiting else None


def _due_at(policy: TrainingPolicy, waiting: Sequence[Waiting]) -> datetime | None:
    received = [event.received_at for event in waiting]
    if policy.every_event or any(event.action == _START for event in waiting):
        return min(received)
    # An event that names no annotation, as that of deleted tasks, counts as one: it would wait for others.
    annotations = sum(max(event.annotation_count, 1) for event in waiting)
    return policy.due_at(annotations, min(received), max(received))


def _waiting(project: Project) -> list[Waiting]:
    pending = Event.objects.pending().filter(project=project)
    fields = pending.values_list("id", "action", "received_at", "annotation_count", "run_id")
    return [Waiting(*row) for row in fields[:_MAX_BATCH]]


@transaction.atomic
def _claim_next(project_id: int) -> Batch | None:
    """Take the events that are due and a run for them, or return None."""
    project = versions.locked(project_id)
    if TrainingRun.objects.running().filter(project=project).exists():
        # The lock was lost with its connection, and taken up by another worker.
        return None
    worn_out = Event.objects.pending().filter(project=project, attempts__gte=settings.TRAINING_ATTEMPTS)
    worn_out.update(status=Event.Status.FAILED)
    _set_aside_what_is_not_business(project)
    waiting = _waiting(project)
    if not waiting:
        return None
    policy = policies.training(project)
    due_at = _due_at(policy, waiting)
    if due_at is None or due_at > timezone.now():
        return None
    chosen = waiting[:1] if policy.every_event else waiting
    run = _queued_run(project, chosen[-1].run_id)
    job = get_current_job()
    if not run.claim(f"{socket.gethostname()} pid {os.getpid()}", job.id if job else ""):
        return None
    run.refresh_from_db()
    event_ids = [event.id for event in chosen]
    Event.objects.filter(pk__in=event_ids).update(run=run, attempts=F("attempts") + 1)
    merged = TrainingRun.objects.filter(pk__in=[event.run_id for event in chosen if event.run_id != run.pk])
    merged.filter(status=TrainingRun.Status.QUEUED).update(
        status=TrainingRun.Status.MERGED, merged_into=run, finished_at=timezone.now()
    )
    return Batch(run, event_ids, coalesced=not policy.every_event)


def _queued_run(project: Project, run_id: int | None) -> TrainingRun:
    """Return the run that was made for the event, or a new one where that is over."""
    queued = TrainingRun.objects.filter(status=TrainingRun.Status.QUEUED)
    run = queued.filter(pk=run_id).first() if run_id else None
    return run or TrainingRun.objects.create(project=project)


def _set_aside_what_is_not_business(project: Project) -> None:
    """Close events that the backend does not train on: the process that stored them did not know it."""
    backend = instances.backend_class(project.backend)
    pending = Event.objects.pending().filter(project=project)
    for action in set(pending.order_by().values_list("action", flat=True)):
        if not backend.handles(action):
            foreign = list(pending.filter(action=action).values_list("pk", flat=True))
            runs = TrainingRun.objects.filter(events__in=foreign, status=TrainingRun.Status.QUEUED)
            runs.update(
                status=TrainingRun.Status.SUCCEEDED,
                result="Not this backend's business.",
                finished_at=timezone.now(),
            )
            Event.objects.filter(pk__in=foreign).update(status=Event.Status.IGNORED)


def _recover(project_id: int) -> bool:
    """Close the runs that died with their worker, so that their events wait again.

    Return whether the project is free. A run that gives signs of life is not lost, though its lock
    is: a restart of Postgres frees every lock, and the fits go on.
    """
    alive_since = timezone.now() - timedelta(seconds=settings.HEARTBEAT_SECONDS)
    running = TrainingRun.objects.running().filter(project_id=project_id)
    for run in running.filter(heartbeat_at__lt=alive_since):
        if run.lose():
            logger.warning("Run %s was lost with its worker (%s); its events are trained on again.", run.pk, run.worker)
    return not running.exists()
