import json

from django.contrib import admin
from django.utils.safestring import SafeString

from registry.admin.base import JournalAdmin, link, preformatted
from registry.masking import masked
from registry.models import Event


@admin.register(Event)
class EventAdmin(JournalAdmin):
    """The webhooks as they came, secrets masked."""

    list_display = ("action", "status", "project", "training_run", "received_at", "id")
    list_filter = ("status", "action", "project__backend", ("project", admin.RelatedOnlyFieldListFilter))
    list_select_related = ("project", "run")
    ordering = ("-id",)
    date_hierarchy = "received_at"
    fields = ("action", "status", "project", "training_run", "received_at", "content")

    @admin.display(description="training run")
    def training_run(self, event: Event) -> SafeString | str:
        return link(event.run)

    @admin.display(description="What Label Studio sent")
    def content(self, event: Event) -> SafeString | str:
        return preformatted(json.dumps(masked(event.payload), indent=2, ensure_ascii=False))
