"""One fit: what it is given, and what is left of it."""

import math
import random
import secrets
import sys
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from django.db.models import QuerySet
from rq.timeouts import BaseTimeoutException, TimerDeathPenalty, UnixSignalDeathPenalty

from backends.annotations import states
from backends.services import Services
from registry import artifacts, entries, holdout, instances, lineage, policies
from registry.annotations import ProjectAnnotations
from registry.artifacts import StagedArtifacts
from registry.lineage import Lineage, Manifest
from registry.models import AnnotatedTask, Event, ModelVersion, Project, TrainingRun
from registry.monitoring import RunMonitor
from registry.state import StagedState
from registry.text import storable
from registry.versions import Change

_MAX_RESULT = 10_000
_SEED_BITS = 32


class FitTimeout(BaseTimeoutException):
    """A fit took longer than its backend's `fit_timeout`."""


class Fit:
    """One call of a backend's `fit()`, on staged state and with files in a folder of its own."""

    def __init__(self, run: TrainingRun, events: Sequence[Event], *, coalesced: bool, folder: Path) -> None:
        self._run = run
        self._project = Project.objects.select_related("live").get(pk=run.project_id)
        self._coalesced = coalesced
        self._policy = policies.promotion(self._project)
        self._lessons, self.held_out = self._divide(events)
        self._state = StagedState(self._project.pk)
        self._artifacts = StagedArtifacts(lambda: self._state.version, folder)
        self._annotations = ProjectAnnotations(self._project.pk, self._training_tasks())
        self._seed = secrets.randbits(_SEED_BITS)
        self._label_config = ""
        self.monitor = RunMonitor(run)
        self.result = ""
        """What `fit()` returned, as text."""

    @property
    def parent(self) -> ModelVersion:
        """The version that it goes on from."""
        return self._state.version

    def call(self) -> None:
        """Call the backend; raise whatever it raises, and FitTimeout."""
        if not self._lessons:
            self.result = "All of its tasks are held out for evaluation."
            return
        payloads = list(self._lessons.values())
        last = dict(payloads[-1])
        action = last.pop("action")
        said = last.get("project")
        config = said.get("label_config") if isinstance(said, dict) else None
        self._label_config = config if isinstance(config, str) and config else self._project.label_config
        with time_limit(instances.backend_class(self._project.backend).fit_timeout):
            _seed(self._seed)
            services = Services(
                self._state,
                self._annotations,
                instances.label_studio_of(self._project),
                self.monitor,
                self._artifacts,
                self._seed,
            )
            backend = instances.build(self._project, services, self._label_config)
            self._state.stage()
            additional = {"events": payloads} if self._coalesced else {}
            result = backend.process_event(action, last, str(self._run.pk), additional)
        self.result = "" if result is None else storable(str(result))[:_MAX_RESULT]

    def change(self) -> Change | None:
        """Store what it has learnt and return it, None where that is nothing. No version holds it yet."""
        if not self._lessons:
            return None
        entries.store_blobs(self._state.changes)
        left = self._artifacts.store()
        changed = {name: tree for name, tree in left.items() if tree != artifacts.tree_of(self.parent.pk, name)}
        if not (self._state.changes or self._state.new_name or changed):
            return None
        return Change(self._state.changes, changed, self._lineage(), self._state.new_name)

    def _divide(self, events: Sequence[Event]) -> tuple[dict[int, dict[str, Any]], list[int]]:
        """Return the bodies to learn from by event, and the events that are held out whole."""
        evaluated = self._policy.mode == "evaluate"
        held = holdout.tasks(self._project.pk, self._policy) if evaluated else frozenset()
        lessons: dict[int, dict[str, Any]] = {}
        held_out = []
        for event in events:
            payload = holdout.without(event.payload, held)
            if payload is None:
                held_out.append(event.pk)
            else:
                lessons[event.pk] = payload
        return lessons, held_out

    def _training_tasks(self) -> QuerySet[AnnotatedTask] | None:
        return holdout.training_tasks() if self._policy.mode == "evaluate" else None

    def _lineage(self) -> Lineage:
        folder = instances.folder_of(self._project.backend)
        manifest = self._annotations.manifest
        if not manifest.count:
            manifest = _manifest_of(self._lessons.values())
        return Lineage(
            code_hash=lineage.code_hash(folder),
            label_config_hash=lineage.config_hash(self._label_config),
            seed=self._seed,
            libraries=lineage.libraries(folder),
            first_event=min(self._lessons),
            last_event=max(self._lessons),
            event_count=len(self._lessons),
            annotations_hash=manifest.hash,
            annotation_count=manifest.count,
            metrics=self.monitor.measured,
        )


def _manifest_of(payloads: Any) -> Manifest:
    """Return the manifest of a fit that was told of annotations by its events alone."""
    manifest = Manifest()
    for payload in payloads:
        for state in states(payload["action"], payload):
            if state.annotation is not None:
                manifest.add(state.annotation)
    return manifest


def _seed(seed: int) -> None:
    random.seed(seed)
    # Importing it here would cost every backend that does without.
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed(seed)


def time_limit(seconds: float) -> AbstractContextManager[object]:
    """Raise FitTimeout in the block after so many seconds."""
    # An alarm interrupts a fit that waits in C as well, but only a main thread can be sent one.
    in_main_thread = threading.current_thread() is threading.main_thread()
    penalty = UnixSignalDeathPenalty if in_main_thread else TimerDeathPenalty
    limit: AbstractContextManager[object] = penalty(max(1, math.ceil(seconds)), FitTimeout)
    return limit
