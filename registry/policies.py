"""Which training policy a project follows."""

import json
from functools import partial
from typing import Any

from django.contrib.auth.models import AbstractUser
from django.core.exceptions import PermissionDenied
from django.db import transaction
from pydantic import TypeAdapter, ValidationError

from backends.policy import TrainingPolicy
from registry import drains, instances
from registry.errors import PolicyError
from registry.models import Project

_ADAPTER = TypeAdapter(TrainingPolicy)


def of(project: Project) -> TrainingPolicy:
    """Return the operator's policy for the project, else the one of its backend's class."""
    if project.training_policy is not None:
        return parse(project.training_policy)
    return instances.backend_class(project.backend).training_policy


def override(project: Project, value: Any, *, by: AbstractUser | str) -> None:
    """Have the project follow this policy, or with None its backend's, and look whether events are due by it.

    Nothing else is stored, as webhooks write to the same row. Raise PolicyError where no policy can be
    read from the value, and PermissionDenied for a user who may not.
    """
    if not isinstance(by, str) and not by.has_perm("registry.change_project"):
        raise PermissionDenied("You need the permission “Can change project”.")
    if value is not None:
        parse(value)
    project.training_policy = value
    project.save(update_fields=["training_policy"])
    transaction.on_commit(partial(drains.request, project.pk))


def schema() -> dict[str, Any]:
    """Return the JSON schema of what `parse` reads."""
    return _ADAPTER.json_schema()


def parse(value: Any) -> TrainingPolicy:
    """Read a policy from JSON: {"min_annotations": 10, "quiet_seconds": 30}; raise PolicyError."""
    try:
        # As JSON: in its strict mode, pydantic takes an object for a dataclass from JSON alone.
        return _ADAPTER.validate_json(json.dumps(value))
    except ValidationError as exc:
        errors = exc.errors(include_url=False, include_input=False, include_context=False)
        parts = [f"{'.'.join(map(str, error['loc'])) or 'The policy'}: {error['msg']}" for error in errors]
        raise PolicyError("; ".join(parts)) from exc
