"""The tables of the registry, one module per subject."""

from registry.models.annotation import AnnotatedTask, Annotation
from registry.models.artifact import Artifact, StoredFile
from registry.models.event import Event
from registry.models.failure import Failure
from registry.models.project import Project
from registry.models.run import TrainingRun
from registry.models.state import Blob, StateEntry
from registry.models.version import Alias, ModelVersion, Promotion

__all__ = [
    "Alias",
    "AnnotatedTask",
    "Annotation",
    "Artifact",
    "Blob",
    "Event",
    "Failure",
    "ModelVersion",
    "Project",
    "Promotion",
    "StateEntry",
    "StoredFile",
    "TrainingRun",
]
