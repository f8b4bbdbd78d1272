from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.utils import flatten_fieldsets
from django.contrib.auth.models import AbstractUser
from django.db.models import Count, Max, Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from backends.policy import TrainingPolicy
from registry import policies
from registry.admin.base import JournalAdmin, link, preformatted
from registry.errors import PolicyError
from registry.masking import MASK
from registry.models import Event, Project

_POLICY_HELP = """
Empty follows the backend. Otherwise JSON, such as {"min_annotations": 10, "quiet_seconds": 30}, of these:
<br><b>every_event</b>: true gives each event a training run of its own, and nothing else below counts.
<br><b>min_annotations</b>: wait until so many annotations are new, and train on all of them at once; 1 if not said.
<br><b>quiet_seconds</b>: then wait until nothing has come for so long; 0 if not said.
<br><b>max_wait_seconds</b>: train so long after the oldest event at the latest, however few have come.
<br><b>only_on_start</b>: true trains only when somebody presses Start Training in Label Studio.
<br>Start Training never waits, whatever is said here.
"""


class PolicyForm(forms.ModelForm):
    """The one thing about a project that an operator decides here."""

    class Meta:
        model = Project
        fields = ("training_policy",)
        help_texts = {"training_policy": mark_safe(_POLICY_HELP)}  # noqa: S308  (a constant)

    def clean_training_policy(self) -> Any:
        """Return the policy as it is stored; refuse what no policy can be read from."""
        policy = self.cleaned_data["training_policy"]
        if policy is not None:
            try:
                policies.parse(TrainingPolicy, policy)
            except PolicyError as exc:
                raise forms.ValidationError(str(exc)) from exc
        return policy


@admin.register(Project)
class ProjectAdmin(JournalAdmin):
    """Label Studio projects: what serves them, what waits to be learnt, and when it is."""

    form = PolicyForm

    list_display = ("name", "backend", "live_version", "version_count", "waiting", "last_event", "created_at")
    list_filter = ("backend",)
    search_fields = ("title", "ls_id")
    fieldsets = (
        (None, {"fields": ("title", "backend", "live_version", "related")}),
        ("When it is trained", {"fields": ("training_policy",)}),
        (
            "What Label Studio said",
            {"fields": ("ls_id", "ls_created", "label_studio_url", "token", "extra_params", "config")},
        ),
        ("Bookkeeping", {"fields": ("declared_version", "generation", "state_revision", "created_at")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Project]:
        projects: QuerySet[Project] = super().get_queryset(request).select_related("live")
        return projects.annotate(
            _versions=Count("versions", distinct=True),
            _waiting=Count("events", filter=Q(events__status=Event.Status.PENDING), distinct=True),
            _last_event=Max("events__received_at"),
        )

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Let who may change projects set the training policy; everything else is only shown."""
        return bool(request.user.has_perm("registry.change_project"))

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        shown = [str(name) for name in flatten_fieldsets(self.fieldsets)]
        return [name for name in shown if name != "training_policy"]

    def save_model(self, request: HttpRequest, obj: Project, form: forms.ModelForm, change: bool) -> None:
        """Store the policy alone."""
        assert isinstance(request.user, AbstractUser)  # noqa: S101  (the admin lets nobody else in)
        policies.override(obj, TrainingPolicy, form.cleaned_data["training_policy"], by=request.user)

    @admin.display(description="project", ordering="title")
    def name(self, project: Project) -> str:
        return f"{project.title or 'Untitled'} (#{project.ls_id})"

    @admin.display(description="live version")
    def live_version(self, project: Project) -> SafeString | str:
        return link(project.live)

    @admin.display(description="versions", ordering="_versions")
    def version_count(self, project: Project) -> int:
        count: int = project._versions  # type: ignore[attr-defined]
        return count

    @admin.display(description="events waiting", ordering="_waiting")
    def waiting(self, project: Project) -> int:
        count: int = project._waiting  # type: ignore[attr-defined]
        return count

    @admin.display(description="last event", ordering="_last_event")
    def last_event(self, project: Project) -> object:
        return project._last_event or "–"  # type: ignore[attr-defined]

    @admin.display(description="Access token", empty_value="–")
    def token(self, project: Project) -> str:
        return MASK if project.access_token else "–"

    @admin.display(description="Labelling config")
    def config(self, project: Project) -> SafeString | str:
        return preformatted(project.label_config)

    @admin.display(description="See its")
    def related(self, project: Project) -> SafeString:
        pages = {
            "modelversion": "versions",
            "promotion": "ledger",
            "event": "events",
            "trainingrun": "runs",
            "failure": "failures",
            "annotatedtask": "tasks",
            "annotation": "annotations",
        }
        links = [
            format_html(
                '<a href="{}?project__id__exact={}">{}</a>',
                reverse(f"admin:registry_{model}_changelist"),
                project.pk,
                text,
            )
            for model, text in pages.items()
        ]
        return format_html_join(" · ", "{}", ((each,) for each in links))
