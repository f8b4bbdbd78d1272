"""One system for all the tests here, empty at the beginning of each."""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.system import System
from tests.processes import clean_up


@pytest.fixture(scope="session")
def _system() -> Iterator[System]:
    with tempfile.TemporaryDirectory(prefix="faults-") as name:
        # The user that Postgres runs under must be able to pass through.
        Path(name).chmod(0o755)
        system = System(Path(name))
        yield system
        system.stop()
        clean_up(Path(name))


@pytest.fixture
def system(_system: System) -> Iterator[System]:
    """Return the running system; what a test starts is ended after it."""
    _system.clear()
    yield _system
    sys.stdout.write(_system.logs)
    _system.clear()
