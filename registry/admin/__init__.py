"""The admin: where operators look, and move the live version."""

from registry.admin import (  # noqa: F401  (each registers its models)
    annotation,
    event,
    failure,
    project,
    run,
    state,
    version,
)
