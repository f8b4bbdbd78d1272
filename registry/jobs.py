"""What the queue calls. Each takes a primary key and calls one function."""

import logging
from datetime import timedelta

from django.utils import timezone

from backends.errors import BackendError
from registry import drains, pruning, training

logger = logging.getLogger(__name__)

_BROKEN = timedelta(minutes=1)


def train_project(project_id: int) -> None:
    """Train on everything that waits in the project."""
    try:
        training.drain(project_id)
    except BackendError as exc:
        # Its events wait until the backend can be loaded again, or is put back.
        logger.error("Project %s cannot be trained: %s", project_id, exc)
        drains.postpone(project_id, timezone.now() + _BROKEN)


def prune() -> None:
    """Remove what is too old to be asked for."""
    logger.info("Pruned %s.", pruning.prune())
