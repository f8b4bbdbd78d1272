"""Who drains a project, and who is told to: the queue is only a hint, the database decides."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

import django_rq
from django.conf import settings
from django.db import connection
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone
from redis.exceptions import RedisError

from registry.models import Event, Project, TrainingRun

logger = logging.getLogger(__name__)

QUEUE = "default"
_JOB = "registry.jobs.train_project"
# The first half of Postgres's two-number advisory locks; the second half is the project.
_LOCK_SPACE = 0x6D6C7376


def request(project_id: int) -> bool:
    """Enqueue a job that drains the project, unless one waits already; return whether it was.

    A queue that cannot be told now is told again by the sweeper, by a worker that starts, and by
    the project's next event.
    """
    first = bool(Project.objects.filter(_not_queued(), pk=project_id).update(drain_queued_at=timezone.now()))
    return first and _enqueue(project_id)


def sweep(*, trusting: bool = True) -> int:
    """Enqueue every project that has work and nobody at it; return how many.

    Work is an event that is due, or a run whose worker gave no sign of life for a while: the drain
    finds out whether it is dead. Workers call this every few seconds. When one starts it does not
    trust the queue to remember what it was told a moment ago: a queue that was emptied does not.
    """
    now = timezone.now()
    silent = now - timedelta(seconds=settings.HEARTBEAT_SECONDS)
    running = TrainingRun.objects.running().filter(project=OuterRef("pk"))
    pending = Event.objects.pending().order_by().filter(project=OuterRef("pk"))
    due = Q(drain_not_before=None) | Q(drain_not_before__lte=now)
    waiting = due & Exists(pending) & ~Exists(running)
    lost = Exists(running.filter(heartbeat_at__lt=silent))
    projects = list(Project.objects.filter(waiting | lost).values_list("pk", flat=True))
    if not trusting:
        Project.objects.filter(pk__in=projects).update(drain_queued_at=None)
    return sum(request(project_id) for project_id in projects)


def begin(project_id: int) -> None:
    """Note that the waiting job has begun: an event that comes from now on enqueues another one."""
    Project.objects.filter(pk=project_id).update(drain_queued_at=None, drain_not_before=None)


def postpone(project_id: int, time: datetime) -> None:
    """Let the sweeper leave the project alone until then; an event that comes is looked at all the same."""
    Project.objects.filter(pk=project_id).update(drain_not_before=time)


@contextmanager
def sole(project_id: int) -> Iterator[bool]:
    """Hold the project's advisory lock, if it is free. Postgres releases it with the connection.

    So a worker that dies, by whatever means, frees its project at that moment.
    """
    key = [_LOCK_SPACE, project_id % 2**31]
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", key)
        acquired = bool(cursor.fetchone()[0])
    holder = connection.connection
    try:
        yield acquired
    finally:
        # A connection made anew meanwhile does not hold it: the lock went with the old one.
        if acquired and connection.connection is holder and not holder.closed:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s, %s)", key)


def counts(queued_at: datetime | None) -> bool:
    """Return whether a job that was queued then is taken to wait still."""
    return queued_at is not None and queued_at >= _forgotten()


def _not_queued() -> Q:
    return Q(drain_queued_at=None) | Q(drain_queued_at__lt=_forgotten())


def _forgotten() -> datetime:
    return timezone.now() - timedelta(seconds=settings.REQUEUE_SECONDS)


def _enqueue(project_id: int) -> bool:
    try:
        django_rq.get_queue(QUEUE).enqueue(_JOB, project_id, result_ttl=0)
        return True
    except RedisError as exc:
        # Not asked again at once: where it cannot be reached, each webhook would wait for it.
        again_at = timezone.now() + timedelta(seconds=settings.SWEEP_SECONDS)
        as_if_queued = again_at - timedelta(seconds=settings.REQUEUE_SECONDS)
        Project.objects.filter(pk=project_id).update(drain_queued_at=as_if_queued)
        logger.warning("The queue cannot be reached (%s); project %s is trained later.", exc, project_id)
        return False
