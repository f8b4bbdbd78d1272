from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from registry import aliases
from registry.admin.base import link, user_of
from registry.errors import VersionError
from registry.models import Alias, ModelVersion

_HELP = (
    "Such as “staging” or “best”. Training gives “candidate” to what it made and did not make live, and goes on "
    "from there; remove that one to have the next training go on from the live version."
)


class AliasForm(forms.ModelForm):
    """Which version is called what."""

    class Meta:
        model = Alias
        fields = ("name", "version", "protected")
        help_texts = {"name": _HELP}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk and "version" in self.fields:
            versions = ModelVersion.objects.filter(project=self.instance.project_id, pruned_at=None)
            self.fields["version"] = forms.ModelChoiceField(versions.order_by("-number"))

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        try:
            aliases.check_name(name)
        except VersionError as exc:
            raise forms.ValidationError(str(exc)) from exc
        return name

    def clean(self) -> dict[str, Any]:
        """Refuse what would move an alias that is there already: its own page does."""
        said = self.cleaned_data
        if not self.instance.pk and "version" in said and "name" in said:
            same = Alias.objects.filter(project=said["version"].project_id, name=said["name"])
            if found := same.select_related("version").first():
                text = f"{found.name} is the name of {found.version} already; open that alias to move it."
                raise forms.ValidationError(text)
        return said


@admin.register(Alias)
class AliasAdmin(admin.ModelAdmin):
    """Names for versions, beside which one is live."""

    form = AliasForm
    list_display = ("name", "version_page", "project", "protected", "changed_at")
    list_filter = (("project", admin.RelatedOnlyFieldListFilter), "protected", "project__backend")
    list_select_related = ("project", "version")
    list_per_page = 50
    search_fields = ("name", "version__name")
    ordering = ("project", "name")
    fields = ("name", "version", "protected")
    raw_id_fields = ("version",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return aliases.may_change(user_of(request), protected=False)

    def has_change_permission(self, request: HttpRequest, obj: Alias | None = None) -> bool:
        user = user_of(request)
        if obj is None:
            return aliases.may_change(user, protected=False) or aliases.may_change(user, protected=True)
        return aliases.may_change(user, obj.protected)

    def has_delete_permission(self, request: HttpRequest, obj: Alias | None = None) -> bool:
        return self.has_change_permission(request, obj)

    def get_fields(self, request: HttpRequest, obj: Alias | None = None) -> tuple[str, ...]:
        return ("project", *self.fields) if obj else self.fields

    def get_readonly_fields(self, request: HttpRequest, obj: Alias | None = None) -> list[str]:
        fixed = ["project", "name"] if obj else []
        return fixed if aliases.may_change(user_of(request), protected=True) else [*fixed, "protected"]

    def save_model(self, request: HttpRequest, obj: Alias, form: forms.ModelForm, change: bool) -> None:
        """Point the alias, which asks once more whether the user may."""
        protected = form.cleaned_data.get("protected")
        obj.pk = aliases.point(obj.version, obj.name, by=user_of(request), protected=protected).pk

    def delete_model(self, request: HttpRequest, obj: Alias) -> None:
        aliases.remove(obj, by=user_of(request))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Alias]) -> None:
        for alias in queryset:
            self.delete_model(request, alias)

    @admin.display(description="version", ordering="version__name")
    def version_page(self, alias: Alias) -> SafeString | str:
        return link(alias.version)
