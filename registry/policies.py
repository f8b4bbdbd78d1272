"""Which policies a project follows: its own, as an operator set them, else those of its backend's class."""

import json
from functools import partial
from typing import Any, TypeVar

from django.contrib.auth.models import AbstractUser
from django.core.exceptions import PermissionDenied
from django.db import transaction
from pydantic import TypeAdapter, ValidationError

from backends.policy import TrainingPolicy
from backends.promotion import PromotionPolicy
from registry import drains, instances
from registry.errors import PolicyError
from registry.models import Project

Policy = TypeVar("Policy", TrainingPolicy, PromotionPolicy)
_FIELDS = {TrainingPolicy: "training_policy", PromotionPolicy: "promotion_policy"}


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


def override(project: Project, kind: type[Policy], value: Any, *, by: AbstractUser | str) -> None:
    """Have the project follow this policy, or with None its backend's, and look whether events are due by it.

    Nothing else is stored, as webhooks write to the same row. Raise PolicyError where no policy can be
    read from the value, and PermissionDenied for a user who may not.
    """
    if not isinstance(by, str) and not by.has_perm("registry.change_project"):
        raise PermissionDenied("You need the permission “Can change project”.")
    if value is not None:
        parse(kind, value)
    field = _FIELDS[kind]
    setattr(project, field, value)
    project.save(update_fields=[field])
    transaction.on_commit(partial(drains.request, project.pk))


def schema(kind: type[Policy]) -> dict[str, Any]:
    """Return the JSON schema of what `parse` reads."""
    return TypeAdapter(kind).json_schema()


def parse(kind: type[Policy], value: Any) -> Policy:
    """Read a policy from JSON: {"min_annotations": 10, "quiet_seconds": 30}; raise PolicyError."""
    try:
        # As JSON: in its strict mode, pydantic takes an object for a dataclass from JSON alone.
        return TypeAdapter(kind).validate_json(json.dumps(value))
    except ValidationError as exc:
        errors = exc.errors(include_url=False, include_input=False, include_context=False)
        parts = [f"{'.'.join(map(str, error['loc'])) or 'The policy'}: {error['msg']}" for error in errors]
        raise PolicyError("; ".join(parts)) from exc
