"""Workers that start a fresh process for each job."""

import pytest

from tests.faults.system import EACH, assert_nothing_left
from tests.processes import clean_up


@pytest.fixture(params=["a Redis of its own", "the embedded Redis"])
def queue_settings(request, system, tmp_path):
    """Return the settings that lead a worker to its queue."""
    if request.param == "a Redis of its own":
        yield {}
    else:
        yield {"REDIS_URL": "", "VAR_DIR": str(tmp_path / "var")}
        system.clear()
        clean_up(tmp_path / "var")


def test_a_spawning_worker_trains_in_fresh_processes(system, queue_settings):
    for number in (1, 2):
        system.tell(EACH, number)
        system.tell(EACH, number, project=2)
    system.worker("--spawn", **queue_settings)
    system.await_trained()

    assert system.seen(EACH) == system.seen(EACH, project=2) == [1, 2]
    assert_nothing_left(system)
    # A fork would carry the name of the worker's own program.
    assert {line[3] for line in system.trace(EACH)} == {"-c"}
