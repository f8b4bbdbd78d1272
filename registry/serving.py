"""Warm instances: a backend is built once per process, project and live version, and kept."""

import logging
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.db import connections

from backends import label_config as label_configs
from backends.base import LabelStudioMLBase
from backends.errors import BackendError
from backends.response import to_results
from backends.signatures import call_accepting
from registry import failures, instances
from registry.errors import BackendFailed, Busy
from registry.guard import ask_for_training, explain, guard_for
from registry.models import Project
from registry.projects import Standing
from registry.state import LiveState

SETUP_WAIT_SECONDS = 1.0

logger = logging.getLogger(__name__)


@contextmanager
def _authors_code(what: str) -> Iterator[None]:
    """Let errors pass that explain themselves; wrap every other one, whose text is not for clients."""
    try:
        yield
    except BackendError:
        raise
    except (Exception, SystemExit) as exc:  # sys.exit() in a model must not end the server
        raise BackendFailed(f"{what} raised.") from exc


class WarmInstance:
    """A backend ready to predict for one project, at one version and with one labelling config."""

    def __init__(self, project_id: int, label_config: str | None) -> None:
        project = Project.objects.get(pk=project_id)
        self._state = LiveState(project_id)
        with _authors_code("setup()"):
            self.backend: LabelStudioMLBase = instances.to_serve(project, self._state, label_config)
        self.label_config = label_config
        self._project = project
        self._guard = guard_for(self._state.version, label_configs.parse(label_config or ""))
        if self._guard is not None:
            ask_for_training(project, self._state.version)
        self._slots = threading.BoundedSemaphore(max(1, self.backend.max_concurrency))
        self._refreshing = threading.Lock()

    def fits(self, standing: Standing, label_config: str | None) -> bool:
        """Return whether it is of the version that is live, and of that labelling config."""
        # Equal, or newer: it was built after the project had been looked up.
        return self._state.generation >= standing.generation and self.label_config == label_config

    def refresh(self, standing: Standing) -> None:
        """Take up what other processes have written since."""
        if self._state.revision >= standing.revision:
            return
        with self._refreshing:
            project = Project.objects.only("extra_params", "state_revision").get(pk=standing.project_id)
            self._state.read_again(project.state_revision)
            self.backend.set_extra_params(project.extra_params)

    @property
    def version_name(self) -> str:
        """The name of the version it serves."""
        return self._state.version.name

    def without_vanished_labels(self, results: list[Any]) -> list[Any]:
        """Return the results without labels that the labelling config has no more, and report those."""
        if self._guard is None:
            return results
        kept, dropped = self._guard.keep(results)
        if dropped:
            failures.record(
                failures.Problem(
                    backend=self._project.backend,
                    endpoint="predict",
                    request="POST /predict",
                    status=200,
                    code="labels_vanished",
                    detail=explain(self._state.version, dropped),
                    project=_as_named(self._project),
                )
            )
        return kept

    @contextmanager
    def slot(self) -> Iterator[LabelStudioMLBase]:
        """Lend the backend to as many callers at once as it allows; raise Busy after a long wait."""
        if not self._slots.acquire(timeout=settings.PREDICT_QUEUE_SECONDS):
            raise Busy(f"The model was busy for {settings.PREDICT_QUEUE_SECONDS} s. Try again, or add web processes.")
        try:
            yield self.backend
        finally:
            self._slots.release()


class InstancePool:
    """The warm instances of one process, the least recently used one dropped first."""

    def __init__(self) -> None:
        self._instances: OrderedDict[int, WarmInstance] = OrderedDict()
        self._building: dict[int, threading.Lock] = {}
        self._lock = threading.Lock()

    def get(self, standing: Standing, label_config: str | None) -> WarmInstance:
        """Return the project's instance, built first where there is none that fits."""
        instance = self.fitting(standing, label_config)
        if instance is None:
            with self._lock:
                building = self._building.setdefault(standing.project_id, threading.Lock())
            with building:
                instance = self.fitting(standing, label_config)
                if instance is None:
                    instance = self._keep(standing.project_id, WarmInstance(standing.project_id, label_config))
        instance.refresh(standing)
        return instance

    def clear(self) -> None:
        """Drop every instance."""
        with self._lock:
            self._instances.clear()

    def fitting(self, standing: Standing, label_config: str | None) -> WarmInstance | None:
        """Return the project's instance if it is built and fits."""
        with self._lock:
            instance = self._instances.get(standing.project_id)
            if instance is None or not instance.fits(standing, label_config):
                return None
            self._instances.move_to_end(standing.project_id)
            return instance

    def _keep(self, project_id: int, instance: WarmInstance) -> WarmInstance:
        with self._lock:
            self._instances[project_id] = instance
            self._instances.move_to_end(project_id)
            while len(self._instances) > settings.MAX_WARM_INSTANCES:
                self._instances.popitem(last=False)
        return instance


pool = InstancePool()


def predict(
    standing: Standing, tasks: list[dict[str, Any]], *, label_config: str | None, context: Any, **params: Any
) -> list[Any]:
    """Return Label Studio's `results` for the tasks: one item each, in order.

    Raise Busy, BackendFailed, or a BackendError that says what is wrong with config or prediction.
    """
    if label_config is None:
        label_config = Project.objects.values_list("label_config", flat=True).get(pk=standing.project_id) or None
    instance = pool.get(standing, label_config)
    with instance.slot() as backend:
        version = instance.version_name
        with _authors_code("predict()"):
            answer = call_accepting(backend.predict, tasks, context=context, **params)
    return instance.without_vanished_labels(to_results(answer, len(tasks), version))


def warm(project: Project, label_config: str | None) -> str:
    """Start building the project's instance and return the name of the version that will serve.

    Waits for the instance a second at most: Label Studio gives /setup three. Raise what the
    backend's setup() raised by then.
    """
    standing = Standing(project.pk, project.generation, project.state_revision)
    if instance := pool.fitting(standing, label_config):
        return instance.version_name
    raised: list[Exception] = []
    answered = threading.Event()

    def build() -> None:
        try:
            pool.get(standing, label_config)
        except Exception as exc:
            raised.append(exc)
            if answered.is_set():
                _tell_of_setup(project, exc)
        finally:
            connections.close_all()

    thread = threading.Thread(target=build, name=f"warm-{project.pk}", daemon=True)
    thread.start()
    thread.join(SETUP_WAIT_SECONDS)
    answered.set()
    if raised:
        raise raised[0]
    live = Project.objects.select_related("live").only("live__name").get(pk=project.pk).live
    return live.name if live else LabelStudioMLBase.INITIAL_MODEL_VERSION


def _tell_of_setup(project: Project, error: Exception) -> None:
    """Show operators what setup() raised when Label Studio was already answered."""
    logger.error("setup() of %s raised after /setup was answered.", project, exc_info=error)
    failures.record(
        failures.Problem(
            backend=project.backend,
            endpoint="setup",
            request="POST /setup",
            status=200,
            code="backend_failed",
            detail="setup() raised after /setup was answered.",
            error=error,
            project=_as_named(project),
        )
    )


def _as_named(project: Project) -> str:
    """Return the project as Label Studio names it."""
    return f"{project.ls_id}.{project.ls_created}"
