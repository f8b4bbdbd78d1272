"""The servers that the steps run against, and the report of how long each step took.

`make e2e` sets E2E_SERVER_PYTHON, the Python of the server's environment, and `make e2e-old`
E2E_OLD_LABEL_STUDIO, the program to run in place of the Label Studio installed here. E2E_CHROMIUM names
a browser, and E2E_PICTURES a folder for its pictures: tests/e2e/screenshots holds those of the README.
"""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.label_studio import LabelStudioServer, old_label_studio
from tests.e2e.server import PROJECT, MLServer
from tests.e2e.steps import Steps

ARTIFACTS = PROJECT / "artifacts" / "e2e"

# The order in which a person would come to these.
_JOURNEY = (
    "predictions",
    "training",
    "uncertainty",
    "interactive",
    "settings",
    "separation",
    "access",
    "trouble",
    "browser",
    "wire",
)


@pytest.fixture(scope="session")
def workspace() -> Iterator[Path]:
    """A folder for this run's servers; what they logged is kept in artifacts/."""
    # Not pytest's own: that one is closed to others, and Postgres under root runs as another user.
    folder = Path(tempfile.mkdtemp(prefix="e2e-"))
    folder.chmod(0o755)
    yield folder
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    for log in folder.glob("*.log"):
        shutil.copy(log, ARTIFACTS)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def label_studio(workspace: Path) -> Iterator[LabelStudioServer]:
    """The Label Studio that all steps share: the one installed here, or an old one that is named."""
    server = LabelStudioServer(workspace / "label-studio", **old_label_studio())
    try:
        server.start()
        yield server
    finally:
        server.end()


@pytest.fixture(scope="session")
def server(workspace: Path) -> Iterator[MLServer]:
    """Our server, with the text classifier at `/` and the backends of these tests beside it."""
    server = MLServer(workspace / "var")
    try:
        server.start("--backend", "text_classifier")
        yield server
    finally:
        server.end()


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Steps(_JOURNEY, ARTIFACTS, old=bool(old_label_studio())), "steps")
