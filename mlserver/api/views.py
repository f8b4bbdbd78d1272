"""The views: each validates, calls the one function that the admin calls too, and answers."""

from typing import Any, ClassVar

from django.db import transaction
from django.db.models import Count, F, IntegerField, OuterRef, Subquery
from django.db.models.functions import Coalesce
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.decorators import action
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from backends.policy import TrainingPolicy
from backends.promotion import PromotionPolicy
from mlserver.api import filters
from mlserver.api.base import RegistryViewSet
from mlserver.api.serializers import commands, rows
from registry import aliases, events, policies, runs, versions
from registry.comparison import compare
from registry.models import Alias, Event, Failure, ModelVersion, Project, Promotion, TrainingRun

_WAITING = (
    Event.objects.pending().order_by().filter(project=OuterRef("pk")).values("project").annotate(count=Count("pk"))
)


def described(name: str, plural: str = "") -> Any:
    """Describe list and retrieve for the schema."""
    return extend_schema_view(
        list=extend_schema(summary=f"List {plural or name + 's'}, the newest first"),
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
    action_permissions: ClassVar = {
        "partial_update": "registry.change_project",
        "train": "registry.change_project",
        "rollback": "registry.promote_modelversion",
    }

    @extend_schema(
        summary="Set a project's policies",
        request=commands.PoliciesCommand,
        responses=rows.ProjectDetailSerializer,
    )
    def partial_update(self, request: Request, **kwargs: Any) -> Response:
        """Override the backend's policies for training and for promotion; with null, follow them again."""
        told = self.told(commands.PoliciesCommand)
        project: Project = self.get_object()
        with transaction.atomic():
            if "training_policy" in told:
                policies.override(project, TrainingPolicy, told["training_policy"], by=self.operator)
            if "promotion_policy" in told:
                policies.override(project, PromotionPolicy, told["promotion_policy"], by=self.operator)
        return Response(self.get_serializer(project).data)

    @extend_schema(
        summary="Roll a project back", request=commands.ReasonCommand, responses={201: rows.PromotionSerializer}
    )
    @action(detail=True, methods=["post"])
    def rollback(self, request: Request, **kwargs: Any) -> Response:
        """Make the version live that was live before; the answer is the ledger's new row."""
        told = self.told(commands.ReasonCommand)
        move = versions.rollback(self.get_object().pk, by=self.operator, reason=told["reason"])
        return Response(rows.PromotionSerializer(move).data, status=201)

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
    detail_serializer_class = rows.VersionDetailSerializer
    heavy = ("evaluation", "libraries")
    filterset_class = filters.VersionFilter
    action_permissions: ClassVar = {"promote": "registry.promote_modelversion", "alias": "registry.change_alias"}

    @extend_schema(
        summary="Make a version live", request=commands.ReasonCommand, responses={201: rows.PromotionSerializer}
    )
    @action(detail=True, methods=["post"])
    def promote(self, request: Request, **kwargs: Any) -> Response:
        """Make the version live, forwards or back; the answer is the ledger's new row."""
        told = self.told(commands.ReasonCommand)
        move = versions.promote(self.get_object(), by=self.operator, reason=told["reason"])
        return Response(rows.PromotionSerializer(move).data, status=201)

    @extend_schema(summary="Compare a version", parameters=[commands.CompareQuery], responses=rows.ComparisonSerializer)
    @action(detail=True, methods=["get"], filter_backends=[], pagination_class=None)
    def compare(self, request: Request, **kwargs: Any) -> Response:
        """Say what the version has that another one has not: its parent, or the one named by `to`."""
        asked = commands.CompareQuery(data=request.query_params.dict())
        asked.is_valid(raise_exception=True)
        version: ModelVersion = self.get_object()
        number = asked.validated_data.get("to", version.parent_id)
        before = self.get_queryset().filter(pk=number).first()
        if before is None:
            raise NotFound("There is no such version to compare with; name one by `to`.")
        return Response(rows.ComparisonSerializer(compare(before, version)).data)

    @extend_schema(summary="Name a version", request=commands.AliasCommand, responses={201: rows.AliasSerializer})
    @action(detail=True, methods=["post"])
    def alias(self, request: Request, **kwargs: Any) -> Response:
        """Have an alias name the version, whatever it named before."""
        told = self.told(commands.AliasCommand)
        alias = aliases.point(self.get_object(), told["name"], by=self.operator, protected=told.get("protected"))
        return Response(rows.AliasSerializer(alias).data, status=201)


@described("alias", "aliases")
class AliasViewSet(RegistryViewSet):
    """Names for versions, beside which one is live."""

    queryset = Alias.objects.select_related("version")
    serializer_class = rows.AliasSerializer
    filterset_class = filters.AliasFilter
    action_permissions: ClassVar = {"remove": "registry.change_alias"}

    @extend_schema(summary="Remove an alias", request=commands.NothingCommand, responses={204: None})
    @action(detail=True, methods=["post"])
    def remove(self, request: Request, **kwargs: Any) -> Response:
        """Do away with the alias; the version stays."""
        self.told(commands.NothingCommand)
        aliases.remove(self.get_object(), by=self.operator)
        return Response(status=204)


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
