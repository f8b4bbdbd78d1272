"""Ten thousand webhooks at once, while fits run."""

import asyncio
import json
from collections.abc import Iterator

from bench.delivery import Answer, Delivery, deliver
from tests.factories import predict_json
from tests.faults.system import TOGETHER, assert_trained_once, webhook

EVENTS = 10_000
PROJECTS = 20
CONNECTIONS = 50
WORKERS = 2
# Every so many webhooks somebody asks for the health, and for a prediction.
_ASKED = 20


def requests() -> Iterator[Delivery]:
    predict = json.dumps(predict_json("text")).encode()
    for number in range(1, EVENTS + 1):
        yield webhook(TOGETHER, number, project=1 + number % PROJECTS)
        if number % _ASKED == 0:
            yield Delivery("/health")
            yield Delivery(f"/{TOGETHER}/predict", predict)


def test_a_burst_over_many_projects_is_trained_on_once_in_order_by_a_bounded_number_of_runs(system):
    for _ in range(WORKERS):
        system.worker()
    answers: list[Answer] = []
    asyncio.run(deliver(system.web.port, requests(), CONNECTIONS, answers))
    system.await_trained(seconds=90)

    webhooks = [answer for answer in answers if answer.delivery.number]
    assert {answer.status for answer in webhooks} == {201}
    assert len(webhooks) == EVENTS
    assert {answer.status for answer in answers if not answer.delivery.number} == {200}
    assert_trained_once(system, TOGETHER, webhooks)
    assert sum(len(system.seen(TOGETHER, project)) for project in range(1, PROJECTS + 1)) == EVENTS
    assert system.count("trainingrun", status="succeeded") < EVENTS / 5
