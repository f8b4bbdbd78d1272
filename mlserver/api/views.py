"""The views: each validates, calls the one function that the admin calls too, and answers."""

from typing import Any, ClassVar

from django.db.models import Count, F, IntegerField, OuterRef, Subquery
from django.db.models.functions import Coalesce
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from mlserver.api import filters
from mlserver.api.base import RegistryViewSet
from mlserver.api.serializers import commands, rows
from registry import events, policies, runs, versions
from registry.models import Event, Failure, ModelVersion, Project, Promotion, TrainingRun

_WAITING = (
    Event.objects.pending().order_by().filter(project=OuterRef("pk")).values("project").annotate(count=Count("pk"))
)


def described(name: str) -> Any:
    """Describe list and retrieve for the schema."""
    return extend_schema_view(
        list=extend_schema(summary=f"List {name}s, the newest first"),
        retrieve=extend_schema(summary=f"Show one {name}"),
    )


@described("project")
class ProjectViewSet(RegistryViewSet):
    """Label Studio projects, each apart per backend."""

    queryset = (
        Project.objects.select_related("live")
        .defer("access_token", "extra_params")
        .annotate(events_waiting=Coalesce(Subquery(_WAITING.values("count"), output_field=IntegerField()), 0))
    )
    serializer_class = rows.ProjectSerializer
    detail_serializer_class = rows.ProjectDetailSerializer
    heavy = ("label_config",)
    filterset_class = filters.ProjectFilter
    action_permissions: ClassVar = {"partial_update": "registry.change_project", "train": "registry.change_project"}

    @extend_schema(
        summary="Set when a project is trained",
        request=commands.PolicyCommand,
        responses=rows.ProjectDetailSerializer,
    )
    def partial_update(self, request: Request, **kwargs: Any) -> Response:
        """Override the backend's training policy; with null, follow it again."""
        told = self.told(commands.PolicyCommand)
        project: Project = self.get_object()
        policies.override(project, told["training_policy"], by=self.operator)
        return Response(self.get_serializer(project).data)

    @extend_schema(
        summary="Train a project now", request=commands.NothingCommand, responses={201: commands.TrainAnswer}
    )
    @action(detail=True, methods=["post"])
    def train(self, request: Request, **kwargs: Any) -> Response:
        """Do what the button “Start Training” in Label Studio does."""
        self.told(commands.NothingCommand)
        receipt = events.start_training(self.get_object(), by=self.operator)
        return Response(commands.TrainAnswer(receipt).data, status=201)


@described("version")
class VersionViewSet(RegistryViewSet):
    """Model versions."""

    queryset = ModelVersion.objects.annotate(live_id=F("project__live"))
    serializer_class = rows.VersionSerializer
    filterset_class = filters.VersionFilter
    action_permissions: ClassVar = {"promote": "registry.promote_modelversion"}

    @extend_schema(
        summary="Make a version live", request=commands.ReasonCommand, responses={201: rows.PromotionSerializer}
    )
    @action(detail=True, methods=["post"])
    def promote(self, request: Request, **kwargs: Any) -> Response:
        """Make the version live, forwards or back; the answer is the ledger's new row."""
        told = self.told(commands.ReasonCommand)
        move = versions.promote(self.get_object(), by=self.operator, reason=told["reason"])
        return Response(rows.PromotionSerializer(move).data, status=201)


@described("promotion")
class PromotionViewSet(RegistryViewSet):
    """The ledger: which version was live when, by whom and why."""

    queryset = Promotion.objects.select_related("from_version", "to_version")
    serializer_class = rows.PromotionSerializer
    filterset_class = filters.PromotionFilter


@described("event")
class EventViewSet(RegistryViewSet):
    """The webhooks as they came, secrets masked."""

    queryset = Event.objects.all()
    serializer_class = rows.EventSerializer
    detail_serializer_class = rows.EventDetailSerializer
    heavy = ("body",)
    filterset_class = filters.EventFilter
    action_permissions: ClassVar = {"replay": "registry.replay_event"}

    @extend_schema(summary="Replay events", request=commands.ReplayCommand, responses=commands.ReplayAnswer)
    @action(detail=False, methods=["post"], filter_backends=[], pagination_class=None)
    def replay(self, request: Request, **kwargs: Any) -> Response:
        """Have stored events trained on again, in the order they happened."""
        told = self.told(commands.ReplayCommand)
        chosen = events.select(
            told.get("project"),
            ids=told.get("ids", ()),
            since=told.get("since"),
            until=told.get("until"),
            action=told.get("action", ""),
        )
        total, count = chosen.count(), chosen.replayable().count()
        if not told["dry_run"]:
            count = events.replay(chosen, fresh=told["fresh"], by=self.operator)
        answer = {"dry_run": told["dry_run"], "events": count, "left_out": total - count}
        return Response(commands.ReplayAnswer(answer).data)


@described("run")
class RunViewSet(RegistryViewSet):
    """Training runs."""

    queryset = TrainingRun.objects.annotate(version_made=F("version"))
    serializer_class = rows.RunSerializer
    detail_serializer_class = rows.RunDetailSerializer
    heavy = ("log", "result", "traceback")
    filterset_class = filters.RunFilter
    action_permissions: ClassVar = dict.fromkeys(("cancel", "retry"), "registry.cancel_trainingrun")

    @extend_schema(summary="Cancel a run", request=commands.NothingCommand, responses=rows.RunDetailSerializer)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, **kwargs: Any) -> Response:
        """Stop a run that waits or is running: nothing of it is kept, and its events are set aside."""
        self.told(commands.NothingCommand)
        runs.cancel(self.get_object(), by=self.operator)
        return Response(self.get_serializer(self.get_object()).data)

    @extend_schema(summary="Try a run again", request=commands.NothingCommand, responses=commands.RetryAnswer)
    @action(detail=True, methods=["post"])
    def retry(self, request: Request, **kwargs: Any) -> Response:
        """Have the events of a failed or cancelled run trained on again."""
        self.told(commands.NothingCommand)
        count = runs.retry(self.get_object(), by=self.operator)
        return Response(commands.RetryAnswer({"events": count}).data)


@described("failure")
class FailureViewSet(RegistryViewSet):
    """Requests and predictions that went wrong, each kind once."""

    queryset = Failure.objects.all()
    serializer_class = rows.FailureSerializer
    detail_serializer_class = rows.FailureDetailSerializer
    heavy = ("request", "body", "traceback")
    filterset_class = filters.FailureFilter
    orderings = ("-last_seen", "last_seen", "-count", "count", "-id", "id")
