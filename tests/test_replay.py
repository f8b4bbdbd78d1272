"""Stored events are trained on again when an operator says so."""

import threading
from io import StringIO

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.core.management import CommandError, call_command
from django.db import connections

from registry import events, training
from registry.models import Event, Project, TrainingRun
from registry.state import LiveState
from tests.factories import a_project, annotation_created, receive
from tests.processes import eventually

pytestmark = pytest.mark.django_db(transaction=True)

COUNTS = """
    class Counts(LabelStudioMLBase):
        def fit(self, event, data, **kwargs):
            self.set("seen", (self.get("seen") or []) + [data["annotation"]["id"]])
"""


@pytest.fixture
def trained(make_backend, queue):
    """A project that has learnt from three events, the last of which happened first."""
    name = make_backend(COUNTS)
    for number, hour in ((1, "11"), (2, "12"), (3, "10")):
        payload = annotation_created(number, "text", "Positive")
        payload["annotation"]["updated_at"] = f"2026-11-23T{hour}:00:00Z"
        receive(name, payload)
    project = Project.objects.get()
    training.drain(project.pk)
    queue.empty()
    return project


def replay(*arguments):
    output = StringIO()
    call_command("replay", *arguments, stdout=output)
    return output.getvalue()


def seen(project):
    state = LiveState(project.pk)
    state.begin("")
    return state.get("seen")


def statuses():
    return sorted(Event.objects.values_list("status", flat=True))


def test_a_dry_run_says_what_would_be_trained_on_and_does_nothing(trained, queue):
    text = replay("--project", "52", "--dry-run")
    assert "ANNOTATION_CREATED             3" in text
    assert "learnt on   0.3.0, which is live" in text
    assert (statuses(), queue.count) == (["done"] * 3, 0)


def test_events_are_learnt_again_on_the_live_version_in_the_order_they_happened(trained, queue):
    assert "3 events wait" in replay("--project", "52", "--no-wait")
    assert queue.count == 1
    training.drain(trained.pk)
    assert seen(trained) == [3, 1, 2, 3, 1, 2]


def test_a_fresh_replay_learns_from_nothing_and_says_so_in_the_ledger(trained):
    assert "new version that has learnt nothing" in replay(
        "--project", f"52.{trained.ls_created}", "--fresh", "--no-wait"
    )
    assert trained.promotions.latest("id").actor == "./manage.py replay"
    training.drain(trained.pk)
    assert seen(trained) == [3, 1, 2]


def test_events_are_chosen_by_id_name_and_time(trained):
    first = Event.objects.earliest("id")
    assert "ANNOTATION_CREATED             1" in replay("--project", "52", "--event", str(first.pk), "--dry-run")
    assert "No event" in replay("--project", "52", "--action", "TASKS_CREATED", "--dry-run")
    assert "No event" in replay("--project", "52", "--until", "2020-01-01", "--dry-run")
    Event.objects.filter(pk=first.pk).update(received_at="2020-01-01T12:00Z")
    chosen = ("--project", "52", "--since", "2020-01-01T11:00+00:00", "--until", "2020-01-01", "--dry-run")
    assert "ANNOTATION_CREATED             1   received 2020-01-01 12:00" in replay(*chosen)


def test_duplicates_and_what_waits_are_left_out_by_name(trained):
    payload = annotation_created(1, "text", "Positive")
    payload["annotation"]["updated_at"] = "2026-11-23T11:00:00Z"
    receive(trained.backend, payload)
    receive(trained.backend, annotation_created(4, "text", "Positive"))
    text = replay("--project", "52", "--no-wait")
    assert "1   delivered before" in text
    assert "1   waits for its training run" in text
    assert statuses() == ["duplicate", *["pending"] * 4]


def test_the_command_follows_the_training_to_its_end(trained):
    def work():
        eventually(lambda: Event.objects.pending().exists())
        training.drain(trained.pk)
        connections.close_all()

    worker = threading.Thread(target=work)
    worker.start()
    text = replay("--project", "52", "--fresh")
    worker.join()
    assert "3 trained on" in text
    assert text.endswith("0.7.0 is live.\n")


def test_the_command_does_not_wait_for_ever_where_nobody_trains(trained):
    with pytest.raises(CommandError, match=r"3 events wait, and nothing was trained .* rqworker"):
        replay("--project", "52", "--patience", "0.1")
    assert statuses() == ["pending"] * 3


def test_a_number_that_several_projects_have_is_asked_about(trained):
    other = a_project("text_classifier", title="Other")
    with pytest.raises(CommandError) as caught:
        replay("--project", "52")
    for project in (trained, other):
        assert f"--project 52.{project.ls_created} --backend {project.backend}" in str(caught.value)
    assert "Other #52" in replay("--project", "52", "--backend", "text_classifier")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--project", "53"], "There is no project 53. There are:\n  --project 52."),
        (["--project", "fifty"], "project must be the text that Label Studio sends"),
        (["--project", "52", "--event", "999999999"], "Not among the events chosen"),
        (["--project", "52", "--since", "yesterday"], "is no time; write 2026-11-23"),
        (["--project", "52", "--since", "2026-13-01"], "is no time; write 2026-11-23"),
    ],
)
def test_what_cannot_be_meant_is_said(trained, arguments, reason):
    with pytest.raises(CommandError) as caught:
        replay(*arguments)
    assert reason in str(caught.value)


def test_an_event_that_was_given_up_has_all_its_attempts_again(trained):
    Event.objects.update(status="failed", attempts=3)
    events.replay(Event.objects.all(), by="ann")
    assert Event.objects.filter(status="pending", attempts=0, run=None).count() == 3
    assert TrainingRun.objects.count() == 3


def test_a_user_without_the_permission_may_not(trained):
    with pytest.raises(PermissionDenied):
        events.replay(Event.objects.all(), by=User.objects.create_user("bob"))
    assert statuses() == ["done"] * 3
