"""What lists can be narrowed to."""

from datetime import UTC, datetime
from typing import Any

from django import forms
from django.core.validators import MaxValueValidator
from django.db.models import F, Q, QuerySet
from django_filters import CharFilter, ChoiceFilter, Filter, FilterSet, IsoDateTimeFilter, NumberFilter
from django_filters.fields import IsoDateTimeField
from django_filters.rest_framework import DjangoFilterBackend
from drf_spectacular.utils import extend_schema_field
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from mlserver.api.pagination import OperatorPagination
from registry.models import Alias, Event, Failure, ModelVersion, Project, Promotion, TrainingRun

MAX_ID = 2**63 - 1


class RegistryFilterBackend(DjangoFilterBackend):
    """Filter lists; refuse a parameter that is none, for a misspelt filter would return every row."""

    def filter_queryset(self, request: Request, queryset: QuerySet[Any], view: Any) -> QuerySet[Any]:  # type: ignore[override]
        """Return the rows asked for; raise ValidationError naming each wrong parameter."""
        if view.action != "list":
            return queryset
        known = {*view.filterset_class.base_filters, *OperatorPagination.parameters}
        wrong = {
            name: f"There is no such filter; there are: {', '.join(sorted(known))}." for name in request.query_params
        }
        for name, value in request.query_params.items():
            if name in known:
                del wrong[name]
                if not value:
                    wrong[name] = "It is empty; leave it out, or give it a value."
        if wrong:
            raise ValidationError(wrong)
        found: QuerySet[Any] = super().filter_queryset(request, queryset, view)
        return found


class IdFilter(NumberFilter):
    """A whole number that the database can hold."""

    field_class = forms.IntegerField  # type: ignore[assignment]

    def __init__(self, *args: Any, label: str, **options: Any) -> None:
        super().__init__(*args, label=label, min_value=0, **options)
        extend_schema_field({"type": "integer", "minimum": 0, "maximum": MAX_ID, "description": label})(self)  # type: ignore[type-var]

    def get_max_validator(self) -> MaxValueValidator:
        """Return the largest there is."""
        return MaxValueValidator(MAX_ID)


class _TimeField(IsoDateTimeField):
    def to_python(self, value: Any) -> datetime | None:
        try:
            time: datetime | None = super().to_python(value)
            # As Postgres takes no time zone that is further than 16 hours from Greenwich, and Python does.
            return time and time.astimezone(UTC)
        except OverflowError as exc:
            raise forms.ValidationError("It is beyond the calendar.") from exc


class TimeFilter(IsoDateTimeFilter):
    """A time, with or without its zone."""

    field_class = _TimeField


class _TruthField(forms.Field):
    def to_python(self, value: Any) -> bool | None:
        if value in (None, ""):
            return None
        if value not in ("true", "false"):
            raise forms.ValidationError("It must be true or false.")
        return bool(value == "true")


class TruthFilter(Filter):
    """Rows that meet a condition, or those that do not."""

    field_class = _TruthField

    def __init__(self, condition: Q, *, label: str) -> None:
        super().__init__(label=label)
        self._condition = condition
        extend_schema_field({"type": "boolean", "description": label})(self)  # type: ignore[type-var]

    def filter(self, queryset: QuerySet[Any], value: bool | None) -> QuerySet[Any]:
        """Return the rows of the kind asked for."""
        if value is None:
            return queryset
        return queryset.filter(self._condition) if value else queryset.exclude(self._condition)


class ProjectFilter(FilterSet):
    """Of projects."""

    backend = CharFilter(label="The backend's name.")
    ls_id = IdFilter(label="The project's number in Label Studio.")

    class Meta:
        model = Project
        fields: list[str] = []


class _OfProject(FilterSet):
    project = IdFilter(label="The project's id in this API.")
    backend = CharFilter("project__backend", label="The backend's name.")


class VersionFilter(_OfProject):
    """Of model versions."""

    name = CharFilter(label="The version's name.")
    live = TruthFilter(Q(project__live=F("pk")), label="Whether it is its project's live version.")
    pruned = TruthFilter(Q(pruned_at__isnull=False), label="Whether its state was removed for its age.")

    class Meta:
        model = ModelVersion
        fields: list[str] = []


class PromotionFilter(_OfProject):
    """Of the ledger."""

    version = IdFilter("to_version", label="The version that became live.")
    actor = CharFilter(label="Who made it live.")
    since = TimeFilter("created_at", "gte", label="From then on.")
    until = TimeFilter("created_at", "lte", label="Until then.")

    class Meta:
        model = Promotion
        fields: list[str] = []


class AliasFilter(_OfProject):
    """Of aliases."""

    name = CharFilter(label="The alias.")
    version = IdFilter(label="The version that it names.")

    class Meta:
        model = Alias
        fields: list[str] = []


class EventFilter(_OfProject):
    """Of events."""

    status = ChoiceFilter(choices=Event.Status.choices, label="What became of it.")
    action = CharFilter(label="Its name, such as ANNOTATION_CREATED.")
    run = IdFilter(label="The training run that it waits for or was trained on by.")
    since = TimeFilter("received_at", "gte", label="Received from then on.")
    until = TimeFilter("received_at", "lte", label="Received until then.")

    class Meta:
        model = Event
        fields: list[str] = []


class RunFilter(_OfProject):
    """Of training runs."""

    status = ChoiceFilter(choices=TrainingRun.Status.choices, label="How it stands.")
    since = TimeFilter("created_at", "gte", label="Queued from then on.")
    until = TimeFilter("created_at", "lte", label="Queued until then.")

    class Meta:
        model = TrainingRun
        fields: list[str] = []


class FailureFilter(FilterSet):
    """Of failures."""

    project = IdFilter(label="The project's id in this API.")
    backend = CharFilter(label="The backend's name.")
    code = CharFilter(label="The code in the answer.")
    status = IdFilter(label="The HTTP status of the answer.")
    since = TimeFilter("last_seen", "gte", label="Seen last from then on.")
    until = TimeFilter("last_seen", "lte", label="Seen last until then.")

    class Meta:
        model = Failure
        fields: list[str] = []
