"""A project gets our backend, and its tasks get predictions."""

import pytest

from tests.e2e.connected import TEXTS, ConnectedProject
from tests.e2e.label_studio import LabelStudioServer
from tests.e2e.server import MLServer


@pytest.fixture(scope="module")
def project(label_studio: LabelStudioServer) -> ConnectedProject:
    project = ConnectedProject(label_studio, "predictions")
    project.import_texts()
    return project


def test_a_backend_that_is_added_is_connected_and_shows_its_version(project: ConnectedProject, server: MLServer):
    project.connect(server)
    shown = project.backend()
    assert (shown.state, shown.error_message) == ("CO", None)
    assert shown.model_version == project.ours.live() == "0.0.1"
    assert project.ours.project()["label_config"] == project.project.label_config


def test_adding_the_backend_registers_our_webhook(project: ConnectedProject, server: MLServer):
    [webhook] = project.ls.webhooks.list(project=project.id)
    assert (webhook.url, webhook.is_active) == (f"{server.url}/webhook", True)


def test_tasks_imported_later_are_told_to_us(project: ConnectedProject):
    [task_id] = project.import_texts(["One more"])
    event = project.event("TASKS_CREATED")
    assert [task["id"] for task in event["payload"]["tasks"]] == [task_id]
    assert event["status"] == "ignored"


def test_opening_a_task_predicts_for_it_alone(project: ConnectedProject):
    first, *others = project.task_ids()
    [prediction] = project.ls.tasks.get(str(first)).predictions
    assert (prediction.model_version, prediction.score) == ("0.0.1", 0.0)
    assert {kept.task for kept in project.predictions()} == {first}
    assert others


def test_all_tasks_get_one_prediction_each(project: ConnectedProject):
    project.retrieve_predictions()
    kept = [(prediction.task, prediction.model_version) for prediction in project.predictions()]
    assert sorted(kept) == [(task_id, "0.0.1") for task_id in sorted(project.task_ids())]
    assert len(kept) == len(TEXTS) + 1


def test_asking_again_makes_no_duplicates(project: ConnectedProject):
    project.retrieve_predictions()
    assert len(project.predictions()) == len(TEXTS) + 1


def test_the_label_stream_shows_a_task_with_its_prediction(project: ConnectedProject):
    task = project.next_task()
    assert [prediction["model_version"] for prediction in task["predictions"]] == [project.ours.live()]


@pytest.mark.newest("Label Studio 1.9 has no test button")
def test_the_test_button_shows_our_answer(project: ConnectedProject):
    answer = project.ask("POST", f"/api/ml/{project.ml_id}/predict/test?random=true").json()
    assert answer["status"] == 200
    assert [prediction["model_version"] for prediction in answer["response"]] == [project.ours.live()]


def test_label_studio_lists_our_versions(project: ConnectedProject, server: MLServer):
    listed = project.ls.ml.list_model_versions(project.ml_id).versions
    assert project.ours.live() in listed
    assert listed == server.get("/versions").json()["versions"]


def test_of_several_predictions_for_a_task_it_keeps_what_it_can(label_studio: LabelStudioServer, server: MLServer):
    project = ConnectedProject(label_studio, "several predictions")
    project.import_texts()
    project.connect(server, "twice", "/twice")
    project.retrieve_predictions()
    # Label Studio 1.9 knows one prediction per task, and loses the whole batch over a second one.
    scores = [0.75] if label_studio.version().startswith("1.9.") else [0.75, 0.25]
    kept = sorted((prediction.task, -prediction.score) for prediction in project.predictions())
    assert kept == [(task_id, -score) for task_id in sorted(project.task_ids()) for score in scores]
