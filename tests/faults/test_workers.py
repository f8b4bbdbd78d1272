"""Workers that are killed, workers side by side, and fits that fail."""

import pytest

from tests.faults.system import EACH, assert_nothing_left
from tests.processes import eventually
from tests.servers import Worker


def kill_the_worker_and_its_horse(worker: Worker) -> None:
    worker.kill()


def kill_the_horse(worker: Worker) -> None:
    for horse in worker.children():
        horse.kill()


def kill_the_worker_alone(worker: Worker) -> None:
    worker.process.kill()


@pytest.mark.parametrize(
    ("kill", "lost"), [(kill_the_worker_and_its_horse, 1), (kill_the_horse, 1), (kill_the_worker_alone, 0)]
)
def test_a_fit_whose_process_is_killed_is_begun_again_and_nothing_is_trained_twice(system, kill, lost):
    numbers = [1, 2, 3]
    for number in numbers:
        system.tell(EACH, number, "slow" if number == 2 else "text")
    worker = system.worker()
    system.await_fit(EACH, count=2)

    kill(worker)
    system.worker()
    system.await_trained()

    assert system.seen(EACH) == numbers
    assert system.count("trainingrun", status="lost") == lost
    assert_nothing_left(system)


def test_two_workers_never_fit_one_project_at_once(system):
    for _ in range(2):
        system.worker()
    for number in range(1, 31):
        system.tell(EACH, number)
        system.tell(EACH, number, project=2)
    system.await_trained()

    for project in ("1", "2"):
        fits = [line for line in system.trace(EACH) if line[1] == project]
        assert [line[0] for line in fits] == ["begin", "end"] * 30
    assert system.seen(EACH) == system.seen(EACH, project=2) == list(range(1, 31))


def test_an_event_whose_fit_always_raises_is_given_up_and_those_behind_it_are_trained(system):
    poison = system.tell(EACH, 1, "poison")
    system.tell(EACH, 2)
    system.worker()
    eventually(lambda: not system.count("event", status="pending"))

    assert system.query("SELECT status, attempts FROM registry_event ORDER BY id") == [("failed", 3), ("done", 1)]
    assert system.query("SELECT count(*) FROM registry_event WHERE id = %s AND status = 'failed'", poison) == [(1,)]
    assert system.seen(EACH) == [2]
