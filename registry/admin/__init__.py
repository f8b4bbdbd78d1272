"""The admin: where operators look, and move the live version."""

from registry.admin import event, project, run, state, version  # noqa: F401  (each registers its models)
