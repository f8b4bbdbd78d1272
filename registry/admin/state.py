from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat

from registry.admin.base import JournalAdmin, SharedContentAdmin
from registry.codec import Encoded, decode
from registry.models import Blob, StateEntry

_PREVIEW = 200
_READABLE = (StateEntry.Kind.TEXT, StateEntry.Kind.JSON)


def preview(entry: StateEntry) -> str:
    """Return the beginning of a value that can be read, and the size of one that cannot."""
    if entry.data is None:
        return f"{filesizeformat(entry.blob.size)} in blob {entry.blob}" if entry.blob else "–"
    if entry.kind not in _READABLE:
        return filesizeformat(len(entry.data))
    text = str(decode(entry.key, Encoded(entry.kind, bytes(entry.data))))
    return text if len(text) <= _PREVIEW else text[:_PREVIEW] + "…"


@admin.register(StateEntry)
class StateEntryAdmin(JournalAdmin):
    """What versions have learnt, key by key."""

    list_display = ("key", "kind", "value", "version", "project")
    list_filter = ("kind",)
    search_fields = ("key",)
    ordering = ("-version_id", "key")
    fields = ("key", "kind", "version", "value", "blob")

    def get_queryset(self, request: HttpRequest) -> QuerySet[StateEntry]:
        return super().get_queryset(request).select_related("version__project", "blob").defer("blob__data")

    @admin.display(description="value")
    def value(self, entry: StateEntry) -> str:
        return preview(entry)

    @admin.display(description="project")
    def project(self, entry: StateEntry) -> str:
        return str(entry.version.project)


@admin.register(Blob)
class BlobAdmin(SharedContentAdmin):
    """Large values, and how many versions share each."""

    list_display = ("short_digest", "readable_size", "shared_by", "stored_at")
    fields = ("digest", "readable_size", "shared_by", "stored_at")
    held_by = "entries"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Blob]:
        return super().get_queryset(request).defer("data")
