"""What annotators do becomes model versions, and the versions become predictions."""

from collections import Counter

import pytest

from tests.e2e.connected import ConnectedProject, chosen
from tests.e2e.label_studio import LabelStudioServer
from tests.e2e.processes import until
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
    """The annotation of each task that has one to learn from: {task id: annotation id}."""
    return {}


def assert_learnt(project: ConnectedProject, examples: dict[int, str]) -> None:
    """Check that the training set is just that, and that the newest fit saw all of it."""
    project.settle()
    assert project.examples() == examples
    assert project.learnt() == len(examples)


def test_one_label_alone_is_kept_but_makes_no_version(
    project: ConnectedProject, tasks: list[int], annotations: dict[int, int]
):
    annotations[tasks[0]] = project.annotate(tasks[0], "Positive")
    event = project.event("ANNOTATION_CREATED")
    assert (event["status"], event["payload"]["annotation"]["id"]) == ("done", annotations[tasks[0]])
    assert_learnt(project, {annotations[tasks[0]]: "Positive"})
    assert project.ours.live() == project.backend().model_version == "0.0.1"


def test_a_second_label_makes_a_version(project: ConnectedProject, tasks: list[int], annotations: dict[int, int]):
    annotations[tasks[1]] = project.annotate(tasks[1], "Negative")
    assert_learnt(project, {annotations[tasks[0]]: "Positive", annotations[tasks[1]]: "Negative"})
    assert project.ours.live() == project.backend().model_version == "0.1.0"


def test_what_was_learnt_is_predicted(project: ConnectedProject, tasks: list[int]):
    project.retrieve_predictions()
    predicted = {kept.task: kept.result[0]["value"]["choices"] for kept in project.predictions("0.1.0")}
    assert predicted[tasks[2]] == predicted[tasks[4]] == ["Positive"]
    assert predicted[tasks[3]] == predicted[tasks[5]] == ["Negative"]


def test_no_task_gets_two_predictions_of_one_version(project: ConnectedProject):
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
    assert_learnt(project, {annotations[tasks[0]]: "Neutral", annotations[tasks[1]]: "Negative"})
    assert project.backend().model_version == project.ours.live() != before


def test_a_skipped_task_teaches_nothing(project: ConnectedProject, tasks: list[int]):
    before, examples = project.ours.live(), project.examples()
    skipped = project.annotate(tasks[2], "Positive", was_cancelled=True)
    assert project.event("ANNOTATION_CREATED", count=3)["status"] == "done"
    assert project.ours.annotations()[skipped]["skipped"]
    assert_learnt(project, examples)
    assert project.ours.live() == before


def test_a_deleted_annotation_is_forgotten(project: ConnectedProject, tasks: list[int], annotations: dict[int, int]):
    deleted = annotations.pop(tasks[0])
    project.ls.annotations.delete(deleted)
    assert project.event("ANNOTATIONS_DELETED")["payload"]["annotations"] == [{"id": deleted}]
    assert project.ours.annotations()[deleted]["deleted"]
    assert_learnt(project, {annotations[tasks[1]]: "Negative"})


@no_ids_in_bulk
def test_annotations_made_from_predictions_are_learnt(
    project: ConnectedProject, tasks: list[int], annotations: dict[int, int]
):
    before = project.examples()
    answer = project.act("predictions_to_annotations", tasks[3:], model_version="0.1.0")
    assert answer["detail"] == f"Created {len(tasks[3:])} annotations"
    payload = project.event("ANNOTATIONS_CREATED")["payload"]
    assert [annotation["task"] for annotation in payload["annotation"]] == [task["id"] for task in payload["task"]]
    made = {annotation["task"]: annotation["id"] for annotation in payload["annotation"]}
    assert sorted(made) == tasks[3:]
    annotations.update(made)
    predicted = zip(tasks[3:], ("Negative", "Positive", "Negative"), strict=True)
    assert_learnt(project, before | {made[task_id]: choice for task_id, choice in predicted})


@no_ids_in_bulk
def test_annotations_deleted_in_bulk_are_forgotten_in_one_event(
    project: ConnectedProject, tasks: list[int], annotations: dict[int, int]
):
    project.act("delete_tasks_annotations", tasks[4:])
    deleted = {annotations.pop(task_id) for task_id in tasks[4:]}
    event = project.event("ANNOTATIONS_DELETED", count=2)
    assert {annotation["id"] for annotation in event["payload"]["annotations"]} == deleted
    assert_learnt(project, dict.fromkeys(annotations.values(), "Negative"))


def test_a_deleted_task_takes_its_annotation_with_it(
    project: ConnectedProject, tasks: list[int], annotations: dict[int, int]
):
    del annotations[tasks[1]]
    project.act("delete_tasks", [tasks[1]])
    assert project.event("TASKS_DELETED")["status"] == "done"
    assert project.ours.deleted_tasks() == [tasks[1]]
    assert_learnt(project, dict.fromkeys(annotations.values(), "Negative"))


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


def test_annotations_that_had_to_wait_are_learnt_by_one_fit(
    project: ConnectedProject, server: MLServer, tasks: list[int]
):
    examples, versions = project.examples(), len(project.ours.versions())
    worker = server.worker()
    # A job that is about to end would still take what comes now.
    until(lambda: not worker.children(), "the worker is idle")
    worker.suspend()
    numbers = [project.annotate(tasks[0], "Neutral") for _ in range(3)]
    worker.resume()
    assert_learnt(project, examples | dict.fromkeys(numbers, "Neutral"))
    *merged, run = project.ours.runs()[-6:]
    assert (run["status"], {waited["merged_into_id"] for waited in merged}) == ("succeeded", {run["id"]})
    assert len(project.ours.versions()) == versions + 1


def test_an_event_that_is_delivered_twice_is_trained_on_once(
    project: ConnectedProject, server: MLServer, tasks: list[int]
):
    examples = project.examples()
    # Label Studio tells every webhook of a project, those of one address too.
    project.ls.webhooks.create(project=project.id, url=f"{server.url}/webhook")
    number = project.annotate(tasks[2], "Negative")
    project.settle()
    created = project.ours.events("ANNOTATION_CREATED")
    deliveries = [event for event in created if event["payload"]["annotation"]["id"] == number]
    assert [event["status"] for event in deliveries] == ["done", "duplicate"]
    assert deliveries[0]["run_id"] == deliveries[1]["run_id"]
    assert_learnt(project, examples | {number: "Negative"})
