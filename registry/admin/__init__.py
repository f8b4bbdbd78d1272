"""The admin: where operators look, and move the live version."""

from registry.admin import (  # noqa: F401  (each registers its models)
    alias,
    annotation,
    artifact,
    event,
    failure,
    ledger,
    project,
    run,
    state,
    version,
)
