"""Drain a project's events: fit, then commit a version or nothing."""

import logging
import os
import socket
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import django_rq
from django.db import connection, transaction
from redis.exceptions import RedisError

from registry import instances, versions
from registry.errors import ParentNotLive
from registry.models import Event, ModelVersion, Project, TrainingRun
from registry.state import StagedState

logger = logging.getLogger(__name__)

QUEUE = "default"
# The first half of Postgres's two-number advisory locks; the second half is the project.
_LOCK_SPACE = 0x6D6C7376
_MAX_RESULT = 10_000


def request_drain(project_id: int) -> None:
    """Enqueue a job that drains the project, unless one waits already.

    The queue is only told; the events stand in the database. A queue that cannot be told now is
    told again when a worker starts and by the project's next event.
    """
    if Project.objects.filter(pk=project_id, drain_queued=False).update(drain_queued=True):
        _enqueue(project_id)


def enqueue_pending() -> int:
    """Enqueue every project that has events waiting, whatever the queue remembers; return how many."""
    waiting = list(Project.objects.filter(events__status=Event.Status.PENDING).distinct().values_list("pk", flat=True))
    Project.objects.filter(pk__in=waiting).update(drain_queued=True)
    for project_id in waiting:
        _enqueue(project_id)
    return len(waiting)


def drain(project_id: int) -> int:
    """Train on the project's waiting events, in order, until none is left; return how many runs.

    Only one process drains a project at a time; where another one is at it, it takes these events too.
    """
    Project.objects.filter(pk=project_id).update(drain_queued=False)
    count = 0
    while _has_work(project_id):
        with _sole_drain(project_id) as alone:
            if not alone:
                return count
            _recover(project_id)
            while run := _claim_next(project_id):
                execute(run)
                count += 1
        # Looked at again after the lock is free: an event that came while it was held may have
        # been told to a job that found the lock taken and left.
    return count


def execute(run: TrainingRun) -> None:
    """Run one fit. What it staged becomes a version, or nothing at all is changed."""
    event = run.events.latest("id")
    project = Project.objects.select_related("live").get(pk=run.project_id)
    state = StagedState(project.pk)
    try:
        result = _fit(project, state, event, run)
        committed = _commit(run, event, state, result)
    except ParentNotLive:
        # An operator moved the live version meanwhile. Theirs stands, and the event is learnt on it.
        committed = run.requeue()
    except (Exception, SystemExit):  # a fit may call sys.exit(), which must not end the drain
        committed = _fail(run)
    if not committed:
        logger.warning("Run %s was taken from this worker; what it learnt is dropped.", run.pk)
        return
    run.refresh_from_db()
    version = ModelVersion.objects.filter(run=run).first()
    logger.info("Run %s of %s on %s: %s%s", run.pk, project, event, run.status, f", made {version}" if version else "")


def _fit(project: Project, state: StagedState, event: Event, run: TrainingRun) -> object:
    payload = event.payload
    action = payload.pop("action")
    said = payload.get("project")
    label_config = said.get("label_config") if isinstance(said, dict) else None
    backend = instances.build(project, state, label_config or project.label_config)
    state.stage()
    return backend.process_event(action, payload, str(run.pk), {})


@transaction.atomic
def _commit(run: TrainingRun, event: Event, state: StagedState, result: object) -> bool:
    """Make a version of what the run learnt and close it; return False where it is not ours any more."""
    project = versions.locked(run.project_id)
    if not run.succeed("" if result is None else str(result)[:_MAX_RESULT].replace("\0", "")):
        return False
    backend = instances.backend_class(project.backend)
    if state.new_name or (state.changes and backend.auto_version):
        change = versions.Change(state.changes, state.new_name)
        versions.create(state.version, run, change, actor=f"training run {run.pk}", reason="A fit succeeded.")
    elif state.changes:
        versions.amend(state.version, state.changes)
    business = backend.handles(event.payload["action"])
    run.events.update(status=Event.Status.DONE if business else Event.Status.IGNORED)
    return True


@transaction.atomic
def _fail(run: TrainingRun) -> bool:
    text = traceback.format_exc().replace("\0", "")
    logger.warning("Run %s failed; the version that was live goes on serving.\n%s", run.pk, text)
    if not run.fail(text):
        return False
    run.events.update(status=Event.Status.FAILED)
    return True


def _has_work(project_id: int) -> bool:
    return Event.objects.filter(project_id=project_id, status=Event.Status.PENDING).exists()


@transaction.atomic
def _claim_next(project_id: int) -> TrainingRun | None:
    event = (
        Event.objects.filter(project_id=project_id, status=Event.Status.PENDING)
        .select_related("run")
        .order_by("id")
        .first()
    )
    if event is None:
        return None
    run = event.run
    if run is None or run.status != TrainingRun.Status.QUEUED:
        run = TrainingRun.objects.create(project_id=project_id)
        event.run = run
        event.save(update_fields=["run"])
    if not run.claim(f"{socket.gethostname()} pid {os.getpid()}"):
        return None
    return run


def _recover(project_id: int) -> None:
    """Close the runs that died with their worker; their events wait again.

    Called under the project's lock, which its holder's death releases: whoever holds it knows that
    no other worker is at a run of this project.
    """
    for run in TrainingRun.objects.running().filter(project_id=project_id):
        logger.warning("Run %s was lost with its worker (%s); its events are trained on again.", run.pk, run.worker)
        run.lose("The worker that ran it is gone; its events were trained on again by a later run.")


@contextmanager
def _sole_drain(project_id: int) -> Iterator[bool]:
    """Hold the project's advisory lock, if it is free. Postgres releases it with the connection."""
    key = [_LOCK_SPACE, project_id % 2**31]
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", key)
        acquired = bool(cursor.fetchone()[0])
    try:
        yield acquired
    finally:
        if acquired and connection.connection is not None and not connection.connection.closed:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s, %s)", key)


def _enqueue(project_id: int) -> None:
    try:
        django_rq.get_queue(QUEUE).enqueue("registry.jobs.train_project", project_id, result_ttl=0)
    except RedisError as exc:
        Project.objects.filter(pk=project_id).update(drain_queued=False)
        logger.warning("The queue cannot be reached (%s); project %s is trained later.", exc, project_id)
