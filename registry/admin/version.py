from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path

from registry.admin.base import NOTHING, link, moment, short_hash, table
from registry.admin.differences import differences
from registry.admin.evaluations import decision, summary
from registry.admin.version_page import VersionPage, comparison_address
from registry.models import ModelVersion


@admin.register(ModelVersion)
class ModelVersionAdmin(VersionPage):
    """Model versions: which is live, how each did, and two of them beside one another."""

    list_display = (
        "name",
        "live",
        "also_called",
        "project_page",
        "evaluated",
        "learnt",
        "tagged",
        "parent",
        "made_by",
        "readable_size",
        "created_at",
    )
    list_filter = (("project", admin.RelatedOnlyFieldListFilter), "project__backend")
    list_select_related = ("project__live", "parent", "run")
    search_fields = ("name", "note", "tags", "aliases__name")
    search_help_text = "Search by name, alias, tag, or words of the note."
    ordering = ("-id",)
    actions = ("make_live", "compare")

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.compare_view)
        compare = path("<int:before>/compare/<int:after>/", view, name="registry_modelversion_compare")
        return [compare, *super().get_urls()]

    def get_queryset(self, request: HttpRequest) -> QuerySet[ModelVersion]:
        rows: QuerySet[ModelVersion] = super().get_queryset(request).select_related(*self.list_select_related)
        return rows.prefetch_related("aliases")

    @admin.display(description="aliases")
    def also_called(self, version: ModelVersion) -> str:
        return ", ".join(alias.name for alias in version.aliases.all()) or NOTHING

    @admin.display(description="annotations", ordering="annotation_count")
    def learnt(self, version: ModelVersion) -> int:
        return version.annotation_count

    @admin.display(description="evaluation")
    def evaluated(self, version: ModelVersion) -> str:
        return decision(version)

    @admin.display(description="tags")
    def tagged(self, version: ModelVersion) -> str:
        return ", ".join(map(str, version.tags))

    @admin.action(description="Compare the two selected versions", permissions=["view"])
    def compare(self, request: HttpRequest, queryset: QuerySet[ModelVersion]) -> HttpResponseBase | None:
        """Lead to the page that shows them beside one another, the older one first."""
        selected = list(queryset.order_by("pk")[:3])
        if len(selected) != 2:
            self.message_user(request, "Select two versions: they are shown beside one another.", messages.ERROR)
            return None
        return redirect(comparison_address(*selected))

    def compare_view(self, request: HttpRequest, before: int, after: int) -> HttpResponseBase:
        """Show two versions beside one another."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        one, other = (get_object_or_404(self.get_queryset(request), pk=pk) for pk in (before, after))
        context = {
            **self.admin_site.each_context(request),
            "title": f"{one.name} and {other.name}",
            "opts": self.opts,
            "before": one,
            "after": other,
            "summary": table(("", link(one), link(other)), self._summary(one, other)),
            "differences": differences(one, other),
        }
        return TemplateResponse(request, "registry/admin/comparison.html", context)

    def _summary(self, *pair: ModelVersion) -> list[tuple[object, ...]]:
        shown = (
            ("Project", self.project_page),
            ("Live", self.live),
            ("Aliases", self.also_called),
            ("Made by", self.made_by),
            ("Parent", self.parent_page),
            ("Created", lambda version: moment(version.created_at)),
            ("Learnt from events", self.events),
            ("Annotations", self.annotations),
            ("Labelling config", lambda version: short_hash(version.label_config_hash)),
            ("Code", lambda version: short_hash(version.code_hash)),
            ("Libraries", self.packages),
            ("Evaluation", summary),
            ("Size", self.readable_size),
        )
        return [(title, *map(show, pair)) for title, show in shown]
