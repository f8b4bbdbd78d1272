"""Training runs."""

from django.db import models
from django.db.models import Q
from django.utils import timezone


class TrainingRunQuerySet(models.QuerySet["TrainingRun"]):
    """Queries over runs."""

    def running(self) -> "TrainingRunQuerySet":
        """Return the runs that a worker has claimed."""
        return self.filter(status=TrainingRun.Status.RUNNING)

    def unfinished(self) -> "TrainingRunQuerySet":
        """Return the runs that wait or are running."""
        return self.filter(status__in=[TrainingRun.Status.QUEUED, TrainingRun.Status.RUNNING])


class TrainingRun(models.Model):
    """One call of a backend's fit()."""

    class Status(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        SUCCEEDED = "succeeded"
        FAILED = "failed"
        CANCELLED = "cancelled"
        LOST = "lost", "lost with its worker"
        MERGED = "merged", "its event was trained on by another run"

    project = models.ForeignKey("registry.Project", on_delete=models.CASCADE, related_name="runs")
    status = models.CharField(max_length=10, choices=Status, default=Status.QUEUED)
    merged_into = models.ForeignKey("self", on_delete=models.SET_NULL, null=True, blank=True, related_name="merged")
    worker = models.CharField(max_length=255, blank=True, help_text="Host and process that ran it.")
    job = models.CharField("queue job", max_length=255, blank=True)
    progress = models.FloatField(null=True, blank=True, help_text="From 0 to 1, as the fit reports it.")
    progress_text = models.CharField(max_length=255, blank=True)
    metrics = models.JSONField(default=dict, blank=True)
    log = models.TextField(blank=True, help_text="What the fit printed and logged, its end where that is long.")
    result = models.TextField(blank=True, help_text="What fit() returned.")
    traceback = models.TextField(blank=True)
    created_at = models.DateTimeField("queued at", auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True, help_text="When its worker last gave a sign of life.")
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = TrainingRunQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project"], condition=Q(status="running"), name="one_running_fit_per_project"
            ),
        ]
        permissions = [("cancel_trainingrun", "Can cancel and retry a training run")]

    def __str__(self) -> str:
        return f"Run {self.pk}"

    def claim(self, worker: str, job: str) -> bool:
        """Take a queued run; return False where it is no longer queued."""
        now = timezone.now()
        return self._move(
            self.Status.QUEUED, self.Status.RUNNING, worker=worker, job=job, started_at=now, heartbeat_at=now
        )

    def requeue(self) -> bool:
        """Give a running run back to the queue; return False where it was taken away meanwhile."""
        return self._move(self.Status.RUNNING, self.Status.QUEUED, started_at=None, heartbeat_at=None)

    def succeed(self, result: str) -> bool:
        """Close a running run; return False where it was taken away from its worker meanwhile."""
        return self._close(self.Status.SUCCEEDED, result=result)

    def fail(self, traceback: str) -> bool:
        """Close a running run with the traceback; return False as `succeed` does."""
        return self._close(self.Status.FAILED, traceback=traceback)

    def lose(self) -> bool:
        """Close a run whose worker is gone; return False as `succeed` does."""
        return self._close(self.Status.LOST)

    def cancel(self) -> bool:
        """Close a waiting or running run; return False where it is over already."""
        fields = {"finished_at": timezone.now()}
        waiting = self._move(self.Status.QUEUED, self.Status.CANCELLED, **fields)
        return waiting or self._close(self.Status.CANCELLED)

    def _close(self, status: str, **fields: object) -> bool:
        return self._move(self.Status.RUNNING, status, finished_at=timezone.now(), **fields)

    def _move(self, before: str, after: str, **fields: object) -> bool:
        # Conditional, so that of two processes only one makes the move.
        return TrainingRun.objects.filter(pk=self.pk, status=before).update(status=after, **fields) == 1
