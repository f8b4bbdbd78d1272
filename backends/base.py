"""The class that a model author derives from."""

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

from backends import label_config as label_configs
from backends.errors import LabelConfigError
from backends.functions import predict_function, update_function
from backends.label_studio import LabelStudio, preload
from backends.policy import EVERY_EVENT, TrainingPolicy
from backends.promotion import AT_ONCE, PromotionPolicy
from backends.services import Services
from backends.signatures import call_accepting
from backends.state import MODEL_VERSION


class LabelStudioMLBase:
    """One model behind Label Studio. Derive from it and write `predict()`, and `fit()` to learn.

    The server makes one instance per process, project and model version, and keeps it. On its own
    it keeps its state in memory: `MyModel(label_config=xml).predict(tasks)`.
    """

    INITIAL_MODEL_VERSION: ClassVar[str] = "0.0.1"
    """The name of a project's first version, where `setup()` declares none."""

    TRAIN_EVENTS: ClassVar[Sequence[str]] = (
        "ANNOTATION_CREATED",
        "ANNOTATION_UPDATED",
        "ANNOTATION_DELETED",
        "ANNOTATIONS_CREATED",
        "ANNOTATIONS_DELETED",
        "START_TRAINING",
    )
    """The webhook actions that lead to `fit()`, by the names Label Studio sends.

    Label Studio lists ANNOTATION_DELETED among its actions but sends ANNOTATIONS_DELETED.
    """

    auto_version: ClassVar[bool] = True
    """Whether a fit that changed state without naming a version makes the next one."""

    training_policy: ClassVar[TrainingPolicy] = EVERY_EVENT
    """When events are trained on: each by a fit of its own, or many by one. Operators can override it."""

    promotion_policy: ClassVar[PromotionPolicy] = AT_ONCE
    """Whether what a fit made goes live by itself. Operators can override it."""

    fit_timeout: ClassVar[float] = 3600.0
    """Seconds that a fit may take; it fails then, and nothing of it is kept."""

    max_concurrency: ClassVar[int] = 1
    """How many predictions one process may run at once on one instance."""

    project_id: str
    """The project's number in Label Studio, as text."""

    _services: Services
    _extra_params: Any
    _in_setup: bool

    def __init__(self, project_id: str | None = None, label_config: str | None = None, **_: Any) -> None:
        # `build` gives an instance its server-side parts before a subclass's __init__ runs.
        self.__dict__.setdefault("_services", Services())
        self.__dict__.setdefault("_extra_params", None)
        self.__dict__.setdefault("project_id", "")
        self.__dict__.setdefault("_label_config", label_configs.parse(""))
        if project_id is not None:
            self.project_id = project_id
        if label_config is not None:
            self.use_label_config(label_config)
        self._services.state.begin(self.INITIAL_MODEL_VERSION)
        self._in_setup = True
        try:
            self.setup()
        finally:
            self._in_setup = False

    @classmethod
    def build(
        cls, services: Services, *, project_id: str = "", label_config: str | None = None, extra_params: Any = None
    ) -> Self:
        """Make an instance amid the given services, whatever the subclass's `__init__` takes."""
        instance = cls.__new__(cls)
        instance._services = services
        instance.set_extra_params(extra_params)
        instance.project_id = project_id
        instance._label_config = label_configs.parse(label_config or "")
        call_accepting(instance.__init__, project_id=project_id, label_config=label_config)  # type: ignore[misc]
        return instance

    # --- What an author writes -----------------------------------------------------------------

    def setup(self) -> None:
        """Prepare the instance: load weights, read state. Runs once, before anything else.

        `self.set("model_version", …)` here declares the version of the code.
        """

    def predict(self, tasks: list[dict[str, Any]], context: dict[str, Any] | None = None, **kwargs: Any) -> Any:
        """Return one prediction per task, in order.

        `tasks` are Label Studio's task objects, `{"id", "data", …}`; `context` is what the annotator
        has drawn so far, `{"result": […]}`, in interactive labelling. Return a ModelResponse or a
        list of `{"result": [regions], "score": 0.9}`, an item per task; a list of such dicts is several
        predictions for one task. `score` orders uncertainty sampling, lowest first.
        """
        function = predict_function(type(self).__module__)
        return function(tasks, context, helper=self, **kwargs) if function else None

    def fit(self, event: str, data: dict[str, Any], **kwargs: Any) -> Any:
        """Learn from one event: `data` is Label Studio's webhook body without its action.

        Runs in a worker, one at a time per project. What it `set`s becomes visible, together with
        a new version, when it returns; nothing of it stays when it raises.
        """
        function = update_function(type(self).__module__)
        return function(event, data, helper=self, **kwargs) if function else None

    def process_event(self, event: str, data: dict[str, Any], job_id: str, additional_params: dict[str, Any]) -> Any:
        """Call `fit()` where the event is one of TRAIN_EVENTS. Override it to take part in others."""
        if event not in self.TRAIN_EVENTS:
            return None
        return call_accepting(self.fit, event, data, job_id=job_id, **additional_params)

    @classmethod
    def handles(cls, event: str) -> bool:
        """Return whether an event of that name can lead to work for this backend."""
        if cls.process_event is not LabelStudioMLBase.process_event:
            return True
        learns = cls.fit is not LabelStudioMLBase.fit or update_function(cls.__module__) is not None
        return learns and event in cls.TRAIN_EVENTS

    # --- State and version ---------------------------------------------------------------------

    def get(self, key: str) -> Any:
        """Return the value kept under the key, or None.

        The config and the extra parameters can be read this way too, as the text they were sent as.
        """
        if key == "label_config":
            return self.label_config
        if key == "parsed_label_config":
            return json.dumps(self.parsed_label_config)
        if key == "extra_params":
            return json.dumps(self.extra_params)
        return self._services.state.get(key)

    def set(self, key: str, value: Any) -> None:
        """Keep a value: text, JSON, bytes, or anything that can be pickled."""
        if key == MODEL_VERSION:
            if self._in_setup:
                self._services.state.declare_version(str(value))
                return
            value = str(value)
        self._services.state.set(key, value)

    def has(self, key: str) -> bool:
        """Return whether the key was ever set."""
        return self._services.state.has(key)

    @property
    def model_version(self) -> str:
        """The name of the version that this instance serves, or that the running fit has named."""
        return str(self._services.state.get(MODEL_VERSION))

    def bump_model_version(self) -> str:
        """Name the next version (0.1.0 → 0.2.0) and return its name."""
        return self._services.state.bump_version()

    def artifact_path(self, name: str) -> Path:
        """Return the place of a model file or folder of this version: `self.artifact_path("weights.pt")`.

        In `fit()` it is there to be written, with what the version before had in it; it is kept when
        the fit returns. Anywhere else it is there to be read, and does not exist where no fit made
        it. Ask again each time: the file of another version lies elsewhere.
        """
        return self._services.artifacts.path(name)

    # --- Training ------------------------------------------------------------------------------

    def annotations(self, *, include_skipped: bool = False) -> Iterator[dict[str, Any]]:
        """Yield every annotated task with its current `annotations`: the training set, right now.

        It is kept from the events, so Label Studio is not asked; tasks are read a few at a time.
        Deleted annotations are not in it, and skipped ones only on demand.
        """
        return self._services.annotated_tasks.annotated_tasks(include_skipped)

    def progress(self, fraction: float, text: str = "") -> None:
        """Tell operators how far the fit is, from 0 to 1: `self.progress(0.4, "epoch 4/10")`."""
        self._services.report.progress(fraction, text)

    @property
    def seed(self) -> int:
        """The number to seed random generators with; a version remembers it. `random` and numpy are seeded."""
        return self._services.seed

    def log_metrics(self, metrics: dict[str, Any]) -> None:
        """Keep what the fit measured, numbers by name: `self.log_metrics({"accuracy": 0.9})`."""
        self._services.report.metrics(metrics)

    # --- What Label Studio said about the project ----------------------------------------------

    def use_label_config(self, label_config: str) -> None:
        """Work with this labelling config (XML) from now on; raise LabelConfigError where it is broken."""
        self._label_config = label_configs.parse(label_config)

    @property
    def label_config(self) -> str:
        """The labelling config, XML."""
        return self._label_config.xml

    @property
    def parsed_label_config(self) -> Mapping[str, Any]:
        """Control tags by name: {"sentiment": {"type", "to_name", "inputs", "labels", "labels_attrs"}}."""
        return self._label_config.parsed

    @property
    def label_interface(self) -> Any:
        """The SDK's `LabelInterface` over the labelling config."""
        return self._label_config.interface

    @property
    def extra_params(self) -> Any:
        """The extra parameters set on this backend in Label Studio, parsed; {} where there are none."""
        return {} if self._extra_params is None else self._extra_params

    def set_extra_params(self, extra_params: Any) -> None:
        """Take extra parameters: any JSON value, or the text of one."""
        if isinstance(extra_params, str):
            # Label Studio sends any JSON value, so plain text is a value of its own.
            with contextlib.suppress(ValueError):
                extra_params = json.loads(extra_params)
        self._extra_params = extra_params

    def get_first_tag_occurence(
        self,
        control_type: str | tuple[str, ...],
        object_type: str | tuple[str, ...],
        name_filter: Callable[[str], bool] | None = None,
        to_name_filter: Callable[[str], bool] | None = None,
    ) -> tuple[str, str, str]:
        """Return (from_name, to_name, value) of the first control of that type on such an object.

        `value` is the task field that the object shows. Raise LabelConfigError where there is none.
        """
        try:
            from_name, to_name, value = self.label_interface.get_first_tag_occurence(
                control_type=control_type,
                object_type=object_type,
                name_filter=name_filter,
                to_name_filter=to_name_filter,
            )
        except ValueError as exc:
            raise LabelConfigError(
                f"This backend needs {_alternatives(control_type)} over {_alternatives(object_type)}, "
                "and the project's labelling config has none."
            ) from exc
        return from_name, to_name, value

    def build_label_map(self, tag_name: str, names: Sequence[str]) -> dict[str, str]:
        """Map a model's own class names to the labels of a control tag.

        A label takes the names listed in its `predicted_values` attribute (comma-separated); without
        any of those in `names`, the name equal to it, else the one equal but for case.
        """
        by_lower_case = {name.lower(): name for name in reversed(names)}
        known = set(names)
        mapping: dict[str, str] = {}
        for label, tag in self.label_interface.get_control(tag_name).labels_attrs.items():
            listed = [part.strip() for part in tag.attr.get("predicted_values", "").split(",")]
            own = [name for name in listed if name in known]
            if not own and label in known:
                own = [label]
            elif not own and label.lower() in by_lower_case:
                own = [by_lower_case[label.lower()]]
            mapping.update(dict.fromkeys(own, label))
        return mapping

    # --- Files and access ----------------------------------------------------------------------

    def get_label_studio_access_token(self) -> str | None:
        """Return the token to ask Label Studio with: the server's own, else what Label Studio sent."""
        return self._services.label_studio.token or None

    def get_local_path(
        self,
        url: str,
        project_dir: str | None = None,
        ls_host: str | None = None,
        ls_access_token: str | None = None,
        task_id: int | None = None,
        **options: Any,
    ) -> str:
        """Return the path of a local copy of a task's file: an upload, a cloud storage URI, any URL.

        A URI of cloud storage (`s3://…`) needs the task's id: Label Studio resolves it. Host and
        token are the ones this server knows for the project, where they are not given.
        """
        source = LabelStudio(
            url=ls_host or self._services.label_studio.url, token=ls_access_token or self._services.label_studio.token
        )
        return source.get_local_path(url, project_dir=project_dir, task_id=task_id, **options)

    def preload_task_data(self, task: dict[str, Any], value: Any = None, read_file: bool = True) -> Any:
        """Return task data (`task["data"]` by default) with each URL replaced by its file.

        By the file's text, or with `read_file=False` by its local path. Nothing is changed in place.
        """
        value = task.get("data") if value is None else value
        return preload(value, lambda url: self.get_local_path(url, task_id=task.get("id")), read_file)


def _alternatives(tag: str | tuple[str, ...]) -> str:
    return " or ".join(f"<{name}>" for name in ([tag] if isinstance(tag, str) else tag))
