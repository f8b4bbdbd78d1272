"""What the admin pages share."""

from typing import Any

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString


class JournalAdmin(admin.ModelAdmin):
    """Pages that are read and never edited: what is recorded here, the server recorded."""

    list_per_page = 50
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def link(row: Model | None, text: str = "") -> SafeString | str:
    """Return a link to the row's own page, or a dash where there is no row."""
    if row is None:
        return "–"
    options = row._meta
    address = reverse(f"admin:{options.app_label}_{options.model_name}_change", args=[row.pk])
    return format_html('<a href="{}">{}</a>', address, text or str(row))


def preformatted(text: str) -> SafeString | str:
    """Return text in its own lines and spaces, long lines wrapped."""
    if not text:
        return "–"
    return format_html('<pre style="white-space: pre-wrap; overflow-wrap: anywhere; margin: 0">{}</pre>', text)
