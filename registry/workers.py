"""RQ workers that also look after the projects: they sweep every few seconds."""

import logging
from typing import Any

import django
import rq
from django.apps import apps
from django.conf import settings
from django.db import DatabaseError, connections
from redis.exceptions import RedisError

# A spawned work horse imports this module first, in a process in which Django is not set up.
if not apps.ready:
    django.setup()

from registry import drains, pruning

logger = logging.getLogger(__name__)

# RQ waits for a job this much less than a worker's time to live.
_RQ_MARGIN_SECONDS = 15


class _Sweeping:
    """Sweeps with RQ's own maintenance, so that it happens wherever a worker is idle."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs |= {
            "maintenance_interval": settings.SWEEP_SECONDS,
            "worker_ttl": settings.SWEEP_SECONDS + _RQ_MARGIN_SECONDS,
        }
        super().__init__(*args, **kwargs)

    def run_maintenance_tasks(self) -> None:
        super().run_maintenance_tasks()  # type: ignore[misc]
        try:
            drains.sweep()
            pruning.request_daily()
        except (DatabaseError, RedisError) as exc:
            logger.warning("The engines cannot be reached (%s); swept again in %s s.", exc, settings.SWEEP_SECONDS)
        finally:
            # A work horse must not share the connection that was made here.
            connections.close_all()


class ForkingWorker(_Sweeping, rq.Worker):
    """Forks a process for each job: it starts at once, with everything imported."""


class SpawningWorker(_Sweeping, rq.SpawnWorker):
    """Starts a fresh process for each job, for models that do not survive a fork, like those on CUDA."""
