"""A server that asks who is there: basic authentication, and the token in the address."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from label_studio_sdk.core.api_error import ApiError

from tests.e2e.connected import ConnectedProject
from tests.e2e.label_studio import LabelStudioServer
from tests.e2e.server import MLServer

TOKEN = "a-token-for-the-address"
LOGIN = {"auth_method": "BASIC_AUTH", "basic_auth_user": "studio", "basic_auth_pass": "secret"}

no_basic_auth = pytest.mark.newest("Label Studio 1.9 has no basic authentication for backends")


@pytest.fixture(scope="module")
def guarded(workspace: Path, server: MLServer) -> Iterator[MLServer]:
    """A second server on the first one's data folder; `server` comes first, so that it has the worker's queue."""
    guarded = MLServer(
        workspace / "var", "guarded", BASIC_AUTH_USER="studio", BASIC_AUTH_PASS="secret", URL_TOKEN=TOKEN
    )
    try:
        guarded.start("--backend", "text_classifier", "--no-worker")
        yield guarded
    finally:
        guarded.end()


@pytest.fixture(scope="module")
def project(label_studio: LabelStudioServer) -> ConnectedProject:
    project = ConnectedProject(label_studio, "access")
    project.import_texts()
    return project


@pytest.mark.parametrize("login", [{}, LOGIN | {"basic_auth_pass": "wrong"}], ids=["no password", "the wrong password"])
def test_a_stranger_is_refused_and_label_studio_says_so(project: ConnectedProject, guarded: MLServer, login):
    with pytest.raises(ApiError) as refused:
        project.connect(guarded, **login)
    assert refused.value.status_code == 400
    assert "401 Client Error: Unauthorized" in str(refused.value.body)


@no_basic_auth
def test_basic_authentication_connects_and_predicts(project: ConnectedProject, guarded: MLServer):
    project.connect(guarded, **LOGIN)
    assert project.backend().state == "CO"
    project.retrieve_predictions()
    assert len(project.predictions(project.ours.live())) == len(project.task_ids())


@no_basic_auth
def test_webhooks_carry_no_password_so_they_are_refused(project: ConnectedProject, guarded: MLServer):
    project.annotate(project.task_ids()[0], "Positive")
    [failure] = guarded.database.rows("SELECT * FROM registry_failure WHERE request = 'POST /webhook'")
    assert (failure["status"], failure["code"], failure["count"]) == (401, "authentication_failed", 1)
    assert project.ours.events() == []


@no_basic_auth
def test_the_train_button_carries_the_password(project: ConnectedProject):
    project.ls.ml.train(project.ml_id)
    assert project.event("START_TRAINING")["status"] == "done"


def test_the_token_in_the_address_authenticates_webhooks_too(project: ConnectedProject, guarded: MLServer):
    if project.ml_id:
        project.ls.ml.delete(project.ml_id)
    project.connect(guarded, path=f"/t/{TOKEN}")
    assert project.backend().state == "CO"
    _, good, bad, *_ = project.task_ids()
    project.annotate(good, "Positive")
    project.annotate(bad, "Negative")
    assert project.event("ANNOTATION_CREATED", count=2)["status"] == "done"
    assert project.backend().model_version == project.ours.live() == "0.1.0"


def test_the_token_stays_out_of_the_log(guarded: MLServer):
    assert TOKEN not in guarded.log.read_text(encoding="utf-8")
