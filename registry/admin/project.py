from django.contrib import admin
from django.db.models import Count, Max, Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from registry.admin.base import JournalAdmin, link, preformatted
from registry.masking import MASK
from registry.models import Event, Project


@admin.register(Project)
class ProjectAdmin(JournalAdmin):
    """Label Studio projects: what serves them, and what waits to be learnt."""

    list_display = ("name", "backend", "live_version", "version_count", "waiting", "last_event", "created_at")
    list_filter = ("backend",)
    search_fields = ("title", "ls_id")
    fieldsets = (
        (None, {"fields": ("title", "backend", "live_version", "related")}),
        (
            "What Label Studio said",
            {"fields": ("ls_id", "ls_created", "label_studio_url", "token", "extra_params", "config")},
        ),
        ("Bookkeeping", {"fields": ("declared_version", "generation", "state_revision", "created_at")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Project]:
        projects: QuerySet[Project] = super().get_queryset(request).select_related("live")
        return projects.annotate(
            _versions=Count("versions", distinct=True),
            _waiting=Count("events", filter=Q(events__status=Event.Status.PENDING), distinct=True),
            _last_event=Max("events__received_at"),
        )

    @admin.display(description="project", ordering="title")
    def name(self, project: Project) -> str:
        return f"{project.title or 'Untitled'} (#{project.ls_id})"

    @admin.display(description="live version")
    def live_version(self, project: Project) -> SafeString | str:
        return link(project.live)

    @admin.display(description="versions", ordering="_versions")
    def version_count(self, project: Project) -> int:
        count: int = project._versions  # type: ignore[attr-defined]
        return count

    @admin.display(description="events waiting", ordering="_waiting")
    def waiting(self, project: Project) -> int:
        count: int = project._waiting  # type: ignore[attr-defined]
        return count

    @admin.display(description="last event", ordering="_last_event")
    def last_event(self, project: Project) -> object:
        return project._last_event or "–"  # type: ignore[attr-defined]

    @admin.display(description="Access token", empty_value="–")
    def token(self, project: Project) -> str:
        return MASK if project.access_token else "–"

    @admin.display(description="Labelling config")
    def config(self, project: Project) -> SafeString | str:
        return preformatted(project.label_config)

    @admin.display(description="See its")
    def related(self, project: Project) -> SafeString:
        pages = (("modelversion", "versions"), ("promotion", "ledger"), ("event", "events"), ("trainingrun", "runs"))
        links = [
            format_html(
                '<a href="{}?project__id__exact={}">{}</a>',
                reverse(f"admin:registry_{model}_changelist"),
                project.pk,
                text,
            )
            for model, text in pages
        ]
        return format_html("{} · {} · {} · {}", *links)
