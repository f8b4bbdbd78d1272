from django.contrib import admin
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from registry.admin.base import JournalAdmin, link, preformatted
from registry.models import ModelVersion, TrainingRun


@admin.register(TrainingRun)
class TrainingRunAdmin(JournalAdmin):
    """Training runs: what each learnt from, made, or failed with."""

    list_display = ("__str__", "status", "project", "made_version", "created_at", "duration", "worker")
    list_filter = ("status", "project__backend", ("project", admin.RelatedOnlyFieldListFilter))
    list_select_related = ("project", "version")
    ordering = ("-id",)
    date_hierarchy = "created_at"
    fields = (
        "status",
        "project",
        "learnt_from",
        "made_version",
        "created_at",
        "started_at",
        "finished_at",
        "duration",
        "worker",
        "result",
        "error",
    )

    @admin.display(description="made version")
    def made_version(self, run: TrainingRun) -> SafeString | str:
        try:
            return link(run.version)
        except ModelVersion.DoesNotExist:
            return "–"

    @admin.display(description="learnt from")
    def learnt_from(self, run: TrainingRun) -> SafeString | str:
        return format_html_join(", ", "{}", ((link(event),) for event in run.events.order_by("id"))) or "–"

    @admin.display(description="took")
    def duration(self, run: TrainingRun) -> str:
        if run.started_at is None or run.finished_at is None:
            return "–"
        return f"{(run.finished_at - run.started_at).total_seconds():.2f} s"

    @admin.display(description="Traceback")
    def error(self, run: TrainingRun) -> SafeString | str:
        return preformatted(run.traceback)
