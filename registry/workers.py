"""RQ workers that also look after the projects: they sweep every few seconds."""

import logging
import time
from typing import Any

import django
import rq
from django.apps import apps
from django.conf import settings
from django.db import Error, connections
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

# A spawned work horse imports this module first, in a process in which Django is not set up.
if not apps.ready:
    django.setup()

from registry import drains, pruning

logger = logging.getLogger(__name__)

# RQ waits for a job this much less than a worker's time to live.
_RQ_MARGIN_SECONDS = 15
_PAUSE_SECONDS = 1.0
_AWAY = (RedisConnectionError, RedisTimeoutError)


class _Watchful:
    """Sweeps with RQ's own maintenance, wherever it is idle, and outlives a Redis that goes away."""

    # Seconds between two tries to reach a Redis that is away.
    max_connection_wait_time = 5.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs |= {
            "maintenance_interval": settings.SWEEP_SECONDS,
            "worker_ttl": settings.SWEEP_SECONDS + _RQ_MARGIN_SECONDS,
        }
        super().__init__(*args, **kwargs)

    def execute_job(self, job: rq.job.Job, queue: rq.Queue) -> None:
        """Run the job. What became of its fits is in Postgres: nothing is lost with Redis, but the worker would be."""
        try:
            super().execute_job(job, queue)  # type: ignore[misc]
        except _AWAY as exc:
            logger.warning("Redis went away during job %s (%s); this worker waits for it.", job.id, exc)
            self.wait_for_horse()  # type: ignore[attr-defined]
            # As RQ leaves it after a job: its number may be another process's by now.
            self._horse_pid = 0
            self._await_redis()

    def run_maintenance_tasks(self) -> None:
        try:
            super().run_maintenance_tasks()  # type: ignore[misc]
            drains.sweep()
            pruning.request_daily()
        except (Error, RedisError) as exc:
            logger.warning("The engines cannot be reached (%s); swept again in %s s.", exc, settings.SWEEP_SECONDS)
        finally:
            # A work horse must not share the connection that was made here.
            connections.close_all()

    def _await_redis(self: Any) -> None:
        while not self._stop_requested:
            try:
                # A Redis that came back empty has forgotten the worker.
                if not self.connection.exists(self.key):
                    self.register_birth()
                return
            except _AWAY:
                time.sleep(_PAUSE_SECONDS)


class ForkingWorker(_Watchful, rq.Worker):
    """Forks a process for each job: it starts at once, with everything imported."""


class SpawningWorker(_Watchful, rq.SpawnWorker):
    """Starts a fresh process for each job, for models that do not survive a fork, like those on CUDA."""
