"""What surrounds a backend: on a server, or on its own."""

from dataclasses import dataclass, field

from backends.annotations import AnnotatedTasks, MemoryAnnotations
from backends.artifacts import Artifacts, TemporaryArtifacts
from backends.label_studio import LabelStudio
from backends.reporting import NoReport, RunReport
from backends.state import MemoryState, State


@dataclass(frozen=True)
class Services:
    """The parts that a backend asks for what is not its own; by default they are in memory."""

    state: State = field(default_factory=MemoryState)
    annotated_tasks: AnnotatedTasks = field(default_factory=MemoryAnnotations)
    label_studio: LabelStudio = field(default_factory=LabelStudio)
    report: RunReport = field(default_factory=NoReport)
    artifacts: Artifacts = field(default_factory=TemporaryArtifacts)
    seed: int = 0
