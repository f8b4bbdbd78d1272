"""Received webhooks, kept whole."""

from typing import Any

import orjson
from django.db import models
from django.db.models import Q


class EventQuerySet(models.QuerySet["Event"]):
    """Queries over events."""

    def pending(self) -> "EventQuerySet":
        """Return the events that wait for a fit, in the order in which they happened."""
        return self.filter(status=Event.Status.PENDING).order_by("happened_at", "id")

    def replayable(self) -> "EventQuerySet":
        """Return the events that may be trained on again: not what waits, came twice or is no business of ours."""
        return self.exclude(status__in=[Event.Status.PENDING, Event.Status.DUPLICATE, Event.Status.IGNORED])


class Event(models.Model):
    """One webhook from Label Studio, as its body came."""

    class Status(models.TextChoices):
        PENDING = "pending", "waits for its training run"
        DONE = "done", "trained on"
        FAILED = "failed", "given up after its attempts"
        CANCELLED = "cancelled", "its training run was cancelled"
        IGNORED = "ignored", "not this backend's business"
        DUPLICATE = "duplicate", "delivered before"
        HELD_OUT = "held_out", "its tasks are kept for evaluation"

    project = models.ForeignKey("registry.Project", on_delete=models.CASCADE, related_name="events")
    action = models.CharField(max_length=255)
    # The body's own bytes: a jsonb column would refuse text that holds a NUL character.
    body = models.BinaryField()
    status = models.CharField(max_length=10, choices=Status)
    run = models.ForeignKey(
        "registry.TrainingRun", on_delete=models.SET_NULL, null=True, blank=True, related_name="events"
    )
    received_at = models.DateTimeField(auto_now_add=True)
    happened_at = models.DateTimeField(
        help_text="When the annotation was changed, by Label Studio's clock; of an event without a time, "
        "when the latest one before it happened. Events are trained on in this order."
    )
    annotation_count = models.PositiveIntegerField("annotations", default=0)
    fingerprint = models.CharField(
        max_length=64, blank=True, help_text="The same for each delivery of one event; empty where that cannot be told."
    )
    attempts = models.PositiveSmallIntegerField(default=0, help_text="How often a fit of it was begun.")

    objects = EventQuerySet.as_manager()

    class Meta:
        permissions = [("replay_event", "Can have stored events trained on again")]
        constraints = [
            models.UniqueConstraint(
                fields=["project", "fingerprint"],
                condition=~Q(fingerprint="") & ~Q(status="duplicate"),
                name="one_event_per_fingerprint",
            ),
        ]
        indexes = [
            models.Index(fields=["project", "-id"], name="event_of_project"),
            models.Index(fields=["project", "happened_at", "id"], condition=Q(status="pending"), name="event_queue"),
        ]

    def __str__(self) -> str:
        return f"{self.action} #{self.pk}"

    @property
    def payload(self) -> dict[str, Any]:
        """The body, parsed."""
        payload: dict[str, Any] = orjson.loads(bytes(self.body))
        return payload
