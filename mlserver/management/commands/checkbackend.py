import json
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from backends import label_config as label_configs
from backends import loading
from backends.base import LabelStudioMLBase
from backends.errors import BackendError, InvalidPrediction, LabelConfigError
from backends.label_config import LabelConfig
from backends.label_studio import LabelStudio
from backends.response import to_results
from backends.services import Services
from backends.signatures import call_accepting

SAMPLE_CONFIG = """
<View>
  <Text name="text" value="$text"/>
  <Choices name="sentiment" toName="text">
    <Choice value="Positive"/>
    <Choice value="Negative"/>
  </Choices>
</View>
"""


class Command(BaseCommand):
    """Load a backend, let it predict a sample task, and say in plain words what is wrong with it."""

    help = "Loads a backend and lets it predict a sample task, without a server and without a database."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="Name of the backend's folder.")
        parser.add_argument(
            "--label-config",
            type=Path,
            metavar="FILE",
            help="Labelling config (XML) to predict with; without it, one with a Choices over a Text.",
        )

    def handle(self, *args: Any, name: str, label_config: Path | None, **options: Any) -> None:
        try:
            config = label_configs.parse(_read(label_config) if label_config else SAMPLE_CONFIG)
            self._check(name, config)
        except LabelConfigError as exc:
            hint = "" if label_config else " Name a file with the labelling config it is made for: --label-config FILE"
            raise CommandError(f"{exc}{hint}") from exc
        except BackendError as exc:
            raise CommandError(str(exc)) from exc

    def _check(self, name: str, config: LabelConfig) -> None:
        folder = loading.folder_of(name, settings.BACKENDS_PATH)
        backend = loading.load(name, settings.BACKENDS_PATH)
        self._say("Loads", f"{backend.__name__} from {folder / 'model.py'}")
        self._say("Trains on", ", ".join(backend.TRAIN_EVENTS) or "nothing")
        with _named("setup()", folder):
            model = _build(backend, config.xml)
        self._say("Version", model.model_version)
        task = {"id": 1, "data": config.interface.generate_sample_task()}
        self._say("Task", json.dumps(task, ensure_ascii=False))
        with _named("predict()", folder):
            answer = call_accepting(model.predict, [task], context=None)
        try:
            [prediction] = to_results(answer, 1, model.model_version)
        except InvalidPrediction as exc:
            raise CommandError(f"Label Studio cannot use what predict() returned. {exc}") from exc
        self._say("Prediction", json.dumps(prediction, ensure_ascii=False, indent=2))
        self.stdout.write(self.style.SUCCESS("It works."))

    def _say(self, what: str, value: str) -> None:
        self.stdout.write(f"{what:<12}{value}")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise CommandError(f"{path} cannot be read: {exc}.") from exc


def _build(backend: type[LabelStudioMLBase], label_config: str) -> LabelStudioMLBase:
    label_studio = LabelStudio(url=settings.LABEL_STUDIO_URL, token=settings.LABEL_STUDIO_API_KEY)
    return backend.build(Services(label_studio=label_studio), project_id="1", label_config=label_config)


@contextmanager
def _named(method: str, folder: Path) -> Iterator[None]:
    """Say of an exception which method of the backend raised it, and where in its folder."""
    try:
        yield
    except BackendError:
        raise
    except Exception as exc:
        frames = [frame for frame in traceback.extract_tb(exc.__traceback__) if folder in Path(frame.filename).parents]
        place = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
        raise CommandError(
            f"{method} raised {type(exc).__name__}: {exc}{place}. Add --traceback to see all of it."
        ) from exc
