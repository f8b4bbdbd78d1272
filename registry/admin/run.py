from django.contrib import admin, messages
from django.db.models import Max, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from registry import runs
from registry.admin.base import JournalAdmin, link, preformatted, user_of
from registry.errors import RunError
from registry.masking import mask_secrets
from registry.models import ModelVersion, TrainingRun

# A coalesced fit may have learnt from thousands.
_MAX_EVENTS = 50


@admin.register(TrainingRun)
class TrainingRunAdmin(JournalAdmin):
    """Training runs: how far each is, what it learnt from, made, or failed with."""

    list_display = ("__str__", "status", "how_far", "project", "made_version", "created_at", "duration", "worker")
    list_filter = ("status", "project__backend", ("project", admin.RelatedOnlyFieldListFilter))
    list_select_related = ("project", "version")
    ordering = ("-id",)
    date_hierarchy = "created_at"
    fieldsets = (
        (None, {"fields": ("status", "how_far", "project", "learnt_from", "attempts", "made_version", "merged")}),
        ("What came of it", {"fields": ("measured", "result", "error", "output")}),
        (
            "When and where",
            {"fields": ("created_at", "started_at", "heartbeat_at", "finished_at", "duration", "worker", "job")},
        ),
    )
    actions = ("cancel", "retry")

    @admin.display(description="made version")
    def made_version(self, run: TrainingRun) -> SafeString | str:
        try:
            return link(run.version)
        except ModelVersion.DoesNotExist:
            return "–"

    @admin.display(description="learnt from")
    def learnt_from(self, run: TrainingRun) -> SafeString | str:
        shown = list(run.events.order_by("happened_at", "id").defer("body")[: _MAX_EVENTS + 1])
        links = format_html_join(", ", "{}", ((link(event),) for event in shown[:_MAX_EVENTS]))
        return links + (f" and {run.events.count() - _MAX_EVENTS} more" if len(shown) > _MAX_EVENTS else "") or "–"

    @admin.display(description="attempts")
    def attempts(self, run: TrainingRun) -> int | str:
        """Return how often a fit of its events was begun, by this run and earlier ones."""
        return run.events.aggregate(most=Max("attempts"))["most"] or "–"

    @admin.display(description="progress")
    def how_far(self, run: TrainingRun) -> str:
        if run.progress is None:
            return run.progress_text or "–"
        return f"{run.progress:.0%} {run.progress_text}".strip()

    @admin.display(description="merged into")
    def merged(self, run: TrainingRun) -> SafeString | str:
        return link(run.merged_into)

    @admin.display(description="metrics")
    def measured(self, run: TrainingRun) -> SafeString | str:
        return preformatted("\n".join(f"{name} = {value}" for name, value in run.metrics.items()))

    @admin.display(description="log")
    def output(self, run: TrainingRun) -> SafeString | str:
        return preformatted(mask_secrets(run.log))

    @admin.display(description="took")
    def duration(self, run: TrainingRun) -> str:
        if run.started_at is None or run.finished_at is None:
            return "–"
        return f"{(run.finished_at - run.started_at).total_seconds():.2f} s"

    @admin.display(description="Traceback")
    def error(self, run: TrainingRun) -> SafeString | str:
        return preformatted(mask_secrets(run.traceback))

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("registry.cancel_trainingrun"))

    @admin.action(description="Cancel the selected runs", permissions=["cancel"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[TrainingRun]) -> None:
        """Stop runs that wait or are running; nothing of them is kept."""
        for run in queryset.order_by("pk"):
            try:
                runs.cancel(run, by=user_of(request))
            except RunError as exc:
                self.message_user(request, str(exc), messages.ERROR)
            else:
                self.message_user(request, f"{run} is cancelled; its events are set aside.", messages.SUCCESS)

    @admin.action(description="Try the selected runs again", permissions=["cancel"])
    def retry(self, request: HttpRequest, queryset: QuerySet[TrainingRun]) -> None:
        """Have the events of failed or cancelled runs trained on again."""
        for run in queryset.order_by("pk"):
            try:
                count = runs.retry(run, by=user_of(request))
            except RunError as exc:
                self.message_user(request, str(exc), messages.ERROR)
            else:
                self.message_user(request, f"{count} events of {run} wait to be trained on again.", messages.SUCCESS)
