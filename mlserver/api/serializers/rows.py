"""Rows as the API shows them. Nothing in them is a credential, and lists hold nothing that is large."""

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from backends.policy import TrainingPolicy
from backends.promotion import PromotionPolicy
from registry import policies
from registry.masking import mask_secrets
from registry.models import Alias, Event, Failure, ModelVersion, Project, Promotion, TrainingRun
from registry.text import presentable


class MaskedField(serializers.CharField):
    """A text in which this server's own secrets are masked, and credentials in addresses."""

    def __init__(self, **options: Any) -> None:
        super().__init__(read_only=True, **options)

    def to_representation(self, value: str) -> str:
        """Return the masked text."""
        return mask_secrets(str(value))


@extend_schema_field(policies.schema(TrainingPolicy))
class TrainingPolicyField(serializers.JSONField):
    """A training policy; null follows the backend."""


@extend_schema_field(policies.schema(PromotionPolicy))
class PromotionPolicyField(serializers.JSONField):
    """A promotion policy; null follows the backend."""


class VersionNameSerializer(serializers.ModelSerializer[ModelVersion]):
    """A version, as other rows name it."""

    class Meta:
        model = ModelVersion
        fields = ("id", "name")


class ProjectSerializer(serializers.ModelSerializer[Project]):
    """A project in a list."""

    live = VersionNameSerializer(read_only=True, allow_null=True, help_text="The version that answers predictions.")
    label_studio_url = MaskedField()
    training_policy = TrainingPolicyField(read_only=True, allow_null=True, help_text="Null follows the backend.")
    promotion_policy = PromotionPolicyField(read_only=True, allow_null=True, help_text="Null follows the backend.")
    events_waiting = serializers.IntegerField(read_only=True, help_text="Events that wait to be trained on.")

    class Meta:
        model = Project
        fields: tuple[str, ...] = (
            "id",
            "backend",
            "ls_id",
            "ls_created",
            "title",
            "label_studio_url",
            "live",
            "declared_version",
            "training_policy",
            "promotion_policy",
            "retraining_reason",
            "events_waiting",
            "last_happened_at",
            "created_at",
        )
        read_only_fields = fields


class ProjectDetailSerializer(ProjectSerializer):
    """A project by itself."""

    class Meta(ProjectSerializer.Meta):
        fields = (*ProjectSerializer.Meta.fields, "label_config")
        read_only_fields = fields


class VersionSerializer(serializers.ModelSerializer[ModelVersion]):
    """A model version."""

    live = serializers.SerializerMethodField(help_text="Whether it answers predictions.")
    metrics = serializers.DictField(read_only=True, help_text="What the fit measured.")
    tags = serializers.ListField(child=serializers.CharField(), read_only=True)

    class Meta:
        model = ModelVersion
        fields: tuple[str, ...] = (
            "id",
            "project",
            "number",
            "name",
            "live",
            "parent",
            "run",
            "metrics",
            "size",
            "note",
            "tags",
            "created_at",
            "pruned_at",
        )
        read_only_fields = fields

    def get_live(self, version: ModelVersion) -> bool:
        """Return whether the project points to it."""
        return bool(version.pk == version.live_id)  # type: ignore[attr-defined]


class VersionDetailSerializer(VersionSerializer):
    """A model version by itself, with what it was made of."""

    libraries = serializers.DictField(child=serializers.CharField(), read_only=True)
    evaluation = serializers.DictField(
        read_only=True, allow_null=True, help_text="Its measures on held-out tasks, and the decision."
    )
    aliases = serializers.SlugRelatedField[Any](many=True, read_only=True, slug_field="name")

    class Meta(VersionSerializer.Meta):
        fields = (
            *VersionSerializer.Meta.fields,
            "aliases",
            "code_hash",
            "label_config_hash",
            "seed",
            "libraries",
            "first_event",
            "last_event",
            "event_count",
            "annotations_hash",
            "annotation_count",
            "evaluation",
        )
        read_only_fields = fields


class DifferencesSerializer(serializers.Serializer[Any]):
    """Names that were added, changed and removed."""

    added = serializers.ListField(child=serializers.CharField())
    changed = serializers.ListField(child=serializers.CharField())
    removed = serializers.ListField(child=serializers.CharField())


class MeasuredSerializer(serializers.Serializer[Any]):
    """A metric of both versions."""

    name = serializers.CharField()
    before = serializers.FloatField(allow_null=True)
    after = serializers.FloatField(allow_null=True)


class ComparisonSerializer(serializers.Serializer[Any]):
    """How one version differs from another one."""

    before = VersionNameSerializer()
    after = VersionNameSerializer()
    state = DifferencesSerializer(help_text="State keys.")
    artifacts = DifferencesSerializer(help_text="Model files.")
    metrics = MeasuredSerializer(many=True)


class AliasSerializer(serializers.ModelSerializer[Alias]):
    """A name for a version."""

    version = VersionNameSerializer(read_only=True)

    class Meta:
        model = Alias
        fields = ("id", "project", "name", "version", "protected", "changed_at")
        read_only_fields = fields


class PromotionSerializer(serializers.ModelSerializer[Promotion]):
    """One move of a project's live version."""

    from_version = VersionNameSerializer(read_only=True, allow_null=True)
    to_version = VersionNameSerializer(read_only=True)

    class Meta:
        model = Promotion
        fields = ("id", "project", "from_version", "to_version", "actor", "reason", "rollback", "created_at")
        read_only_fields = fields


class EventSerializer(serializers.ModelSerializer[Event]):
    """An event in a list."""

    class Meta:
        model = Event
        fields: tuple[str, ...] = (
            "id",
            "project",
            "action",
            "status",
            "run",
            "attempts",
            "annotation_count",
            "received_at",
            "happened_at",
        )
        read_only_fields = fields


class EventDetailSerializer(EventSerializer):
    """An event by itself, with what Label Studio sent."""

    body = serializers.SerializerMethodField(help_text="What Label Studio sent, secrets masked.")

    class Meta(EventSerializer.Meta):
        fields = (*EventSerializer.Meta.fields, "body")
        read_only_fields = fields

    @extend_schema_field(OpenApiTypes.OBJECT)
    def get_body(self, event: Event) -> Any:
        """Return the body, masked."""
        return presentable(event.payload)


class RunSerializer(serializers.ModelSerializer[TrainingRun]):
    """A training run in a list."""

    version = serializers.IntegerField(
        source="version_made", read_only=True, allow_null=True, help_text="The version that it made."
    )
    metrics = serializers.DictField(read_only=True, help_text="What the fit measured.")

    class Meta:
        model = TrainingRun
        fields: tuple[str, ...] = (
            "id",
            "project",
            "status",
            "version",
            "merged_into",
            "progress",
            "progress_text",
            "metrics",
            "worker",
            "created_at",
            "started_at",
            "heartbeat_at",
            "finished_at",
        )
        read_only_fields = fields


class RunDetailSerializer(RunSerializer):
    """A training run by itself, with what it said."""

    log = MaskedField(help_text="What the fit printed and logged, its end where that is long.")
    result = MaskedField(help_text="What fit() returned.")
    traceback = MaskedField()

    class Meta(RunSerializer.Meta):
        fields = (*RunSerializer.Meta.fields, "log", "result", "traceback")
        read_only_fields = fields


class FailureSerializer(serializers.ModelSerializer[Failure]):
    """A kind of failure in a list."""

    class Meta:
        model = Failure
        fields: tuple[str, ...] = (
            "id",
            "backend",
            "project",
            "status",
            "code",
            "summary",
            "count",
            "first_seen",
            "last_seen",
        )
        read_only_fields = fields


class FailureDetailSerializer(FailureSerializer):
    """A kind of failure by itself, with its last request, in which secrets were masked when it was stored."""

    class Meta(FailureSerializer.Meta):
        fields = (*FailureSerializer.Meta.fields, "request", "body", "traceback")
        read_only_fields = fields
