"""The page of a version: what it learnt from, how good it is, what it holds, and when it was live."""

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from registry import aliases, lineage, versions
from registry.admin.base import NOTHING, Tool, link, list_link, moment, short_hash, table, user_of
from registry.admin.differences import differences
from registry.admin.evaluations import explained, number
from registry.admin.ledger import kind
from registry.admin.moves import MovesAdmin, make_live_tools, roll_back_tools
from registry.admin.state import preview
from registry.models import Artifact, ModelVersion, Promotion, StateEntry

_MAX_ROWS = 100
_MAX_MOVES = 20
_MAX_TAG = 50
_PRUNED = "Its state was removed for its age; it cannot be compared, nor made live any more."


class NoteForm(forms.ModelForm):
    """What people say of a version."""

    class Meta:
        model = ModelVersion
        fields = ("note", "tags")
        widgets = {
            "note": forms.Textarea(attrs={"rows": 3, "cols": 70}),
            "tags": forms.Textarea(attrs={"rows": 1, "cols": 70}),
        }

    def clean_tags(self) -> list[str]:
        """Return the words, each once."""
        tags = self.cleaned_data["tags"] or []
        if not isinstance(tags, list) or not all(map(_is_word, tags)):
            text = f'Tags are a list of words of up to {_MAX_TAG} characters each: ["release", "reviewed"].'
            raise forms.ValidationError(text)
        return list(dict.fromkeys(tags))


class VersionPage(MovesAdmin):
    """The page's fields, in the order of the questions that an operator has."""

    form = NoteForm
    editable = ("note", "tags")
    fieldsets = (
        (None, {"fields": ("name", "number", "live", "named", "project_page", "created_at", "note", "tags")}),
        (
            "What it learnt from",
            {"fields": ("made_by", "parent_page", "events", "annotations", "config", "code", "seed", "packages")},
        ),
        ("How good it is", {"fields": ("measured", "evaluation_page")}),
        ("What is new in it", {"fields": ("news",)}),
        ("What it holds", {"fields": ("readable_size", "state", "model_files")}),
        ("When it was live", {"fields": ("moves",)}),
    )

    def tools(self, request: HttpRequest, row: ModelVersion) -> list[Tool]:
        live = row.project.live
        if live == row:
            return [*roll_back_tools(request, row), *_name_tools(request, row)]
        compare = [Tool("Compare with the live one", comparison_address(live, row))] if live else []
        return [*make_live_tools(request, row), *compare, *_name_tools(request, row)]

    def warning(self, row: ModelVersion) -> str:
        return _PRUNED if row.pruned_at else ""

    @admin.display(description="live")
    def live(self, version: ModelVersion) -> str:
        return "●\u00a0live" if version.pk == version.project.live_id else NOTHING

    @admin.display(description="made by")
    def made_by(self, version: ModelVersion) -> SafeString | str:
        return link(version.run) if version.run else versions.CODE

    @admin.display(description="size", ordering="size")
    def readable_size(self, version: ModelVersion) -> str:
        return filesizeformat(version.size)

    @admin.display(description="aliases")
    def named(self, version: ModelVersion) -> SafeString | str:
        return format_html_join(", ", "{}", ((link(alias),) for alias in version.aliases.all())) or NOTHING

    @admin.display(description="project", ordering="project")
    def project_page(self, version: ModelVersion) -> SafeString | str:
        return link(version.project)

    @admin.display(description="parent")
    def parent_page(self, version: ModelVersion) -> SafeString | str:
        return link(version.parent)

    @admin.display(description="events")
    def events(self, version: ModelVersion) -> SafeString | str:
        first, last = version.first_event, version.last_event
        if first is None or last is None:
            return NOTHING
        text = f"{version.event_count}, " + (f"#{first}" if first == last else f"between #{first} and #{last}")
        return list_link("event", text, project__id__exact=version.project_id, id__gte=first, id__lte=last)

    @admin.display(description="annotations")
    def annotations(self, version: ModelVersion) -> SafeString | str:
        if not version.annotation_count:
            return NOTHING
        return format_html("{} · manifest {}", version.annotation_count, short_hash(version.annotations_hash))

    @admin.display(description="labelling config")
    def config(self, version: ModelVersion) -> SafeString | str:
        current = lineage.config_hash(version.project.label_config)
        return _hash_beside(
            version.label_config_hash, current, "as the project has it now", "the project has another now"
        )

    @admin.display(description="code")
    def code(self, version: ModelVersion) -> SafeString | str:
        parents = version.parent.code_hash if version.parent else ""
        return _hash_beside(version.code_hash, parents, "the same as its parent's", "another than its parent's")

    @admin.display(description="libraries")
    def packages(self, version: ModelVersion) -> str:
        return ", ".join(f"{name} {number}" for name, number in sorted(version.libraries.items())) or NOTHING

    @admin.display(description="metrics of the fit")
    def measured(self, version: ModelVersion) -> SafeString | str:
        return table(("Metric", "Value"), ((name, number(value)) for name, value in sorted(version.metrics.items())))

    @admin.display(description="evaluation")
    def evaluation_page(self, version: ModelVersion) -> SafeString | str:
        return explained(version)

    @admin.display(description="beside its parent")
    def news(self, version: ModelVersion) -> SafeString | str:
        if version.parent is None:
            return "It has no parent: it began from nothing."
        return differences(version.parent, version)

    @admin.display(description="state")
    def state(self, version: ModelVersion) -> SafeString | str:
        entries = StateEntry.objects.filter(version=version).select_related("blob").defer("blob__data").order_by("key")
        rows = [(entry.key, entry.get_kind_display(), preview(entry)) for entry in entries[:_MAX_ROWS]]
        return _with_all(table(("Key", "Kind", "Value"), rows), len(rows), "stateentry", version)

    @admin.display(description="model files")
    def model_files(self, version: ModelVersion) -> SafeString | str:
        files = Artifact.objects.filter(version=version).select_related("file").order_by("path")[:_MAX_ROWS]
        rows = [(link(file), filesizeformat(file.file.size), link(file.file)) for file in files]
        return _with_all(table(("File", "Size", "Content"), rows), len(rows), "artifact", version)

    @admin.display(description="moves")
    def moves(self, version: ModelVersion) -> SafeString | str:
        moves = Promotion.objects.touching(version).order_by("-id")[:_MAX_MOVES]
        rows = [(moment(move.created_at), link(move, str(move)), kind(move), move.actor, move.reason) for move in moves]
        ledger = list_link("promotion", "What was live when", project__id__exact=version.project_id)
        return format_html("{} {}", table(("When", "From → to", "How", "By", "Reason"), rows), ledger)


def comparison_address(before: ModelVersion, after: ModelVersion) -> str:
    """Return the address of the page that shows the two beside one another."""
    return reverse("admin:registry_modelversion_compare", args=[before.pk, after.pk])


def _name_tools(request: HttpRequest, version: ModelVersion) -> list[Tool]:
    if version.pruned_at or not aliases.may_change(user_of(request), protected=False):
        return []
    return [Tool("Give it an alias…", f"{reverse('admin:registry_alias_add')}?version={version.pk}")]


def _hash_beside(digest: str, other: str, same: str, different: str) -> SafeString | str:
    if not digest or not other:
        return short_hash(digest)
    return format_html("{} · {}", short_hash(digest), same if digest == other else different)


def _with_all(shown: SafeString | str, count: int, model: str, version: ModelVersion) -> SafeString | str:
    """Add a link to the whole list where the table may be only the beginning of it."""
    if count < _MAX_ROWS:
        return shown
    return format_html("{} {}", shown, list_link(model, "See all of them", version__id__exact=version.pk))


def _is_word(tag: object) -> bool:
    return isinstance(tag, str) and 0 < len(tag) <= _MAX_TAG and tag.isprintable() and not any(map(str.isspace, tag))
