"""What annotators do becomes model versions, and the versions become predictions."""

from collections import Counter

import pytest

from tests.e2e.connected import ConnectedProject, chosen
from tests.e2e.label_studio import LabelStudioServer
from tests.e2e.server import MLServer

no_ids_in_bulk = pytest.mark.newest("on SQLite, Label Studio 1.9 does not know the ids of what it creates in bulk")


@pytest.fixture(scope="module")
def project(label_studio: LabelStudioServer, server: MLServer) -> ConnectedProject:
    project = ConnectedProject(label_studio, "training")
    project.import_texts()
    project.connect(server)
    project.retrieve_predictions()
    return project


@pytest.fixture(scope="module")
def tasks(project: ConnectedProject) -> list[int]:
    return project.task_ids()


@pytest.fixture(scope="module")
def annotations() -> dict[int, int]:
    """The annotation of each task that has one: {task id: annotation id}."""
    return {}


def test_an_annotation_makes_a_version(project: ConnectedProject, tasks: list[int], annotations: dict[int, int]):
    annotations[tasks[0]] = project.annotate(tasks[0], "Positive")
    event = project.event("ANNOTATION_CREATED")
    assert (event["status"], event["payload"]["annotation"]["id"]) == ("done", annotations[tasks[0]])
    assert project.ours.live() == project.backend().model_version == "0.1.0"
    assert project.examples() == {str(annotations[tasks[0]]): "Positive"}


def test_what_was_learnt_is_predicted(project: ConnectedProject, tasks: list[int], annotations: dict[int, int]):
    annotations[tasks[1]] = project.annotate(tasks[1], "Negative")
    version = project.settle()
    project.retrieve_predictions()
    predicted = {kept.task: kept.result[0]["value"]["choices"] for kept in project.predictions(version)}
    assert predicted[tasks[2]] == predicted[tasks[4]] == ["Positive"]
    assert predicted[tasks[3]] == predicted[tasks[5]] == ["Negative"]


def test_no_task_gets_two_predictions_of_one_version(project: ConnectedProject, tasks: list[int]):
    project.retrieve_predictions()
    counts = Counter((kept.task, kept.model_version) for kept in project.predictions())
    assert set(counts.values()) == {1}
    assert {version for _, version in counts} == {"0.0.1", project.ours.live()}


def test_a_corrected_annotation_is_learnt_anew(
    project: ConnectedProject, tasks: list[int], annotations: dict[int, int]
):
    before = project.ours.live()
    project.ls.annotations.update(annotations[tasks[0]], result=[chosen("Neutral")])
    assert project.event("ANNOTATION_UPDATED")["status"] == "done"
    assert project.examples()[str(annotations[tasks[0]])] == "Neutral"
    assert project.backend().model_version == project.ours.live() != before


def test_a_skipped_task_teaches_nothing(project: ConnectedProject, tasks: list[int]):
    before = project.ours.live()
    skipped = project.annotate(tasks[2], "Positive", was_cancelled=True)
    event = project.event("ANNOTATION_CREATED", count=3)
    assert event["payload"]["annotation"]["was_cancelled"] is True
    assert str(skipped) not in project.examples()
    assert project.ours.live() == before


def test_a_deleted_annotation_is_forgotten(project: ConnectedProject, tasks: list[int], annotations: dict[int, int]):
    deleted = annotations.pop(tasks[0])
    project.ls.annotations.delete(deleted)
    assert project.event("ANNOTATIONS_DELETED")["payload"]["annotations"] == [{"id": deleted}]
    assert project.examples() == {str(annotations[tasks[1]]): "Negative"}


@no_ids_in_bulk
def test_annotations_made_from_predictions_are_learnt(
    project: ConnectedProject, tasks: list[int], annotations: dict[int, int]
):
    answer = project.act("predictions_to_annotations", tasks[3:], model_version="0.2.0")
    assert answer["detail"] == f"Created {len(tasks[3:])} annotations"
    payload = project.event("ANNOTATIONS_CREATED")["payload"]
    assert [annotation["task"] for annotation in payload["annotation"]] == [task["id"] for task in payload["task"]]
    learnt = {annotation["task"]: annotation["id"] for annotation in payload["annotation"]}
    assert sorted(learnt) == tasks[3:]
    assert set(project.examples()) == {str(number) for number in (annotations | learnt).values()}
    annotations.update(learnt)


@no_ids_in_bulk
def test_annotations_deleted_in_bulk_are_forgotten_in_one_event(
    project: ConnectedProject, tasks: list[int], annotations: dict[int, int]
):
    project.act("delete_tasks_annotations", tasks[4:])
    deleted = {annotations.pop(task_id) for task_id in tasks[4:]}
    event = project.event("ANNOTATIONS_DELETED", count=2)
    assert {annotation["id"] for annotation in event["payload"]["annotations"]} == deleted
    assert set(project.examples()) == {str(number) for number in annotations.values()}


def test_the_train_button_trains(project: ConnectedProject):
    project.ls.ml.train(project.ml_id)
    assert project.event("START_TRAINING")["status"] == "done"
    assert project.ours.runs()[-1]["result"] == str({"examples": len(project.examples())})
    assert project.backend().error_message is None
    assert project.backend().model_version == project.ours.live()


def test_training_on_every_annotation_can_be_switched_on(project: ConnectedProject, tasks: list[int]):
    switched = project.ask(
        "PATCH", f"/api/projects/{project.id}/", json={"start_training_on_annotation_update": True}
    ).json()
    assert switched["min_annotations_to_start_training"] == 1
    project.annotate(tasks[0], "Positive")
    assert project.event("ANNOTATION_CREATED", count=4)["status"] == "done"
    actions = [event["action"] for event in project.ours.events()]
    assert actions[-2:] == ["START_TRAINING", "ANNOTATION_CREATED"]
    assert project.backend().model_version == project.settle()
