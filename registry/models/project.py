"""Label Studio projects, each apart from every other, per backend."""

from django.db import models


class Project(models.Model):
    """One Label Studio project as one backend sees it.

    Two Label Studio servers number their projects alike, and a server whose database was reset starts
    again at 1. The second in which the project was created tells them apart.
    """

    backend = models.CharField(max_length=100, help_text="Name of the folder under backends/.")
    ls_id = models.BigIntegerField("Label Studio id", help_text="The project's number in Label Studio.")
    ls_created = models.BigIntegerField(
        "created in Label Studio",
        default=0,
        help_text="Unix time in seconds; 0 where Label Studio never said.",
    )
    title = models.TextField(blank=True)
    label_config = models.TextField(blank=True, help_text="The labelling config last seen, XML.")
    extra_params = models.JSONField(null=True, blank=True, help_text="Set on this backend in Label Studio.")
    label_studio_url = models.TextField("Label Studio address", blank=True)
    access_token = models.TextField(blank=True, help_text="Sent by Label Studio with /setup.")

    live = models.ForeignKey(
        "registry.ModelVersion",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        help_text="The version that answers predictions.",
    )
    declared_version = models.CharField(
        max_length=255, blank=True, help_text="The version name that the backend's setup() declared last."
    )
    # Both are compared by every process at every request. A new generation calls for a new
    # instance, a new revision only for re-reading the state of the same one.
    generation = models.PositiveBigIntegerField(default=0, editable=False)
    state_revision = models.PositiveBigIntegerField(default=0, editable=False)
    # Set while a job that will drain the project waits in the queue, so that a burst of events
    # enqueues one job and not one each. The queue may lose it, so it does not count for ever.
    drain_queued_at = models.DateTimeField(null=True, editable=False)
    # Where the training policy waits for more events, or for quiet: nothing is due before.
    drain_not_before = models.DateTimeField(null=True, editable=False)

    last_happened_at = models.DateTimeField(
        null=True, editable=False, help_text="When the latest event happened, by Label Studio's clock."
    )
    training_policy = models.JSONField(
        null=True,
        blank=True,
        help_text="Overrides the backend's training policy; empty follows the backend.",
    )
    promotion_policy = models.JSONField(
        null=True,
        blank=True,
        help_text="Overrides the backend's promotion policy; empty follows the backend.",
    )
    retraining_reason = models.TextField(
        "needs training", blank=True, help_text="Why the live version no longer fits the project; empty where it does."
    )

    created_at = models.DateTimeField("first seen", auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["backend", "ls_id", "ls_created"], name="one_project_per_origin"),
        ]

    def __str__(self) -> str:
        return f"{self.title or 'Project'} #{self.ls_id} ({self.backend})"
