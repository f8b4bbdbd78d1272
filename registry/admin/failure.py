from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.defaultfilters import truncatechars
from django.utils.safestring import SafeString

from registry.admin.base import JournalAdmin, link, preformatted
from registry.failures import MAX_GROUPS, OVERFLOW
from registry.models import Failure

_BAD_REQUEST = "What was sent is not what Label Studio sends. Is it another program that asks, or a newer Label Studio?"
_MEANINGS = {
    "backend_failed": "The model's own code raised an error. The traceback below ends with the line that did.",
    "backend_broken": "The backend's model.py cannot be imported. ./manage.py checkbackend says what to mend.",
    "invalid_prediction": "predict() returned something that Label Studio could not store; the text above says what.",
    "invalid_label_config": "The project's labelling config does not fit the model, or is not well-formed. "
    "Change it in Label Studio: Settings, Labeling Interface.",
    "unknown_backend": "The address in Label Studio names a backend that this server does not have. "
    "Correct it there: Settings, Model.",
    "not_authenticated": "No or wrong credentials. Set them on the backend in Label Studio: Settings, Model.",
    "authentication_failed": "No or wrong credentials. Set them on the backend in Label Studio: Settings, Model.",
    "busy": "More predictions were asked for than the model could make in time. Add web processes (WEB_WORKERS).",
    "body_too_large": "The request was larger than MAX_BODY_MB allows. Raise it, or select fewer tasks at once.",
    "internal_error": "This is a fault of the server itself, not of the model. The traceback says where.",
    "invalid_json": _BAD_REQUEST,
    "invalid_request": _BAD_REQUEST,
    "invalid_project": _BAD_REQUEST,
    OVERFLOW: f"{MAX_GROUPS} kinds of failures are kept apart for a backend; these came after and are counted "
    "together. Remove what is resolved to make room.",
}


@admin.register(Failure)
class FailureAdmin(JournalAdmin):
    """What went wrong, each kind once: Label Studio shows nobody why a request failed."""

    list_display = ("what", "count", "backend", "project", "last_seen", "first_seen")
    list_filter = ("code", "backend", ("project", admin.RelatedOnlyFieldListFilter))
    list_select_related = ("project",)
    search_fields = ("summary", "traceback")
    ordering = ("-last_seen",)
    date_hierarchy = "last_seen"
    fieldsets = (
        ("What went wrong", {"fields": ("summary", "meaning", "status", "code")}),
        ("Where and how often", {"fields": ("backend", "project_page", "count", "first_seen", "last_seen")}),
        (
            "The last time",
            {
                "fields": ("request", "content", "error"),
                "description": "The body is shortened, and secrets in it are masked.",
            },
        ),
    )
    actions = ("resolve",)

    @admin.display(description="what went wrong", ordering="summary")
    def what(self, failure: Failure) -> str:
        return truncatechars(failure.summary, 120)

    @admin.display(description="What this means")
    def meaning(self, failure: Failure) -> str:
        return _MEANINGS.get(failure.code, "–")

    @admin.display(description="project")
    def project_page(self, failure: Failure) -> SafeString | str:
        return link(failure.project)

    @admin.display(description="Body")
    def content(self, failure: Failure) -> SafeString | str:
        return preformatted(failure.body)

    @admin.display(description="Traceback")
    def error(self, failure: Failure) -> SafeString | str:
        return preformatted(failure.traceback)

    def has_resolve_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("registry.delete_failure"))

    @admin.action(description="Mark as resolved", permissions=["resolve"])
    def resolve(self, request: HttpRequest, queryset: QuerySet[Failure]) -> None:
        """Forget the failures; one that comes again is counted from 1."""
        count, _ = queryset.delete()
        self.message_user(
            request, f"{count} removed. What is not resolved appears again when it happens.", messages.SUCCESS
        )
