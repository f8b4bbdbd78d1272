"""Record what Label Studio sends: python -m tests.e2e.record writes tests/wire/ and says which fields changed."""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.e2e import wire
from tests.e2e.connected import ConnectedProject, chosen
from tests.e2e.label_studio import LabelStudioServer
from tests.e2e.sink import VERSION, Sink, listening

_TASKS = 20
_EXTRA_PARAMS = {"threshold": 0.5, "deep": {"a": [1]}}


def record(label_studio: LabelStudioServer) -> wire.Recordings:
    """Make Label Studio send each of its requests once, and return them by the names of their files."""
    with listening() as sink:
        project = _project(label_studio, sink, "wire", _TASKS)
        requests = {"health": sink.last("/health"), "setup": sink.last("/setup")}
        requests |= _predicting(project, sink)
        requests |= _annotating(project, sink)
        requests |= _managing(project, sink)
        requests |= _second_project(label_studio, sink)
    version = label_studio.version()
    return {name: request.recorded(version) for name, request in sorted(requests.items())}


def _project(label_studio: LabelStudioServer, sink: Sink, title: str, tasks: int, **options: Any) -> ConnectedProject:
    project = ConnectedProject(label_studio, title)
    feelings = ("bad", "great")
    project.import_texts([f"sample text number {n}: the service was {feelings[n % 2]}" for n in range(tasks)])
    project.ml_id = project.ls.ml.create(
        url=sink.url, project=project.id, title="recorder", is_interactive=True, **options
    ).id
    return project


def _predicting(project: ConnectedProject, sink: Sink) -> dict[str, wire.Request]:
    first, second, *_ = project.task_ids()
    requests = {}
    project.ls.tasks.get(str(first))
    requests["predict_single"] = sink.last("/predict")
    project.retrieve_predictions()
    requests["predict_batch"] = sink.last("/predict")
    drawn = {"result": [{"id": "x1", "origin": "manual", **chosen("Negative")}]}
    contexts = {"": drawn, "_no_context": None, "_empty_context": {}}
    for name, context in contexts.items():
        project.ls.ml.predict_interactive(project.ml_id, task=second, context=context)
        requests[f"predict_interactive{name}"] = sink.last("/predict")
    project.ls.ml.list_model_versions(project.ml_id)
    return requests | {"versions": sink.last("/versions")}


def _annotating(project: ConnectedProject, sink: Sink) -> dict[str, wire.Request]:
    _, _, third, fourth, fifth, sixth, *_ = project.task_ids()
    requests = {}
    annotation = project.annotate(third, "Neutral")
    requests["webhook_ANNOTATION_CREATED"] = sink.last("/webhook", "ANNOTATION_CREATED")
    project.ls.annotations.update(annotation, result=[chosen("Negative")])
    project.ls.annotations.create(sixth, result=[], was_cancelled=True)
    requests["webhook_ANNOTATION_CREATED_skipped"] = sink.last("/webhook", "ANNOTATION_CREATED")
    project.act("predictions_to_annotations", [fourth, fifth], model_version=VERSION)
    project.ls.annotations.delete(annotation)
    for action in ("ANNOTATION_UPDATED", "ANNOTATIONS_CREATED", "ANNOTATIONS_DELETED"):
        requests[f"webhook_{action}"] = sink.last("/webhook", action)
    return requests


def _managing(project: ConnectedProject, sink: Sink) -> dict[str, wire.Request]:
    project.ls.ml.train(project.ml_id)
    late = project.import_texts(["late one", "late two"])
    project.ls.projects.update(project.id, description="changed")
    project.act("delete_tasks", late)
    actions = ("START_TRAINING", "TASKS_CREATED", "PROJECT_UPDATED", "TASKS_DELETED")
    return {f"webhook_{action}": sink.last("/webhook", action) for action in actions}


def _second_project(label_studio: LabelStudioServer, sink: Sink) -> dict[str, wire.Request]:
    # The test button picks a task at random, so this project has one.
    project = _project(label_studio, sink, "wire with parameters", 1, extra_params=_EXTRA_PARAMS)
    setup = sink.last("/setup")
    project.ask("POST", f"/api/ml/{project.ml_id}/predict/test?random=true")
    return {"setup_extra_params": setup, "predict_test": sink.last("/predict")}


def main() -> None:
    """Write the files of the Label Studio that is installed here, and print what is new in them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=wire.FOLDER, help="where the recordings are kept")
    folder: Path = parser.parse_args().folder
    workspace = Path(tempfile.mkdtemp(prefix="wire-"))
    label_studio = LabelStudioServer(workspace / "label-studio")
    try:
        label_studio.start()
        recordings = wire.steady(record(label_studio))
        version = label_studio.version()
    finally:
        label_studio.end()
        shutil.rmtree(workspace, ignore_errors=True)
    changes = wire.changes(wire.load(folder), recordings)
    wire.save(recordings, folder)
    sys.stdout.write(f"Recorded {len(recordings)} requests of Label Studio {version} in {folder}.\n")
    sys.stdout.write("\n".join(changes or ["No field is new, gone, or of another type."]) + "\n")


if __name__ == "__main__":
    main()
