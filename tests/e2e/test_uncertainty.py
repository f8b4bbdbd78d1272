"""With uncertainty sampling, Label Studio asks for the tasks that the model is least sure of."""

import pytest

from tests.e2e.connected import ConnectedProject
from tests.e2e.label_studio import LabelStudioServer
from tests.e2e.server import MLServer

POOL = (
    "Great food, lovely and warm",
    "Cold, slow and rude",
    "A lovely waiter but the food was cold",
    "We were there on a Tuesday",
    "Rude but great",
    "Awful",
)


@pytest.fixture(scope="module")
def project(label_studio: LabelStudioServer, server: MLServer) -> ConnectedProject:
    project = ConnectedProject(label_studio, "uncertainty")
    good, bad = project.import_texts(["The service was great, lovely food", "Rude, slow, awful and cold"])
    project.connect(server)
    project.annotate(good, "Positive")
    project.annotate(bad, "Negative")
    project.import_texts(POOL)
    return project


def test_the_next_task_is_always_the_one_with_our_lowest_score(project: ConnectedProject):
    version = project.settle()
    project.retrieve_predictions()
    project.ls.projects.update(project.id, sampling="Uncertainty sampling", model_version=version)
    labelled = {event["payload"]["task"]["id"] for event in project.ours.events("ANNOTATION_CREATED")}
    scores = {kept.task: kept.score for kept in project.predictions(version) if kept.task not in labelled}
    assert len(set(scores.values())) == len(POOL)

    shown = []
    for _ in scores:
        shown.append(project.next_task()["id"])
        project.annotate(shown[-1], "Neutral", was_cancelled=True)
    assert shown == sorted(scores, key=lambda task_id: scores[task_id])
