"""When events are trained on: each by a fit of its own, or many by one."""

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from backends import TrainingPolicy
from registry import drains, policies, training
from registry.errors import PolicyError
from registry.models import Event, Project, TrainingRun
from registry.state import LiveState
from tests.factories import a_project, receive
from tests.histories import button, deleted, made, made_in_bulk, tasks_deleted

pytestmark = pytest.mark.django_db(transaction=True)

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def after(seconds):
    return NOON + timedelta(seconds=seconds)


@pytest.fixture
def backend(make_backend, queue):
    """Return a function that makes a backend of that policy, which keeps what each fit was given."""

    def make(policy: str) -> str:
        name: str = make_backend(f"""
            from backends import TrainingPolicy
            class Keeps(LabelStudioMLBase):
                training_policy = {policy}
                def fit(self, event, data, events=None, **kwargs):
                    def number(said):
                        return said["annotation"]["id"] if "annotation" in said else said["action"]
                    fits = self.get("fits") or []
                    fits.append([number({{"action": event, **data}}), [number(said) for said in events or []]])
                    self.set("fits", fits)
        """)
        return name

    return make


def fits():
    state = LiveState(Project.objects.get().pk)
    state.begin("")
    return state.get("fits")


def drain():
    return training.drain(Project.objects.get().pk)


def received_earlier(seconds):
    """Let the waiting events have come that many seconds ago."""
    Event.objects.pending().update(received_at=timezone.now() - timedelta(seconds=seconds))


def test_events_are_due_once_there_are_enough_annotations():
    policy = TrainingPolicy(min_annotations=5)
    assert policy.due_at(4, NOON, after(1)) is None
    assert policy.due_at(5, NOON, after(1)) == after(1)


def test_a_quiet_period_begins_with_the_newest_event():
    assert TrainingPolicy(quiet_seconds=30).due_at(1, NOON, after(7)) == after(37)


def test_the_longest_wait_begins_with_the_oldest_event():
    policy = TrainingPolicy(min_annotations=100, max_wait_seconds=60)
    assert policy.due_at(1, NOON, after(50)) == after(60)


def test_the_longest_wait_ends_a_quiet_period_that_never_comes():
    policy = TrainingPolicy(quiet_seconds=30, max_wait_seconds=60)
    assert policy.due_at(1, NOON, after(59)) == after(60)


def test_only_the_button_starts_a_fit_where_the_policy_says_so():
    assert TrainingPolicy(only_on_start=True, max_wait_seconds=1).due_at(1000, NOON, after(9999)) is None


def test_each_event_has_a_fit_of_its_own_unless_something_else_is_said(backend):
    name = backend("LabelStudioMLBase.training_policy")
    for number in (1, 2):
        receive(name, made(number, number))
    assert drain() == 2
    assert fits() == [[1, []], [2, []]]


def test_a_coalesced_fit_gets_the_last_event_and_all_of_them(backend):
    name = backend("TrainingPolicy()")
    for number in (2, 3, 1):
        receive(name, made(number, number))
    assert drain() == 1
    assert fits() == [[3, [1, 2, 3]]]
    assert set(Event.objects.values_list("status", flat=True)) == {"done"}


def test_a_coalesced_fit_of_a_single_event_gets_it_as_a_batch_too(backend):
    receive(backend("TrainingPolicy()"), made(1, 1))
    drain()
    assert fits() == [[1, [1]]]


def test_deleted_tasks_are_trained_on_without_waiting_for_an_annotation(queue):
    receive("text_classifier", made(1, 1))
    drain()
    receive("text_classifier", tasks_deleted(1))
    assert drain() == 1
    assert TrainingRun.objects.latest("pk").metrics == {"examples": 0.0}


def test_a_fit_waits_for_enough_annotations(backend):
    name = backend("TrainingPolicy(min_annotations=3)")
    for number in (1, 2):
        receive(name, made(number, number))
        assert drain() == 0
    receive(name, made(3, 3))
    assert drain() == 1
    assert fits() == [[3, [1, 2, 3]]]


def test_a_bulk_event_counts_as_many_annotations_as_it_holds(make_backend, queue):
    name = make_backend("""
        from backends import TrainingPolicy
        class Waits(LabelStudioMLBase):
            training_policy = TrainingPolicy(min_annotations=3)
            def fit(self, event, data, **kwargs):
                pass
    """)
    receive(name, made_in_bulk(1, (1, 1), (2, 2)))
    assert drain() == 0
    receive(name, made(3, 3))
    assert drain() == 1


def test_a_fit_waits_for_quiet(backend):
    receive(backend("TrainingPolicy(quiet_seconds=60)"), made(1, 1))
    assert drain() == 0
    received_earlier(61)
    assert drain() == 1


def test_a_fit_waits_no_longer_than_the_longest_wait(backend):
    receive(backend("TrainingPolicy(min_annotations=100, max_wait_seconds=60)"), made(1, 1))
    assert drain() == 0
    received_earlier(61)
    assert drain() == 1


def test_the_sweeper_leaves_a_project_alone_until_its_fit_is_due(backend, queue):
    receive(backend("TrainingPolicy(quiet_seconds=60)"), made(1, 1))
    queue.empty()
    drain()
    assert drains.sweep() == 0
    Project.objects.update(drain_not_before=timezone.now() - timedelta(seconds=1))
    assert drains.sweep() == 1


def test_nothing_but_the_button_trains_where_the_policy_says_so(backend):
    name = backend("TrainingPolicy(only_on_start=True)")
    receive(name, made(1, 1))
    received_earlier(86_400)
    assert drain() == 0
    receive(name, button())
    assert drain() == 1
    assert fits() == [["START_TRAINING", [1, "START_TRAINING"]]]


def test_the_button_waits_for_nothing(backend):
    name = backend("TrainingPolicy(min_annotations=100, quiet_seconds=3600)")
    for event in (made(1, 1), button()):
        receive(name, event)
    assert drain() == 1


def test_an_operators_policy_goes_before_that_of_the_class(backend):
    name = backend("TrainingPolicy(min_annotations=100)")
    for number in (1, 2):
        receive(name, made(number, number))
    Project.objects.update(training_policy={"every_event": True})
    assert drain() == 2


def test_an_operators_policy_is_read_when_the_events_are_trained_on(backend):
    name = backend("LabelStudioMLBase.training_policy")
    for number in (1, 2):
        receive(name, made(number, number))
    Project.objects.update(training_policy={"min_annotations": 2})
    assert drain() == 1


@pytest.mark.parametrize(
    ("policy", "field"),
    [
        ({"min_annotations": 0}, "min_annotations"),
        ({"speed": "fast"}, "speed"),
        ({"quiet_seconds": -1}, "quiet_seconds"),
    ],
)
def test_a_policy_that_cannot_be_is_refused_by_its_fields_name(policy, field):
    with pytest.raises(PolicyError, match=field):
        policies.training(a_project(training_policy=policy))


def test_the_runs_of_coalesced_events_are_merged_into_the_one_that_trained(backend):
    name = backend("TrainingPolicy()")
    runs = [receive(name, made(number, number)).run_id for number in (1, 2, 3)]
    drain()
    found = list(TrainingRun.objects.order_by("id").values_list("id", "status", "merged_into"))
    assert found == [(runs[0], "merged", runs[2]), (runs[1], "merged", runs[2]), (runs[2], "succeeded", None)]


def test_events_that_come_during_a_fit_are_trained_on_by_the_next_one(make_backend, queue):
    name = make_backend("""
        from backends import TrainingPolicy
        from tests.factories import receive
        from tests.histories import made
        class Interrupted(LabelStudioMLBase):
            training_policy = TrainingPolicy()
            def fit(self, event, data, events, **kwargs):
                batch = [said["annotation"]["id"] for said in events]
                if batch == [1]:
                    for number in (2, 3):
                        receive(__name__.split(".")[-2], made(number, number))
                self.set("fits", [*(self.get("fits") or []), batch])
    """)
    receive(name, made(1, 1))
    assert drain() == 2
    assert fits() == [[1], [2, 3]]
    assert queue.count == 2


def test_a_coalesced_fit_that_fails_is_tried_again_with_its_events_and_then_given_up(make_backend, queue):
    name = make_backend("""
        from backends import TrainingPolicy
        class Refuses(LabelStudioMLBase):
            training_policy = TrainingPolicy()
            def fit(self, event, data, **kwargs):
                raise RuntimeError("never")
    """)
    for number in (1, 2):
        receive(name, made(number, number))
    drain()
    assert list(Event.objects.values_list("status", "attempts")) == [("failed", 3), ("failed", 3)]


def test_deletions_alone_are_counted_as_annotations_that_changed(backend):
    receive(backend("TrainingPolicy(min_annotations=2)"), deleted(1, 2))
    assert drain() == 1
