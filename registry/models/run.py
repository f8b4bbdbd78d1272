"""Training runs."""

from django.db import models
from django.db.models import Q
from django.utils import timezone


class TrainingRunQuerySet(models.QuerySet["TrainingRun"]):
    """Queries over runs."""

    def queued(self) -> "TrainingRunQuerySet":
        """Return the runs that wait, in the order their events came."""
        return self.filter(status=TrainingRun.Status.QUEUED).order_by("id")

    def running(self) -> "TrainingRunQuerySet":
        """Return the runs that a worker has claimed."""
        return self.filter(status=TrainingRun.Status.RUNNING)


class TrainingRun(models.Model):
    """One call of a backend's fit()."""

    class Status(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        SUCCEEDED = "succeeded"
        FAILED = "failed"
        CANCELLED = "cancelled"
        LOST = "lost", "lost with its worker"

    project = models.ForeignKey("registry.Project", on_delete=models.CASCADE, related_name="runs")
    status = models.CharField(max_length=10, choices=Status, default=Status.QUEUED)
    worker = models.CharField(max_length=255, blank=True, help_text="Host and process that ran it.")
    result = models.TextField(blank=True, help_text="What fit() returned.")
    traceback = models.TextField(blank=True)
    created_at = models.DateTimeField("queued at", auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = TrainingRunQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project"], condition=Q(status="running"), name="one_running_fit_per_project"
            ),
        ]
        indexes = [
            models.Index(fields=["project", "id"], condition=Q(status="queued"), name="run_queue"),
        ]

    def __str__(self) -> str:
        return f"Run {self.pk}"

    def claim(self, worker: str) -> bool:
        """Take a queued run; return False where it is no longer queued."""
        return self._move(self.Status.QUEUED, self.Status.RUNNING, worker=worker, started_at=timezone.now())

    def succeed(self, result: str) -> bool:
        """Close a running run; return False where it was taken away from its worker meanwhile."""
        return self._close(self.Status.SUCCEEDED, result=result)

    def fail(self, traceback: str) -> bool:
        """Close a running run with the traceback; return False as `succeed` does."""
        return self._close(self.Status.FAILED, traceback=traceback)

    def lose(self, traceback: str) -> bool:
        """Close a run whose worker is gone; return False as `succeed` does."""
        return self._close(self.Status.LOST, traceback=traceback)

    def requeue(self) -> bool:
        """Give a running run back to the queue; return False as `succeed` does."""
        return self._move(self.Status.RUNNING, self.Status.QUEUED, started_at=None)

    def _close(self, status: str, **fields: str) -> bool:
        return self._move(self.Status.RUNNING, status, finished_at=timezone.now(), **fields)

    def _move(self, before: str, after: str, **fields: object) -> bool:
        # Conditional, so that of two processes only one makes the move.
        return TrainingRun.objects.filter(pk=self.pk, status=before).update(status=after, **fields) == 1
