"""Which policies a project follows: its own, as an operator set them, else those of its backend's class."""

import json
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from backends.policy import TrainingPolicy
from backends.promotion import PromotionPolicy
from registry import instances
from registry.errors import PolicyError
from registry.models import Project

Policy = TypeVar("Policy", TrainingPolicy, PromotionPolicy)


def training(project: Project) -> TrainingPolicy:
    """Return when the project's events are trained on."""
    if project.training_policy is not None:
        return parse(TrainingPolicy, project.training_policy)
    return instances.backend_class(project.backend).training_policy


def promotion(project: Project) -> PromotionPolicy:
    """Return what becomes of the versions that the project's fits make."""
    if project.promotion_policy is not None:
        return parse(PromotionPolicy, project.promotion_policy)
    return instances.backend_class(project.backend).promotion_policy


def parse(kind: type[Policy], value: Any) -> Policy:
    """Read a policy from JSON: {"min_annotations": 10, "quiet_seconds": 30}; raise PolicyError."""
    try:
        # As JSON: in its strict mode, pydantic takes an object for a dataclass from JSON alone.
        return TypeAdapter(kind).validate_json(json.dumps(value))
    except ValidationError as exc:
        errors = exc.errors(include_url=False, include_input=False, include_context=False)
        parts = [f"{'.'.join(map(str, error['loc'])) or 'The policy'}: {error['msg']}" for error in errors]
        raise PolicyError("; ".join(parts)) from exc
