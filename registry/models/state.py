"""What a version has learnt: keys and values, large values shared by content."""

from django.db import models
from django.db.models import Q


class Blob(models.Model):
    """A large value, kept once however many versions hold it."""

    digest = models.CharField(max_length=64, primary_key=True, help_text="SHA-256 of the data, hexadecimal.")
    data = models.BinaryField()
    size = models.PositiveBigIntegerField(help_text="Bytes.")
    stored_at = models.DateTimeField(auto_now_add=True, help_text="When a version took it up last.")

    def __str__(self) -> str:
        return self.digest[:12]


class StateEntry(models.Model):
    """One key of a version's state."""

    class Kind(models.TextChoices):
        TEXT = "text"
        JSON = "json"
        BYTES = "bytes"
        PICKLE = "pickle"

    version = models.ForeignKey("registry.ModelVersion", on_delete=models.CASCADE, related_name="entries")
    key = models.CharField(max_length=255)
    kind = models.CharField(max_length=10, choices=Kind)
    data = models.BinaryField(null=True, help_text="The encoded value, where it is small.")
    blob = models.ForeignKey(Blob, on_delete=models.PROTECT, null=True, blank=True, related_name="entries")

    class Meta:
        verbose_name_plural = "state entries"
        constraints = [
            models.UniqueConstraint(fields=["version", "key"], name="one_value_per_key"),
            models.CheckConstraint(
                condition=Q(data__isnull=True) ^ Q(blob__isnull=True), name="value_inline_or_in_blob"
            ),
        ]

    def __str__(self) -> str:
        return self.key
