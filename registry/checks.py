"""System checks of the registry."""

from typing import Any

from django.conf import settings
from django.core.checks import Error, register

from backends import loading
from backends.errors import BackendNotFound


@register()
def chosen_backend_exists(**_: Any) -> list[Error]:
    """Report a ML_BACKEND that names no backend."""
    try:
        loading.folder_of(settings.ML_BACKEND, settings.BACKENDS_PATH)
    except BackendNotFound as exc:
        return [
            Error(str(exc), hint="Set ML_BACKEND to one of them, or run ./manage.py startbackend.", id="registry.E001")
        ]
    return []
