"""Received webhooks, kept whole."""

from typing import Any

import orjson
from django.db import models


class Event(models.Model):
    """One webhook from Label Studio, as its body came."""

    class Status(models.TextChoices):
        PENDING = "pending", "waits for its training run"
        DONE = "done", "trained on"
        FAILED = "failed", "its training run failed"
        IGNORED = "ignored", "not this backend's business"

    project = models.ForeignKey("registry.Project", on_delete=models.CASCADE, related_name="events")
    action = models.CharField(max_length=255)
    # The body's own bytes: a jsonb column would refuse text that holds a NUL character.
    body = models.BinaryField()
    status = models.CharField(max_length=10, choices=Status)
    run = models.ForeignKey(
        "registry.TrainingRun", on_delete=models.SET_NULL, null=True, blank=True, related_name="events"
    )
    received_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [models.Index(fields=["project", "-id"], name="event_of_project")]

    def __str__(self) -> str:
        return f"{self.action} #{self.pk}"

    @property
    def payload(self) -> dict[str, Any]:
        """The body, parsed."""
        payload: dict[str, Any] = orjson.loads(bytes(self.body))
        return payload
