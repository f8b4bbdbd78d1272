"""Restarts, dead workers, slow fits and broken models: annotators go on, and nothing is lost."""

import signal
import time

import pytest

from tests.e2e.connected import ConnectedProject
from tests.e2e.label_studio import LabelStudioServer
from tests.e2e.processes import until
from tests.e2e.server import MLServer

FIT_SECONDS = 3.0
ATTEMPTS = 3


def connected(label_studio: LabelStudioServer, server: MLServer, backend: str) -> ConnectedProject:
    project = ConnectedProject(label_studio, f"trouble with {backend}")
    project.import_texts()
    project.connect(server, backend, f"/{backend}", is_interactive=True)
    return project


@pytest.fixture(scope="module")
def slow(label_studio: LabelStudioServer, server: MLServer) -> ConnectedProject:
    return connected(label_studio, server, "slow")


@pytest.fixture(scope="module")
def fragile(label_studio: LabelStudioServer, server: MLServer) -> ConnectedProject:
    return connected(label_studio, server, "fragile")


def test_a_fit_of_three_seconds_does_not_hold_the_annotator(slow: ConnectedProject):
    task_id = slow.task_ids()[0]
    started = time.monotonic()
    slow.annotate(task_id, "Positive")
    assert time.monotonic() - started < FIT_SECONDS
    assert slow.ours.runs()[-1]["status"] in ("queued", "running")
    assert slow.event("ANNOTATION_CREATED")["status"] == "done"
    assert slow.ours.state("count") == 1


def test_predictions_are_answered_by_the_old_version_while_a_fit_runs(slow: ConnectedProject):
    before = slow.ours.live()
    slow.annotate(slow.task_ids()[1], "Positive")
    until(lambda: slow.ours.runs()[-1]["status"] == "running", "the fit runs")
    slow.retrieve_predictions()
    assert {kept.model_version for kept in slow.predictions()} == {before}
    assert slow.ours.runs()[-1]["status"] == "running"
    assert slow.settle() != before


def test_a_worker_killed_in_a_fit_loses_no_event(slow: ConnectedProject, server: MLServer):
    slow.annotate(slow.task_ids()[2], "Positive")
    until(lambda: slow.ours.runs()[-1]["status"] == "running", "the fit runs")
    worker = server.worker()
    for process in (*worker.children(recursive=True), worker):
        process.send_signal(signal.SIGKILL)
    slow.settle()
    assert [run["status"] for run in slow.ours.runs()[-2:]] == ["lost", "succeeded"]
    assert slow.ours.state("count") == 3


def test_events_wait_for_a_worker_that_is_down(fragile: ConnectedProject, server: MLServer):
    worker = server.worker()
    worker.suspend()
    fragile.annotate(fragile.task_ids()[0], "Positive")
    assert [event["status"] for event in fragile.ours.events("ANNOTATION_CREATED")] == ["pending"]
    assert fragile.backend().model_version == "0.0.1"
    worker.kill()
    assert fragile.settle() == fragile.backend().model_version == "0.1.0"
    assert fragile.ours.state("count") == 1


def test_a_server_that_is_away_shows_as_disconnected(fragile: ConnectedProject, server: MLServer):
    server.end(signal.SIGINT)
    assert fragile.backend().state == "DI"
    fragile.annotate(fragile.task_ids()[1], "Positive")


def test_a_restarted_server_serves_the_version_it_had(fragile: ConnectedProject, server: MLServer):
    server.start("--backend", "text_classifier")
    shown = fragile.backend()
    assert (shown.state, shown.model_version) == ("CO", "0.1.0")
    fragile.retrieve_predictions()
    assert {kept.model_version for kept in fragile.predictions()} == {"0.1.0"}


def test_a_killed_server_has_lost_nothing(fragile: ConnectedProject, server: MLServer):
    fragile.annotate(fragile.task_ids()[2], "Positive")
    server.end(signal.SIGKILL)
    server.start("--backend", "text_classifier")
    assert fragile.settle() == fragile.backend().model_version == "0.2.0"


def test_a_predict_that_raises_leaves_label_studio_standing(fragile: ConnectedProject):
    [breaking] = fragile.import_texts(["please break"])
    fragile.retrieve_predictions()
    assert breaking not in {kept.task for kept in fragile.predictions()}
    assert fragile.backend().state == "CO"
    [failure] = fragile.ours.failures()
    assert failure["summary"] == "predict() raised. ZeroDivisionError: the model broke while predicting"
    assert failure["traceback"].endswith("ZeroDivisionError: the model broke while predicting\n")


def test_a_suggestion_that_fails_is_told_to_the_annotator(fragile: ConnectedProject):
    before = fragile.ours.failures()[0]["count"]
    breaking = fragile.task_ids()[-1]
    body = {"task": breaking, "context": {"result": []}}
    answer = fragile.ask("POST", f"/api/ml/{fragile.ml_id}/interactive-annotating", json=body).json()
    assert "500 Server Error" in answer["errors"][0]
    assert [failure["count"] for failure in fragile.ours.failures()] == [before + 1]


def test_a_fit_that_raises_keeps_the_reason_and_the_version(fragile: ConnectedProject):
    before = fragile.ours.live()
    fragile.annotate(fragile.task_ids()[-1], "Positive")
    fragile.settle()
    event = fragile.ours.events()[-1]
    assert (event["status"], event["attempts"]) == ("failed", ATTEMPTS)
    for run in fragile.ours.runs()[-ATTEMPTS:]:
        assert run["traceback"].endswith("ZeroDivisionError: the model broke while learning\n")
    assert fragile.ours.live() == fragile.backend().model_version == before


def test_training_goes_on_after_a_fit_that_raised(fragile: ConnectedProject):
    before = fragile.ours.live()
    fragile.annotate(fragile.task_ids()[3], "Positive")
    assert fragile.settle() != before
