"""What actions are told, and what they answer with where that is no row. A field that is none is refused."""

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers

from mlserver.api.filters import MAX_ID
from mlserver.api.serializers.rows import PromotionPolicyField, TrainingPolicyField
from registry.models import Event

_MAX_IDS = 10_000


class Command(serializers.Serializer[Any]):
    """Base of what actions are told."""

    def to_internal_value(self, data: Any) -> Any:
        """Return the fields; raise ValidationError for one that there is not: it may have been misspelt."""
        if isinstance(data, Mapping) and (unknown := set(data) - set(self.fields)):
            there = f"there are: {', '.join(self.fields)}" if self.fields else "this takes none"
            raise serializers.ValidationError({name: [f"There is no such field; {there}."] for name in sorted(unknown)})
        return super().to_internal_value(data)


class NothingCommand(Command):
    """Nothing need be said."""


class ReasonCommand(Command):
    """Why another version becomes live."""

    reason = serializers.CharField(
        max_length=2000, help_text="Kept in the ledger, for whoever asks later why this version served."
    )


class PoliciesCommand(Command):
    """When a project is trained, and what becomes of the versions that are made."""

    training_policy = TrainingPolicyField(required=False, allow_null=True, help_text="Null follows the backend.")
    promotion_policy = PromotionPolicyField(required=False, allow_null=True, help_text="Null follows the backend.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse to change nothing, which is some mistake."""
        if not attrs:
            raise serializers.ValidationError("Name training_policy, promotion_policy or both.")
        return attrs


class AliasCommand(Command):
    """What a version is called."""

    name = serializers.CharField(
        max_length=100, help_text="A letter, then letters, digits, dots, dashes and underscores."
    )
    protected = serializers.BooleanField(
        required=False, help_text="Whether moving it takes a permission of its own; as it is if not said."
    )


class CompareQuery(Command):
    """With which version one is compared."""

    to = serializers.IntegerField(
        required=False, min_value=1, max_value=MAX_ID, help_text="The version before; the parent if not said."
    )


class ReplayCommand(Command):
    """Which events are trained on again, and how."""

    project = serializers.IntegerField(
        required=False, min_value=1, max_value=MAX_ID, help_text="All of this project, by its id in this API."
    )
    ids = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=MAX_ID),
        required=False,
        min_length=1,
        max_length=_MAX_IDS,
        help_text="Only these events.",
    )
    since = serializers.DateTimeField(required=False, help_text="Only those received from then on.")
    until = serializers.DateTimeField(required=False, help_text="Only those received until then; now if not said.")
    action = serializers.CharField(required=False, max_length=255, help_text="Only those of this name.")
    fresh = serializers.BooleanField(default=False, help_text="Learn on a new version that has learnt nothing.")
    dry_run = serializers.BooleanField(default=False, help_text="Say what would be trained on, and do nothing.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse to replay everything by mistake."""
        if not attrs.keys() & {"project", "ids"}:
            raise serializers.ValidationError("Name a project, or the ids of events.")
        return attrs


class ReplayAnswer(serializers.Serializer[Any]):
    """What a replay does."""

    dry_run = serializers.BooleanField()
    events = serializers.IntegerField(help_text="How many wait to be trained on again, or would.")
    left_out = serializers.IntegerField(
        help_text="How many of those chosen are left out: they wait already, were delivered before, or are not the "
        "backend's business."
    )


class RetryAnswer(serializers.Serializer[Any]):
    """What a retry does."""

    events = serializers.IntegerField(help_text="How many wait to be trained on again.")


class TrainAnswer(serializers.Serializer[Any]):
    """What became of a start of training."""

    event = serializers.IntegerField(source="event_id")
    status = serializers.ChoiceField(choices=Event.Status.choices)
    run = serializers.IntegerField(
        source="run_id", allow_null=True, help_text="The run that it waits for; null where the backend does not train."
    )
