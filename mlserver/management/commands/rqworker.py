import logging
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from django.db import Error
from django_rq.management.commands import rqworker

from backends.errors import BackendError
from mlserver.management.children import leave_at_once, when_parent_is_gone
from registry import drains
from registry.connections import is_lost
from registry.instances import backend_class

logger = logging.getLogger(__name__)


class Command(rqworker.Command):  # type: ignore[misc]
    """Run an RQ worker, having queued first what waits for training."""

    help = "Runs an RQ worker on the named queues, or on the default one."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--spawn",
            action="store_true",
            help="Give each job a fresh process and not a forked one, for models on CUDA.",
        )
        parser.add_argument(
            "--exit-with-parent",
            type=int,
            metavar="PID",
            help="Stop at once, in the middle of a job too, when the parent is no longer the process of this id.",
        )

    def handle(self, *queues: str, exit_with_parent: int | None = None, spawn: bool = False, **options: Any) -> None:
        if exit_with_parent is not None:
            # Nothing is lost: events that were not trained on wait in Postgres.
            when_parent_is_gone(exit_with_parent, leave_at_once)
        try:
            drains.sweep(trusting=False)
        except Error as exc:
            if not is_lost(exc):
                raise CommandError(f"The database is not ready; run ./manage.py migrate first. ({exc})") from exc
            # The worker sweeps again and again, as it does where the database goes away later.
            logger.warning("The database cannot be reached yet: %s", exc)
        kind = "SpawningWorker" if spawn else "ForkingWorker"
        options["worker_class"] = options["worker_class"] or f"registry.workers.{kind}"
        if settings.PRELOAD_BACKEND and not spawn:
            _import_backend()
        super().handle(*(queues or ("default",)), **options)


def _import_backend() -> None:
    """Import the chosen backend once for all the processes that are forked to train."""
    try:
        backend_class(settings.ML_BACKEND)
    except BackendError as exc:
        logger.error("The backend %s cannot be used: %s", settings.ML_BACKEND, exc)
