"""Webhooks are stored first; each is trained on once, in the order in which it happened."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connections

from registry import drains, training
from registry.models import Event, Project, TrainingRun
from tests.factories import annotation_created, project_json, receive
from tests.histories import at, button, changed, deleted, made, made_in_bulk

pytestmark = pytest.mark.django_db(transaction=True)

KEEPS = """
    class Keeps(LabelStudioMLBase):
        TRAIN_EVENTS = (*LabelStudioMLBase.TRAIN_EVENTS, "PROJECT_UPDATED")
        def fit(self, event, data, **kwargs):
            annotation = data.get("annotation")
            said = annotation["id"] if isinstance(annotation, dict) else event
            self.set("seen", [*(self.get("seen") or []), said])
"""


@pytest.fixture
def backend(make_backend, queue):
    name: str = make_backend(KEEPS)
    return name


def drain():
    for project in Project.objects.all():
        training.drain(project.pk)


def seen():
    from registry.state import LiveState

    state = LiveState(Project.objects.get().pk)
    state.begin("")
    return state.get("seen")


def statuses():
    return list(Event.objects.order_by("id").values_list("status", flat=True))


def test_a_redelivered_event_is_kept_and_not_trained_on(backend):
    for _ in range(3):
        receive(backend, made(1, 1))
    drain()
    assert statuses() == ["done", "duplicate", "duplicate"]
    assert TrainingRun.objects.get().status == "succeeded"
    assert seen() == [1]


def test_a_redelivery_is_answered_with_the_run_of_the_first(backend):
    first, again = receive(backend, made(1, 1)), receive(backend, made(1, 1))
    assert (again.status, again.run_id) == ("duplicate", first.run_id)
    assert TrainingRun.objects.count() == 1


def test_a_redelivery_after_the_training_is_not_trained_on(backend):
    receive(backend, made(1, 1))
    drain()
    receive(backend, made(1, 1))
    drain()
    assert seen() == [1]


@pytest.mark.parametrize(
    "event", [changed(1, 1, "Negative"), made_in_bulk(1, (1, 1), (2, 2)), deleted(1, 2)], ids=lambda e: e["action"]
)
def test_every_kind_of_event_about_annotations_is_known_again(backend, event):
    assert [receive(backend, event).status for _ in range(2)] == ["pending", "duplicate"]


def test_the_annotations_of_a_redelivered_bulk_event_may_come_in_another_order(backend):
    receive(backend, made_in_bulk(1, (1, 1), (2, 2)))
    assert receive(backend, made_in_bulk(1, (2, 2), (1, 1))).status == "duplicate"


def test_two_changes_of_one_annotation_are_two_events(backend):
    receive(backend, changed(1, 1, "Positive"))
    assert receive(backend, changed(1, 2, "Positive")).status == "pending"


def test_the_creation_and_an_update_of_the_same_moment_are_two_events(backend):
    receive(backend, made(1, 1))
    assert receive(backend, changed(1, 1, "Positive")).status == "pending"


def test_the_training_button_is_never_a_redelivery(backend):
    assert [receive(backend, button()).status for _ in range(2)] == ["pending", "pending"]


def test_an_annotation_without_a_time_is_never_a_redelivery(backend):
    event = annotation_created(1, "text", "Positive")
    assert [receive(backend, event).status for _ in range(2)] == ["pending", "pending"]


def test_the_same_event_of_another_project_is_no_redelivery(backend):
    receive(backend, made(1, 1))
    assert receive(backend, made(1, 1) | {"project": project_json(53)}).status == "pending"


def test_of_deliveries_at_the_same_time_one_is_trained_on(backend):
    def deliver(_: int) -> str:
        try:
            return receive(backend, made(1, 1)).status
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        answers = sorted(pool.map(deliver, range(8)))
    assert answers == ["duplicate"] * 7 + ["pending"]


def test_events_are_trained_on_in_the_order_in_which_they_happened(backend):
    for number in (3, 1, 4, 2):
        receive(backend, made(number, number))
    drain()
    assert seen() == [1, 2, 3, 4]


def test_an_event_without_a_time_follows_all_that_came_before_it(backend):
    for event in (made(3, 3), made(1, 1), button(), made(2, 2)):
        receive(backend, event)
    drain()
    assert seen() == [1, 2, 3, "START_TRAINING"]


def test_an_event_of_another_time_zone_has_its_place_too(backend):
    early = made(1, 0)
    early["annotation"]["updated_at"] = at(5).replace("08:", "10:").replace("Z", "+02:00")
    for event in (made(2, 6), early, made(3, 4)):
        receive(backend, event)
    drain()
    assert seen() == [3, 1, 2]


def test_an_event_that_was_given_up_stays_so_when_it_is_redelivered(make_backend, queue):
    name = make_backend("""
        class Refuses(LabelStudioMLBase):
            def fit(self, event, data, **kwargs):
                raise RuntimeError("never")
    """)
    receive(name, made(1, 1))
    drain()
    receive(name, made(1, 1))
    drain()
    assert statuses() == ["failed", "duplicate"]


def test_every_body_is_kept_whole(backend):
    event = made(1, 1) | {"future": {"field": "of a newer Label Studio"}}
    receipt = receive(backend, event)
    assert Event.objects.get(pk=receipt.event_id).payload == event


def test_events_received_by_many_threads_queue_one_job(backend, queue):
    def deliver(number: int) -> None:
        try:
            receive(backend, made(number, number))
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(deliver, range(1, 41)))
    assert (queue.count, Event.objects.pending().count()) == (1, 40)
    drain()
    assert seen() == list(range(1, 41))


def test_an_event_that_comes_while_a_job_runs_queues_another(backend, queue):
    receive(backend, made(1, 1))
    drains.begin(Project.objects.get().pk)
    for number in (2, 3):
        receive(backend, made(number, number))
    assert queue.count == 2


def test_a_job_that_the_queue_has_lost_is_queued_again_after_a_while(backend, queue, settings):
    receive(backend, made(1, 1))
    queue.empty()
    assert drains.sweep() == 0
    settings.REQUEUE_SECONDS = 0
    assert (drains.sweep(), queue.count) == (1, 1)


def test_the_next_event_of_a_project_makes_good_for_a_lost_job(backend, queue, settings):
    receive(backend, made(1, 1))
    queue.empty()
    settings.REQUEUE_SECONDS = 0
    receive(backend, made(2, 2))
    assert queue.count == 1
