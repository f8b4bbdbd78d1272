"""Model versions, and the ledger of which one was live when."""

from datetime import datetime
from typing import Any, NoReturn

from django.db import models
from django.db.models import OuterRef, Q, Subquery


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

    code_hash = models.CharField(
        "code", max_length=64, blank=True, help_text="SHA-256 of the backend's Python files, hexadecimal."
    )
    label_config_hash = models.CharField(
        "labelling config", max_length=64, blank=True, help_text="SHA-256 of the config that it was trained with."
    )
    seed = models.BigIntegerField(null=True, blank=True, help_text="What self.seed was in its fit.")
    libraries = models.JSONField(
        default=dict, blank=True, help_text="Versions of Python and of the packages that the backend requires."
    )
    # Numbers and not references: events are pruned long before what was learnt from them.
    first_event = models.BigIntegerField(null=True, blank=True, help_text="The first event that it learnt from.")
    last_event = models.BigIntegerField(null=True, blank=True)
    event_count = models.PositiveIntegerField("events", default=0)
    annotations_hash = models.CharField(
        "annotations",
        max_length=64,
        blank=True,
        help_text="SHA-256 over id and time of every annotation that the fit read; the same for the same training set.",
    )
    annotation_count = models.PositiveIntegerField("number of annotations", default=0)
    metrics = models.JSONField(default=dict, blank=True, help_text="What the fit measured.")
    evaluation = models.JSONField(
        null=True, blank=True, help_text="How it did on held-out tasks beside the live version, and the decision."
    )
    size = models.PositiveBigIntegerField(default=0, help_text="Bytes of state and artifacts, shared ones included.")
    note = models.TextField(blank=True)
    tags = models.JSONField(default=list, blank=True, help_text='A list of words: ["release", "reviewed"].')
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


class AliasQuerySet(models.QuerySet["Alias"]):
    """Queries over aliases."""

    def candidates(self) -> "AliasQuerySet":
        """Return the aliases of what training made last and did not make live, with their versions."""
        return self.filter(name=Alias.CANDIDATE).select_related("version")


class Alias(models.Model):
    """A name for one version of a project, beside which one is live.

    `candidate` is what training made last and did not make live: the next fit goes on from there.
    """

    CANDIDATE = "candidate"
    LIVE = "live"

    project = models.ForeignKey("registry.Project", on_delete=models.CASCADE, related_name="aliases")
    name = models.CharField(max_length=100)
    version = models.ForeignKey(ModelVersion, on_delete=models.CASCADE, related_name="aliases")
    protected = models.BooleanField(
        default=False, help_text="Only users with the permission to change protected aliases may move or remove it."
    )
    changed_at = models.DateTimeField(auto_now=True)

    objects = AliasQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "aliases"
        constraints = [models.UniqueConstraint(fields=["project", "name"], name="one_version_per_alias")]
        permissions = [("change_protected_alias", "Can move and remove protected aliases")]

    def __str__(self) -> str:
        return self.name


class PromotionQuerySet(models.QuerySet["Promotion"]):
    """Queries over the ledger."""

    def live_at(self, project_id: int, time: datetime) -> ModelVersion | None:
        """Return the version that was live in the project at that time."""
        moves = self.filter(project_id=project_id, created_at__lte=time).select_related("to_version")
        last = moves.order_by("-id").first()
        return last.to_version if last else None

    def before(self, version: ModelVersion) -> ModelVersion | None:
        """Return the version that was live before this one became it, rollbacks to it aside."""
        came = self.filter(project_id=version.project_id, to_version=version, rollback=False)
        last = came.select_related("from_version").order_by("-id").first()
        return last.from_version if last else None

    def touching(self, version: ModelVersion) -> "PromotionQuerySet":
        """Return the moves that the version became live by, or was live no more by, with both versions."""
        its = self.filter(Q(to_version=version) | Q(from_version=version))
        return its.select_related("from_version", "to_version")

    def with_end(self) -> "PromotionQuerySet":
        """Return the moves, each with the time of its project's next one as `ended_at`."""
        later = Promotion.objects.filter(project=OuterRef("project"), pk__gt=OuterRef("pk")).order_by("pk")
        return self.annotate(ended_at=Subquery(later.values("created_at")[:1]))


class Promotion(models.Model):
    """One move of a project's live pointer. Rows are only ever added."""

    project = models.ForeignKey("registry.Project", on_delete=models.CASCADE, related_name="promotions")
    from_version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, null=True, related_name="+")
    to_version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="promotions")
    actor = models.CharField(max_length=255, help_text="Who moved it: a user, a training run, or the backend's code.")
    reason = models.TextField()
    rollback = models.BooleanField(default=False, help_text="Back to what was live before.")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = PromotionQuerySet.as_manager()

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
