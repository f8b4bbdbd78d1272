"""Model files: what versions hold, and the content that Django storage keeps."""

from django.db import models


class StoredFile(models.Model):
    """The content of a file, kept once in the storage however many versions hold it.

    The row is there before the content, so that content whose storing was cut off is known of.
    """

    digest = models.CharField(max_length=64, primary_key=True, help_text="SHA-256 of the content, hexadecimal.")
    size = models.PositiveBigIntegerField(help_text="Bytes.")
    complete = models.BooleanField(default=False, help_text="Whether the storage has all of it.")
    stored_at = models.DateTimeField(auto_now_add=True, help_text="When a version took it up last.")

    def __str__(self) -> str:
        return self.digest[:12]

    @property
    def storage_name(self) -> str:
        """Where it lies in the storage."""
        return f"{self.digest[:2]}/{self.digest}"


class Artifact(models.Model):
    """A file of a version. A folder is the files in it."""

    version = models.ForeignKey("registry.ModelVersion", on_delete=models.CASCADE, related_name="artifacts")
    path = models.CharField(max_length=500, help_text="Name as in artifact_path(), and the path below a folder.")
    file = models.ForeignKey(StoredFile, on_delete=models.PROTECT, related_name="artifacts")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["version", "path"], name="one_file_per_path")]

    def __str__(self) -> str:
        return self.path
