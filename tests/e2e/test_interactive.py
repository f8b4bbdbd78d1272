"""While an annotator labels, the model sees what was drawn and suggests the rest."""

import pytest

from tests.e2e.connected import ConnectedProject
from tests.e2e.database import Row
from tests.e2e.label_studio import LabelStudioServer
from tests.e2e.server import MLServer

PERSONS = (
    '<View><Labels name="label" toName="text"><Label value="Person"/><Label value="Place"/></Labels>'
    '<Text name="text" value="$text"/></View>'
)
TEXT = "Anna met Ben in Rome. Later Anna left Rome without Ben."


@pytest.fixture(scope="module")
def project(label_studio: LabelStudioServer, server: MLServer) -> ConnectedProject:
    project = ConnectedProject(label_studio, "interactive", PERSONS)
    project.import_texts([TEXT])
    project.connect(server, "occurrences", "/occurrences", is_interactive=True)
    return project


def test_a_drawn_region_is_answered_with_its_other_occurrences(project: ConnectedProject):
    anna = {"start": 0, "end": 4, "text": "Anna", "labels": ["Person"]}
    suggested = suggestions(project, {"result": [{"id": "a", "type": "labels", "value": anna}]})
    assert [region["value"] for region in suggested["result"]] == [anna | {"start": 28, "end": 32}]
    assert suggested["model_version"] == project.ours.live()


def test_without_a_region_nothing_is_suggested(project: ConnectedProject):
    assert suggestions(project, None)["result"] == []


def test_suggestions_are_not_kept_as_predictions(project: ConnectedProject):
    assert project.predictions() == []


def suggestions(project: ConnectedProject, context: Row | None) -> Row:
    """Ask as the labelling page does: the SDK's own call drops the answer."""
    body = {"task": project.task_ids()[0], "context": context}
    answer = project.ask("POST", f"/api/ml/{project.ml_id}/interactive-annotating", json=body).json()
    assert "errors" not in answer
    return dict(answer["data"])
