import json

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import Count
from django.http import HttpRequest, HttpResponseBase
from django.template.response import TemplateResponse
from django.utils.safestring import SafeString

from registry import events
from registry.admin.base import JournalAdmin, link, preformatted, user_of
from registry.models import Event, Project
from registry.models.event import EventQuerySet
from registry.text import presentable


class ReplayForm(forms.Form):
    """How events are replayed."""

    fresh = forms.BooleanField(
        required=False,
        label="Learn from nothing",
        label_suffix="",
        help_text="On a new version that has learnt nothing, and which serves meanwhile. Otherwise on the live one.",
    )


@admin.register(Event)
class EventAdmin(JournalAdmin):
    """The webhooks as they came, secrets masked, and the action that trains on them again."""

    list_display = ("action", "status", "project", "training_run", "received_at", "id")
    list_filter = ("status", "action", "project__backend", ("project", admin.RelatedOnlyFieldListFilter))
    list_select_related = ("project", "run")
    ordering = ("-id",)
    date_hierarchy = "received_at"
    fields = ("action", "status", "project", "training_run", "attempts", "received_at", "happened_at", "content")
    actions = ("replay",)

    @admin.display(description="training run")
    def training_run(self, event: Event) -> SafeString | str:
        return link(event.run)

    @admin.display(description="What Label Studio sent")
    def content(self, event: Event) -> SafeString | str:
        return preformatted(json.dumps(presentable(event.payload), indent=2, ensure_ascii=False))

    def has_replay_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("registry.replay_event"))

    @admin.action(description="Replay the selected events…", permissions=["replay"])
    def replay(self, request: HttpRequest, queryset: EventQuerySet) -> HttpResponseBase | None:
        """Say what would be trained on, then have it trained on."""
        form = ReplayForm(request.POST if "confirmed" in request.POST else None)
        if not form.is_valid():
            return self._confirmation(request, queryset, form)
        count = events.replay(queryset, fresh=form.cleaned_data["fresh"], by=user_of(request))
        self.message_user(request, f"{count} events wait to be trained on again.", messages.SUCCESS)
        return None

    def _confirmation(self, request: HttpRequest, queryset: EventQuerySet, form: ReplayForm) -> TemplateResponse:
        counts = dict(queryset.replayable().order_by("project_id").values_list("project_id").annotate(Count("pk")))
        projects = Project.objects.filter(pk__in=counts).select_related("live").order_by("pk")
        context = {
            **self.admin_site.each_context(request),
            "title": "Replay events?",
            "opts": self.model._meta,
            "projects": [(project, counts[project.pk]) for project in projects],
            "left_out": queryset.count() - sum(counts.values()),
            "form": form,
            "action_checkbox_name": ACTION_CHECKBOX_NAME,
            "selected": request.POST.getlist(ACTION_CHECKBOX_NAME),
            "select_across": request.POST.get("select_across", "0"),
        }
        return TemplateResponse(request, "registry/admin/replay.html", context)
