from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Count, Max, Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from backends.policy import TrainingPolicy
from backends.promotion import PromotionPolicy
from registry import policies
from registry.admin.base import JournalAdmin, Tool, link, list_link, preformatted, user_of
from registry.admin.evaluations import decision, reasons
from registry.admin.moves import roll_back_tools
from registry.errors import PolicyError
from registry.masking import MASK
from registry.models import Alias, Event, Project

_TRAINING_HELP = """
Empty follows the backend. Otherwise JSON, such as {"min_annotations": 10, "quiet_seconds": 30}, of these:
<br><b>every_event</b>: true gives each event a training run of its own, and nothing else below counts.
<br><b>min_annotations</b>: wait until so many annotations are new, and train on all of them at once; 1 if not said.
<br><b>quiet_seconds</b>: then wait until nothing has come for so long; 0 if not said.
<br><b>max_wait_seconds</b>: train so long after the oldest event at the latest, however few have come.
<br><b>only_on_start</b>: true trains only when somebody presses Start Training in Label Studio.
<br>Start Training never waits, whatever is said here.
"""
_PROMOTION_HELP = """
Empty follows the backend. Otherwise JSON, such as {"mode": "evaluate", "margin": 0.02}, of these:
<br><b>mode</b>: "at_once" makes each new version live; "hold" leaves it a candidate until somebody makes it live;
"evaluate" makes it live unless it does worse than the live version on tasks kept for that. "at_once" if not said.
<br><b>margin</b>: by how much it may do worse: 0.02 is two points of accuracy; 0 if not said.
<br><b>held_out</b>: the share of annotated tasks that is kept for evaluation, and which no fit is shown, up to 0.5;
0.2 if not said.
<br><b>max_held_out</b>: keep so many at most; 200 if not said.
"""


class PolicyForm(forms.ModelForm):
    """What an operator decides about a project here."""

    class Meta:
        model = Project
        fields = ("training_policy", "promotion_policy")
        widgets = {name: forms.Textarea(attrs={"rows": 3, "cols": 70}) for name in fields}
        help_texts = {
            "training_policy": mark_safe(_TRAINING_HELP),  # noqa: S308  (a constant)
            "promotion_policy": mark_safe(_PROMOTION_HELP),  # noqa: S308  (a constant)
        }

    def clean_training_policy(self) -> Any:
        """Return the policy as it is stored; refuse what no policy can be read from."""
        return self._readable(TrainingPolicy, "training_policy")

    def clean_promotion_policy(self) -> Any:
        """Do as for the training policy."""
        return self._readable(PromotionPolicy, "promotion_policy")

    def _readable(self, kind: type[Any], field: str) -> Any:
        policy = self.cleaned_data[field]
        if policy is not None:
            try:
                policies.parse(kind, policy)
            except PolicyError as exc:
                raise forms.ValidationError(str(exc)) from exc
        return policy


@admin.register(Project)
class ProjectAdmin(JournalAdmin):
    """Label Studio projects: what serves them, what waits to be learnt, and when it is."""

    form = PolicyForm
    editable = ("training_policy", "promotion_policy")

    list_display = (
        "name",
        "backend",
        "live_version",
        "needs_training",
        "version_count",
        "waiting",
        "last_event",
        "created_at",
    )
    list_filter = ("backend",)
    search_fields = ("title", "ls_id")
    fieldsets = (
        (None, {"fields": ("title", "backend", "live_version", "candidate", "related")}),
        ("When it is trained", {"fields": ("training_policy",)}),
        ("What becomes of what was trained", {"fields": ("promotion_policy",)}),
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

    def tools(self, request: HttpRequest, row: Project) -> list[Tool]:
        return roll_back_tools(request, row.live)

    def warning(self, row: Project) -> str:
        return f"Needs training: {row.retraining_reason}" if row.retraining_reason else ""

    def save_model(self, request: HttpRequest, obj: Project, form: forms.ModelForm, change: bool) -> None:
        """Store the policies that were changed, and look whether events are due by them."""
        by, chosen = user_of(request), form.cleaned_data
        if "training_policy" in form.changed_data:
            policies.override(obj, TrainingPolicy, chosen["training_policy"], by=by)
        if "promotion_policy" in form.changed_data:
            policies.override(obj, PromotionPolicy, chosen["promotion_policy"], by=by)

    @admin.display(description="project", ordering="title")
    def name(self, project: Project) -> str:
        return f"{project.title or 'Untitled'} (#{project.ls_id})"

    @admin.display(description="live version")
    def live_version(self, project: Project) -> SafeString | str:
        return link(project.live)

    @admin.display(description="needs training", ordering="retraining_reason")
    def needs_training(self, project: Project) -> SafeString | str:
        if not project.retraining_reason:
            return ""
        return format_html('<span title="{}">⚠ needs training</span>', project.retraining_reason)

    @admin.display(description="candidate")
    def candidate(self, project: Project) -> SafeString | str:
        alias = Alias.objects.candidates().filter(project=project).first()
        if alias is None:
            return "– (what was trained last is live, or was rolled back from)"
        version = alias.version
        if not version.evaluation:
            return format_html("{}, which waits until somebody makes it live", link(version))
        return format_html("{}, {}: {}", link(version), decision(version), reasons(version))

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
            "promotion": "what was live when",
            "alias": "aliases",
            "event": "events",
            "trainingrun": "runs",
            "failure": "failures",
            "annotatedtask": "tasks",
            "annotation": "annotations",
        }
        links = ((list_link(model, text, project__id__exact=project.pk),) for model, text in pages.items())
        return format_html_join(" · ", "{}", links)
