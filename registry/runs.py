"""What operators do to training runs."""

import logging
from datetime import timedelta

import django_rq
from django.contrib.auth.models import AbstractUser
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.utils import timezone
from redis.exceptions import RedisError
from rq.command import send_stop_job_command
from rq.exceptions import InvalidJobOperation, NoSuchJobError

from registry import drains, versions
from registry.errors import RunError
from registry.models import Event, TrainingRun

logger = logging.getLogger(__name__)

# The time that a worker takes to end a job it is told to stop.
_STOPPING = timedelta(seconds=2)


def cancel(run: TrainingRun, *, by: AbstractUser | str) -> None:
    """Stop a run that waits or is running; nothing of it is kept, and its events are set aside.

    What the fit has staged can never be committed from this moment on; its process is ended as
    well. Raise RunError where the run is over, PermissionDenied for a user who may not.
    """
    _check_permission(by)
    with transaction.atomic():
        versions.locked(run.project_id)
        run.refresh_from_db()
        job = run.job if run.status == TrainingRun.Status.RUNNING else ""
        if not run.cancel():
            raise RunError(f"{run} is over already: {run.get_status_display().lower()}.")
        run.events.filter(status=Event.Status.PENDING).update(status=Event.Status.CANCELLED)
    if job:
        _stop(job)
        # The worker ends the whole drain: the events behind are taken up when it has.
        drains.postpone(run.project_id, timezone.now() + _STOPPING)
    else:
        drains.request(run.project_id)


def retry(run: TrainingRun, *, by: AbstractUser | str) -> int:
    """Have the events of a failed or cancelled run trained on again; return how many."""
    _check_permission(by)
    again = [Event.Status.FAILED, Event.Status.CANCELLED]
    count = run.events.filter(status__in=again).update(status=Event.Status.PENDING, run=None, attempts=0)
    if not count:
        raise RunError(f"No event of {run} is waiting to be tried again.")
    drains.request(run.project_id)
    return count


def _check_permission(by: AbstractUser | str) -> None:
    if not isinstance(by, str) and not by.has_perm("registry.cancel_trainingrun"):
        raise PermissionDenied("You need the permission “Can cancel and retry a training run”.")


def _stop(job_id: str) -> None:
    try:
        send_stop_job_command(django_rq.get_connection(drains.QUEUE), job_id)
    except (InvalidJobOperation, NoSuchJobError, RedisError) as exc:
        logger.info("Job %s could not be told to stop (%s); what it learns is dropped.", job_id, exc)
