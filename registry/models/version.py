"""Model versions, and the ledger of which one was live when."""

from typing import Any, NoReturn

from django.db import models


class ModelVersion(models.Model):
    """A named, numbered snapshot of a project's state. Whether it is live stands on the project."""

    project = models.ForeignKey("registry.Project", on_delete=models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    name = models.CharField(max_length=255, help_text="What Label Studio shows as the model version.")
    parent = models.ForeignKey("self", on_delete=models.PROTECT, null=True, blank=True, related_name="children")
    run = models.OneToOneField(
        "registry.TrainingRun",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="version",
        help_text="The training run that made it.",
    )
    created_at = models.DateTimeField(auto_now_add=True)
    # The row stays for good: the ledger refers to it, and its name must never be given to another
    # version, by which Label Studio would take old predictions for new ones.
    pruned_at = models.DateTimeField(
        null=True, blank=True, help_text="When its state was removed for its age; it cannot be made live any more."
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "number"], name="one_version_per_number"),
            models.UniqueConstraint(fields=["project", "name"], name="one_version_per_name"),
        ]
        permissions = [("promote_modelversion", "Can make a model version live")]

    def __str__(self) -> str:
        return self.name


class Promotion(models.Model):
    """One move of a project's live pointer. Rows are only ever added."""

    project = models.ForeignKey("registry.Project", on_delete=models.CASCADE, related_name="promotions")
    from_version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, null=True, related_name="+")
    to_version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="promotions")
    actor = models.CharField(max_length=255, help_text="Who moved it: a user, a training run, or the backend's code.")
    reason = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [models.Index(fields=["project", "created_at"], name="promotion_when")]

    def __str__(self) -> str:
        return f"{self.from_version or 'nothing'} → {self.to_version}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            self._refuse()
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise TypeError("The ledger of promotions is append-only.")
