from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.auth.models import AbstractUser
from django.db.models import F, QuerySet
from django.http import HttpRequest, HttpResponseBase
from django.template.response import TemplateResponse
from django.utils.safestring import SafeString

from registry import versions
from registry.admin.base import JournalAdmin, link
from registry.admin.state import preview
from registry.errors import VersionError
from registry.models import ModelVersion, Promotion, StateEntry


class ReasonForm(forms.Form):
    """Why a version is made live."""

    reason = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 3, "cols": 70, "autofocus": True}),
        help_text="Kept in the ledger, for whoever asks later why this version served.",
    )


class StateEntryInline(admin.TabularInline):
    """The state of a version, on its page."""

    model = StateEntry
    fields = ("key", "kind", "value")
    readonly_fields = fields
    can_delete = False
    extra = 0
    verbose_name_plural = "State"

    def get_queryset(self, request: HttpRequest) -> QuerySet[StateEntry]:
        return super().get_queryset(request).select_related("blob").defer("blob__data").order_by("key")

    def has_add_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    @admin.display(description="value")
    def value(self, entry: StateEntry) -> str:
        return preview(entry)


@admin.register(ModelVersion)
class ModelVersionAdmin(JournalAdmin):
    """Model versions, and the action that makes one live."""

    list_display = ("name", "live", "number", "project", "parent", "made_by", "created_at")
    list_filter = ("project__backend", ("project", admin.RelatedOnlyFieldListFilter))
    list_select_related = ("project", "parent", "run")
    search_fields = ("name",)
    ordering = ("-id",)
    fields = ("name", "number", "live", "project", "parent", "made_by", "created_at", "pruned_at")
    inlines = (StateEntryInline,)
    actions = ("make_live",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[ModelVersion]:
        rows: QuerySet[ModelVersion] = super().get_queryset(request)
        return rows.annotate(_live=F("project__live"))

    @admin.display(description="live")
    def live(self, version: ModelVersion) -> str:
        return "● live" if version.pk == version._live else ""  # type: ignore[attr-defined]

    @admin.display(description="made by")
    def made_by(self, version: ModelVersion) -> SafeString | str:
        return link(version.run) if version.run else versions.CODE

    def has_promote_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("registry.promote_modelversion"))

    @admin.action(description="Make the selected version live…", permissions=["promote"])
    def make_live(self, request: HttpRequest, queryset: QuerySet[ModelVersion]) -> HttpResponseBase | None:
        """Ask for the reason, then move the project's live pointer."""
        version = queryset.first()
        if version is None or queryset.count() != 1:
            self.message_user(request, "Select one version: it becomes the live one of its project.", messages.ERROR)
            return None
        form = ReasonForm(request.POST if "confirmed" in request.POST else None)
        if not form.is_valid():
            return self._confirmation(request, version, form)
        assert isinstance(request.user, AbstractUser)  # noqa: S101  (the admin lets nobody else in)
        try:
            move = versions.promote(version, by=request.user, reason=form.cleaned_data["reason"])
        except VersionError as exc:
            self.message_user(request, str(exc), messages.ERROR)
        else:
            self.message_user(
                request,
                f"{move.to_version.name} is live in {version.project}, from every process's next request on.",
                messages.SUCCESS,
            )
        return None

    def _confirmation(self, request: HttpRequest, version: ModelVersion, form: ReasonForm) -> TemplateResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": f"Make version {version.name} live?",
            "opts": self.model._meta,
            "version": version,
            "form": form,
            "action_checkbox_name": ACTION_CHECKBOX_NAME,
        }
        return TemplateResponse(request, "registry/admin/make_live.html", context)


@admin.register(Promotion)
class PromotionAdmin(JournalAdmin):
    """The ledger: which version was live when, by whom and why."""

    list_display = ("created_at", "project", "from_version", "to_version", "actor", "reason")
    list_filter = ("project__backend", ("project", admin.RelatedOnlyFieldListFilter))
    list_select_related = ("project", "from_version", "to_version")
    date_hierarchy = "created_at"
    ordering = ("-id",)
