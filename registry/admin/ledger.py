from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from registry.admin.base import JournalAdmin, link, moment
from registry.models import Promotion


def kind(move: Promotion) -> str:
    """Return which way the live version was moved."""
    return "↩ rollback" if move.rollback else "promotion"


@admin.register(Promotion)
class PromotionAdmin(JournalAdmin):
    """The ledger: which version was live when, by whom and why."""

    list_display = ("live_from", "live_until", "project_page", "version", "how", "actor", "reason")
    list_display_links = ("live_from",)
    list_filter = (("project", admin.RelatedOnlyFieldListFilter), "rollback", "project__backend")
    list_select_related = ("project", "from_version", "to_version")
    search_fields = ("to_version__name", "actor", "reason")
    search_help_text = "Search by the version that became live, by who moved it, or by words of the reason."
    date_hierarchy = "created_at"
    ordering = ("-id",)
    fields = ("project_page", "version", "how", "live_from", "live_until", "actor", "reason")

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return super().changelist_view(request, {"title": "The ledger: what was live when"} | (extra_context or {}))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Promotion]:
        return Promotion.objects.with_end().select_related("project", "from_version", "to_version")

    @admin.display(description="live from", ordering="created_at")
    def live_from(self, move: Promotion) -> str:
        return moment(move.created_at)

    @admin.display(description="until", ordering="ended_at")
    def live_until(self, move: Promotion) -> str:
        ended = move.ended_at  # type: ignore[attr-defined]
        return moment(ended) if ended else "now"

    @admin.display(description="project", ordering="project")
    def project_page(self, move: Promotion) -> SafeString | str:
        return link(move.project, f"{move.project.title or 'Project'} #{move.project.ls_id}")

    @admin.display(description="version")
    def version(self, move: Promotion) -> SafeString | str:
        return link(move.to_version)

    @admin.display(description="how", ordering="rollback")
    def how(self, move: Promotion) -> SafeString:
        return format_html("{} in place of {}", kind(move), link(move.from_version) if move.from_version else "nothing")
