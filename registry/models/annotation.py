"""What happened to each label: the latest state of every annotation, deletions included."""

from django.db import models


class AnnotatedTask(models.Model):
    """A task as Label Studio sent it last with an annotation."""

    class Split(models.TextChoices):
        UNDECIDED = "", "not decided yet"
        TRAINING = "training"
        HELD_OUT = "held_out", "kept for evaluation"

    project = models.ForeignKey("registry.Project", on_delete=models.CASCADE, related_name="tasks")
    ls_id = models.BigIntegerField("Label Studio id")
    updated_at = models.DateTimeField(null=True, help_text="By Label Studio's clock.")
    body = models.BinaryField()
    deleted = models.BooleanField(default=False)
    split = models.CharField(max_length=10, choices=Split, default=Split.UNDECIDED, db_default="")
    stratum = models.CharField(
        max_length=64, blank=True, db_default="", help_text="Tasks of one stratum have like annotations."
    )

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "ls_id"], name="one_row_per_task")]
        indexes = [models.Index(fields=["project", "split"], name="tasks_of_split")]

    def __str__(self) -> str:
        return f"Task {self.ls_id}"


class Annotation(models.Model):
    """The latest state of an annotation; a deleted one stays as a tombstone."""

    project = models.ForeignKey("registry.Project", on_delete=models.CASCADE, related_name="annotations")
    ls_id = models.BigIntegerField("Label Studio id")
    task_ls_id = models.BigIntegerField("task", null=True)
    updated_at = models.DateTimeField(null=True, help_text="By Label Studio's clock.")
    body = models.BinaryField(null=True)
    skipped = models.BooleanField(default=False)
    deleted = models.BooleanField(default=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "ls_id"], name="one_row_per_annotation")]
        indexes = [models.Index(fields=["project", "task_ls_id"], name="annotations_of_task")]

    def __str__(self) -> str:
        return f"Annotation {self.ls_id}"
