"""Build a backend for a project, on the state it is to see."""

from django.conf import settings

from backends import loading
from backends.base import LabelStudioMLBase
from backends.label_studio import LabelStudio
from backends.reporting import NoReport, RunReport
from backends.services import Services
from registry.annotations import ProjectAnnotations
from registry.models import Project
from registry.state import LiveState, StagedState


def backend_class(name: str) -> type[LabelStudioMLBase]:
    """Return the backend's class, importing it at its first use in this process."""
    return loading.load(name, settings.BACKENDS_PATH)


def build(
    project: Project, state: LiveState | StagedState, label_config: str | None, report: RunReport | None = None
) -> LabelStudioMLBase:
    """Make an instance of the project's backend. Its `setup()` runs here, and may raise anything."""
    return backend_class(project.backend).build(
        Services(state, ProjectAnnotations(project.pk), label_studio_of(project), report or NoReport()),
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
