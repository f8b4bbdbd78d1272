"""Redis and Postgres that die under load, and a web server that does."""

import pytest

from tests.faults.stream import Stream
from tests.faults.system import EACH, TOGETHER, assert_nothing_left, assert_trained_once
from tests.processes import eventually


def test_what_a_killed_web_server_had_answered_is_trained_on(system):
    system.worker()
    with Stream(system.web.port, TOGETHER) as stream:
        system.await_fit(TOGETHER, count=5)
        system.restart_web()
        stream.await_answers(30)
    system.await_trained()

    assert_trained_once(system, TOGETHER, stream.answers)


def test_webhooks_are_accepted_without_redis_and_trained_on_when_it_is_back_and_empty(system):
    worker = system.worker()
    system.tell(EACH, 1, "slow")
    system.await_fit(EACH)
    with Stream(system.web.port, TOGETHER) as stream:
        stream.await_answers(20)
        system.kill_redis()
        eventually(lambda: system.trace(EACH)[-1][0] == "end")
        # Long enough for the worker to look after the fit that has ended.
        stream.await_answers(100)
        system.start_redis()
        stream.await_answers(20)
    system.await_trained()

    assert {answer.status for answer in stream.answers} == {201}
    assert_trained_once(system, TOGETHER, stream.answers)
    assert system.seen(EACH) == [1]
    assert worker.process.poll() is None, worker.log


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_webhooks_are_accepted_or_refused_in_words_while_postgres_restarts(system, mode):
    worker = system.worker()
    with Stream(system.web.port, TOGETHER) as stream:
        system.await_fit(TOGETHER, count=5)
        system.restart_postgres(mode)
        stream.await_answers(30)
    system.await_trained()

    refused = {
        (answer.status, answer.headers.get("retry-after"), (answer.data or {}).get("code"), answer.error)
        for answer in stream.answers
        if answer.status != 201
    }
    assert refused <= {(503, "5", "database_unavailable", "")}
    assert_trained_once(system, TOGETHER, stream.answers)
    assert worker.process.poll() is None, worker.log


def test_a_worker_started_while_postgres_is_away_waits_for_it(system):
    system.tell(EACH, 1)
    system.stop_postgres()
    worker = system.worker()
    eventually(lambda: "cannot be reached" in worker.log)
    system.start_postgres()
    system.await_trained()

    assert system.seen(EACH) == [1]
    assert_nothing_left(system)
    assert worker.process.poll() is None, worker.log
