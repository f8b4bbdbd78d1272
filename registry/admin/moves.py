"""Moves of the live version, forwards and back: the buttons, and the page that asks for the reason."""

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import AbstractUser
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from registry import versions
from registry.admin.base import JournalAdmin, Tool, address_of, user_of
from registry.admin.evaluations import decision, reasons
from registry.errors import VersionError
from registry.models import Alias, ModelVersion, Promotion


class ReasonForm(forms.Form):
    """Why another version becomes live."""

    reason = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 3, "cols": 70, "autofocus": True}),
        help_text="Kept in the ledger, for whoever asks later why this version served.",
    )


class MovesAdmin(JournalAdmin):
    """What the admin of versions has to move the live one."""

    def get_urls(self) -> list[URLPattern]:
        make_live, roll_back = (self.admin_site.admin_view(view) for view in (self.make_live_view, self.roll_back_view))
        urls: list[URLPattern] = [
            path("<int:pk>/make-live/", make_live, name="registry_modelversion_make_live"),
            path("<int:pk>/roll-back/", roll_back, name="registry_modelversion_roll_back"),
        ]
        return urls + super().get_urls()

    def has_promote_permission(self, request: HttpRequest) -> bool:
        return _may_move(request)

    @admin.action(description="Make the selected version live…", permissions=["promote"])
    def make_live(self, request: HttpRequest, queryset: QuerySet[ModelVersion]) -> HttpResponseBase | None:
        """Lead to the page that asks for the reason."""
        selected = list(queryset[:2])
        if len(selected) != 1:
            self.message_user(request, "Select one version: it becomes the live one of its project.", messages.ERROR)
            return None
        return redirect("admin:registry_modelversion_make_live", selected[0].pk)

    def make_live_view(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        """Ask for the reason, then make the version live."""
        return self._ask_and_move(request, pk, back=False)

    def roll_back_view(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        """Ask for the reason, then make the version live again that was live before this one."""
        return self._ask_and_move(request, pk, back=True)

    def _ask_and_move(self, request: HttpRequest, pk: int, *, back: bool) -> HttpResponseBase:
        if not _may_move(request):
            raise PermissionDenied
        version = get_object_or_404(ModelVersion.objects.select_related("project__live"), pk=pk)
        target = Promotion.objects.before(version) if back else version
        form = ReasonForm(request.POST if request.method == "POST" else None)
        try:
            _check(version, target, back)
            if not form.is_valid():
                return self._confirmation(request, version, target or version, form)
            move = _move(version, user_of(request), form.cleaned_data["reason"], back)
        except VersionError as exc:
            self.message_user(request, str(exc), messages.ERROR)
            return redirect(address_of(version))
        text = f"{move.to_version.name} is live in {version.project}, from every process's next request on."
        self.message_user(request, text, messages.SUCCESS)
        return redirect(address_of(move.to_version))

    def _confirmation(
        self, request: HttpRequest, version: ModelVersion, target: ModelVersion, form: ReasonForm
    ) -> TemplateResponse:
        back = target != version
        candidate = Alias.objects.candidates().filter(project=version.project_id)
        context = {
            **self.admin_site.each_context(request),
            "title": f"Roll back to version {target.name}?" if back else f"Make version {target.name} live?",
            "button": f"Roll back to {target.name}" if back else f"Make {target.name} live",
            "opts": self.opts,
            "back": back,
            "project": version.project,
            "live": version.project.live,
            "version": version,
            "target": target,
            "candidate": candidate.exclude(version=target).first(),
            "decision": decision(target),
            "reasons": reasons(target),
            "form": form,
        }
        return TemplateResponse(request, "registry/admin/move.html", context)


def make_live_tools(request: HttpRequest, version: ModelVersion) -> list[Tool]:
    """Return the button that makes a version live, for who may and where it can be."""
    if not _may_move(request) or version.pruned_at:
        return []
    return [Tool("Make live…", reverse("admin:registry_modelversion_make_live", args=[version.pk]))]


def roll_back_tools(request: HttpRequest, live: ModelVersion | None) -> list[Tool]:
    """Return the button that rolls the live version back, for who may and where there is one before it."""
    if live is None or not _may_move(request) or Promotion.objects.before(live) is None:
        return []
    return [Tool("Roll back…", reverse("admin:registry_modelversion_roll_back", args=[live.pk]))]


def _may_move(request: HttpRequest) -> bool:
    return bool(request.user.has_perm("registry.promote_modelversion"))


def _check(version: ModelVersion, target: ModelVersion | None, back: bool) -> None:
    live = version.project.live_id == version.pk
    if back and not live:
        raise VersionError(f"{version.name} is not live any more: somebody moved it meanwhile.")
    if live and not back:
        raise VersionError(f"{version.name} is live already.")
    if target is None:
        raise VersionError("There is no version before the live one to go back to.")


@transaction.atomic
def _move(version: ModelVersion, by: AbstractUser, reason: str, back: bool) -> Promotion:
    if not back:
        return versions.promote(version, by=by, reason=reason)
    # Whoever confirmed it meant this version, whatever has become live in the meantime.
    version.project = versions.locked(version.project_id)
    _check(version, version, back)
    return versions.rollback(version.project_id, by=by, reason=reason)
