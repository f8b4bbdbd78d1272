"""Build a backend for a project, on the state it is to see."""

from pathlib import Path

from django.conf import settings

from backends import loading
from backends.base import LabelStudioMLBase
from backends.label_studio import LabelStudio
from backends.services import Services
from registry.annotations import ProjectAnnotations
from registry.artifacts import VersionArtifacts
from registry.models import Project
from registry.state import LiveState, VersionState


def backend_class(name: str) -> type[LabelStudioMLBase]:
    """Return the backend's class, importing it at its first use in this process."""
    return loading.load(name, settings.BACKENDS_PATH)


def folder_of(name: str) -> Path:
    """Return the folder that the backend's code is in."""
    return loading.folder_of(name, settings.BACKENDS_PATH)


def to_serve(project: Project, state: LiveState | VersionState, label_config: str | None) -> LabelStudioMLBase:
    """Make an instance that predicts by the state's version. Its `setup()` runs here, and may raise anything."""
    services = Services(
        state,
        ProjectAnnotations(project.pk),
        label_studio_of(project),
        artifacts=VersionArtifacts(lambda: state.version),
    )
    return build(project, services, label_config)


def build(project: Project, services: Services, label_config: str | None) -> LabelStudioMLBase:
    """Make an instance of the project's backend amid these services; see `to_serve`."""
    return backend_class(project.backend).build(
        services,
        project_id=str(project.ls_id),
        label_config=label_config or None,
        extra_params=project.extra_params,
    )


def label_studio_of(project: Project) -> LabelStudio:
    """Return where and as whom to ask Label Studio: the operator's settings, else what it sent."""
    return LabelStudio(
        url=settings.LABEL_STUDIO_URL or project.label_studio_url,
        token=settings.LABEL_STUDIO_API_KEY or project.access_token,
    )
