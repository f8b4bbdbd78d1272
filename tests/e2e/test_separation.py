"""Projects on one backend know nothing of each other, of whichever Label Studio they are."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.connected import ConnectedProject
from tests.e2e.label_studio import LabelStudioServer
from tests.e2e.server import MLServer


@pytest.fixture(scope="module")
def first(label_studio: LabelStudioServer, server: MLServer) -> ConnectedProject:
    return connected(ConnectedProject(label_studio, "first"), server)


@pytest.fixture(scope="module")
def other_label_studio(workspace: Path) -> Iterator[LabelStudioServer]:
    server = LabelStudioServer(workspace / "other-label-studio")
    try:
        server.start()
        yield server
    finally:
        server.end()


def connected(project: ConnectedProject, server: MLServer) -> ConnectedProject:
    project.import_texts()
    project.connect(server)
    return project


def test_what_one_project_learns_the_other_does_not(
    first: ConnectedProject, label_studio: LabelStudioServer, server: MLServer
):
    second = connected(ConnectedProject(label_studio, "second"), server)
    good, bad, *_ = first.task_ids()
    first.annotate(good, "Positive")
    first.annotate(bad, "Negative")
    assert first.settle() == first.backend().model_version == "0.1.0"
    assert second.ours.live() == second.backend().model_version == "0.0.1"


def test_two_label_studios_with_the_same_project_number_share_nothing(
    first: ConnectedProject, other_label_studio: LabelStudioServer, server: MLServer
):
    namesake = ConnectedProject(other_label_studio, "namesake")
    while namesake.id < first.id:
        namesake = ConnectedProject(other_label_studio, "namesake")
    assert namesake.id == first.id
    connected(namesake, server)
    assert namesake.backend().model_version == namesake.ours.live() == "0.0.1"

    namesake.annotate(namesake.task_ids()[0], "Neutral")
    namesake.settle()
    assert list(namesake.examples().values()) == ["Neutral"]
    assert list(first.examples().values()) == ["Positive", "Negative"]
    assert len(first.ours.events("ANNOTATION_CREATED")) == 2
