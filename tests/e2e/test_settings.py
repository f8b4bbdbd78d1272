"""Settings changed in Label Studio reach the backend, and none of them loses what was learnt."""

import pytest

from tests.e2e.connected import SENTIMENT, ConnectedProject
from tests.e2e.label_studio import LabelStudioServer
from tests.e2e.server import MLServer

WITH_MIXED = SENTIMENT.replace("</Choices>", '<Choice value="Mixed"/></Choices>')


@pytest.fixture(scope="module")
def project(label_studio: LabelStudioServer, server: MLServer) -> ConnectedProject:
    project = ConnectedProject(label_studio, "settings")
    project.import_texts()
    project.connect(server)
    project.annotate(project.task_ids()[0], "Positive")
    project.settle()
    return project


@pytest.mark.newest("Label Studio 1.9 has no extra parameters")
def test_extra_params_reach_the_backend(project: ConnectedProject, server: MLServer):
    parameters = {"threshold": 0.5, "names": ["a", "b"]}
    # Without url and project Label Studio fails on its own request.
    updated = project.ls.ml.update(project.ml_id, url=server.url, project=project.id, extra_params=parameters)
    assert (updated.extra_params, project.backend().state) == (parameters, "CO")
    assert project.ours.project()["extra_params"] == parameters


def test_a_changed_labelling_config_is_the_one_that_is_predicted_with(project: ConnectedProject):
    project.ls.projects.update(project.id, label_config=WITH_MIXED)
    assert project.event("PROJECT_UPDATED")["payload"]["project"]["label_config"] == WITH_MIXED
    task_ids = project.task_ids()
    project.annotate(task_ids[1], "Mixed")
    version = project.settle()
    project.retrieve_predictions([task_ids[1]])
    [kept] = project.predictions(version)
    assert kept.result[0]["value"]["choices"] == ["Mixed"]
    assert project.ours.project()["label_config"] == WITH_MIXED


def test_a_backend_removed_and_added_again_still_knows_what_it_learnt(project: ConnectedProject, server: MLServer):
    version, examples = project.ours.live(), project.examples()
    project.ls.ml.delete(project.ml_id)
    project.connect(server)
    assert project.backend().model_version == project.ours.live() == version
    assert project.examples() == examples


def test_adding_it_again_does_not_double_the_events(project: ConnectedProject):
    assert len(project.ls.webhooks.list(project=project.id)) == 1
    before = len(project.ours.events("ANNOTATION_CREATED"))
    project.annotate(project.task_ids()[2], "Positive")
    project.event("ANNOTATION_CREATED", count=before + 1)
    assert len(project.ours.events("ANNOTATION_CREATED")) == before + 1
