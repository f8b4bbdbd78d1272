"""Which training policy a project follows."""

import json
from typing import Any

from pydantic import TypeAdapter, ValidationError

from backends.policy import TrainingPolicy
from registry import instances
from registry.errors import PolicyError
from registry.models import Project

_ADAPTER = TypeAdapter(TrainingPolicy)


def of(project: Project) -> TrainingPolicy:
    """Return the operator's policy for the project, else the one of its backend's class."""
    if project.training_policy is not None:
        return parse(project.training_policy)
    return instances.backend_class(project.backend).training_policy


def parse(value: Any) -> TrainingPolicy:
    """Read a policy from JSON: {"min_annotations": 10, "quiet_seconds": 30}; raise PolicyError."""
    try:
        # As JSON: in its strict mode, pydantic takes an object for a dataclass from JSON alone.
        return _ADAPTER.validate_json(json.dumps(value))
    except ValidationError as exc:
        errors = exc.errors(include_url=False, include_input=False, include_context=False)
        parts = [f"{'.'.join(map(str, error['loc'])) or 'The policy'}: {error['msg']}" for error in errors]
        raise PolicyError("; ".join(parts)) from exc
