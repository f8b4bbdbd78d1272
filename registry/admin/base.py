"""What the admin pages share."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.utils import flatten_fieldsets
from django.contrib.auth.models import AbstractUser
from django.db.models import Count, Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.defaultfilters import filesizeformat
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.timezone import localtime

NOTHING = "–"
_SHORT_HASH = 12
_LONG_WORD = 30
_PROJECT = ("project", "project_page")


@dataclass(frozen=True)
class Tool:
    """A button at the top of a row's page."""

    text: str
    address: str


class JournalAdmin(admin.ModelAdmin):
    """Pages that are read: what is recorded here, the server recorded.

    Who may change a model can change its `editable` fields and nothing else of it.
    """

    list_per_page = 50
    show_full_result_count = False
    change_form_template = "registry/admin/journal_page.html"
    editable: tuple[str, ...] = ()

    def tools(self, request: HttpRequest, row: Any) -> list[Tool]:
        """Return the buttons of the row's page."""
        return []

    def warning(self, row: Any) -> str:
        """Return what is to be said above everything else on the row's page."""
        return ""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(self.editable) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_list_display(self, request: HttpRequest) -> Any:
        """Leave out the project where the list is of one project's rows: they need the room."""
        shown = super().get_list_display(request)
        return [name for name in shown if name not in _PROJECT] if "project__id__exact" in request.GET else shown

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        if not self.editable:
            return super().get_readonly_fields(request, obj)
        return [name for name in flatten_fieldsets(self.fieldsets or ()) if name not in self.editable]

    def save_model(self, request: HttpRequest, obj: Any, form: forms.ModelForm, change: bool) -> None:
        """Store what is editable alone: the server writes to the rest of the row."""
        obj.save(update_fields=self.editable)

    def render_change_form(
        self,
        request: HttpRequest,
        context: dict[str, Any],
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Any = None,
    ) -> HttpResponse:
        context |= {"tools": self.tools(request, obj), "warning": self.warning(obj)}
        return super().render_change_form(request, context, add, change, form_url, obj)


class SharedContentAdmin(JournalAdmin):
    """Content that is kept once under its digest, and how many versions hold it."""

    ordering = ("-stored_at",)
    search_fields = ("digest__startswith",)
    held_by = ""
    """The name by which rows of versions refer to it."""

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        count = Count(f"{self.held_by}__version", distinct=True)
        rows: QuerySet[Any] = super().get_queryset(request).annotate(_versions=count)
        return rows

    @admin.display(description="digest", ordering="digest")
    def short_digest(self, row: Any) -> str:
        return str(row)

    @admin.display(description="size", ordering="size")
    def readable_size(self, row: Any) -> str:
        return filesizeformat(row.size)

    @admin.display(description="shared by versions", ordering="_versions")
    def shared_by(self, row: Any) -> int:
        count: int = row._versions
        return count


def user_of(request: HttpRequest) -> AbstractUser:
    """Return who asks."""
    assert isinstance(request.user, AbstractUser)  # noqa: S101  (the admin lets nobody else in)
    return request.user


def link(row: Model | None, text: str = "") -> SafeString | str:
    """Return a link to the row's own page, or a dash where there is no row."""
    if row is None:
        return NOTHING
    return format_html('<a href="{}">{}</a>', address_of(row), text or str(row))


def address_of(row: Model) -> str:
    """Return the address of the row's own page."""
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])


def list_link(model: str, text: object, **filters: object) -> SafeString:
    """Return a link to the model's list, with these filters set."""
    query = "&".join(f"{name}={value}" for name, value in filters.items())
    return format_html('<a href="{}?{}">{}</a>', reverse(f"admin:registry_{model}_changelist"), query, text)


def preformatted(text: str) -> SafeString | str:
    """Return text in its own lines and spaces, long lines wrapped."""
    if not text:
        return NOTHING
    return format_html('<pre style="white-space: pre-wrap; overflow-wrap: anywhere; margin: 0">{}</pre>', text)


def short_hash(digest: str) -> SafeString | str:
    """Return the beginning of a digest; all of it appears under the pointer."""
    if not digest:
        return NOTHING
    return format_html('<code title="{}">{}</code>', digest, digest[:_SHORT_HASH])


def moment(time: datetime) -> str:
    """Return a time in little room, to the second: moves may follow one another closely."""
    return f"{localtime(time):%Y-%m-%d %H:%M:%S}"


def table(headers: Iterable[object], rows: Iterable[Sequence[object]]) -> SafeString | str:
    """Return rows as a table, or a dash where there are none."""
    lines = [_cells("td", row) for row in rows]
    if not lines:
        return NOTHING
    body = format_html_join("", "<tr>{}</tr>", ((line,) for line in lines))
    return format_html("<table><thead><tr>{}</tr></thead><tbody>{}</tbody></table>", _cells("th", headers), body)


def _cells(tag: str, cells: Iterable[object]) -> SafeString:
    return format_html_join("", '<{0} style="{1}">{2}</{0}>', ((tag, _style(cell), cell) for cell in cells))


def _style(cell: object) -> str:
    # Only where it has to be: it lets a browser break short words as well.
    long = not isinstance(cell, SafeString) and max(map(len, str(cell).split()), default=0) > _LONG_WORD
    return "max-width: 34em; overflow-wrap: anywhere" if long else "max-width: 34em"
