"""Requests and predictions that went wrong, each kind once."""

from django.db import models


class Failure(models.Model):
    """One way in which requests fail, counted, with the last request that did.

    Label Studio throws the bodies of errors away, so here is where an operator reads why.
    """

    backend = models.CharField(
        max_length=100, blank=True, help_text="Empty where the address names no backend of this server."
    )
    fingerprint = models.CharField(max_length=64, help_text="The same for failures of one kind.")
    project = models.ForeignKey(
        "registry.Project", on_delete=models.CASCADE, null=True, blank=True, related_name="failures"
    )
    status = models.PositiveSmallIntegerField("answered with", help_text="The HTTP status that Label Studio saw.")
    code = models.CharField(max_length=100, help_text="As in the answer's body.")
    summary = models.TextField("what went wrong")
    count = models.PositiveBigIntegerField("times", default=1)
    first_seen = models.DateTimeField()
    last_seen = models.DateTimeField()
    # Of the last time, masked and cut: these are for reading, not for sending again.
    request = models.TextField("last request", blank=True)
    body = models.TextField("body of the last request", blank=True)
    traceback = models.TextField("last traceback", blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["backend", "fingerprint"], name="one_failure_per_fingerprint")]

    def __str__(self) -> str:
        return f"{self.code} #{self.pk}"
