"""Events become fits, fits become versions."""

import threading
from datetime import timedelta

import pytest
import redis
from django.db import connections
from django.utils import timezone

from registry import drains, training
from registry.models import Event, ModelVersion, Project, TrainingRun
from registry.state import LiveState
from registry.versions import promote
from tests.factories import a_project, a_version, annotation_created, project_json, receive

pytestmark = pytest.mark.django_db(transaction=True)

COUNTS = """
    class Counts(LabelStudioMLBase):
        def fit(self, event, data, **kwargs):
            self.set("seen", (self.get("seen") or []) + [data["annotation"]["id"]])
            return f"{event} {data['annotation']['id']}"
"""
FAILS_ON_TWO = """
    class Fails(LabelStudioMLBase):
        def fit(self, event, data, **kwargs):
            number = data["annotation"]["id"]
            self.set("seen", (self.get("seen") or []) + [number])
            self.set("model_version", f"after-{number}")
            if number == 2:
                raise RuntimeError("two is bad luck")
"""


def created(number, **project):
    return annotation_created(number, "text", "Positive", **project)


def seen(project):
    state = LiveState(project.pk)
    state.begin("")
    return state.get("seen")


def drain_all():
    for project in Project.objects.all():
        training.drain(project.pk)


def test_events_are_learnt_in_order_each_by_a_version_of_its_own(make_backend, queue):
    name = make_backend(COUNTS)
    for number in (1, 2, 3):
        receive(name, created(number))
    drain_all()
    assert seen(Project.objects.get()) == [1, 2, 3]
    assert list(ModelVersion.objects.order_by("number").values_list("name", flat=True)) == [
        "0.0.1",
        "0.1.0",
        "0.2.0",
        "0.3.0",
    ]
    assert set(Event.objects.values_list("status", flat=True)) == {"done"}


def test_a_run_keeps_what_fit_returned_and_the_version_it_made(make_backend, queue):
    receipt = receive(make_backend(COUNTS), created(7))
    drain_all()
    run = TrainingRun.objects.get(events=receipt.event_id)
    assert (run.status, run.result, run.version.name) == ("succeeded", "ANNOTATION_CREATED 7", "0.1.0")
    assert run.started_at is not None
    assert run.finished_at is not None


def test_a_fit_that_raises_changes_nothing_and_the_next_one_goes_on(make_backend, queue):
    name = make_backend(FAILS_ON_TWO)
    for number in (1, 2, 3):
        receive(name, created(number))
    drain_all()
    assert seen(Project.objects.get()) == [1, 3]
    assert list(Event.objects.order_by("id").values_list("status", "attempts")) == [
        ("done", 1),
        ("failed", 3),
        ("done", 1),
    ]
    assert not ModelVersion.objects.filter(name="after-2").exists()
    assert all("two is bad luck" in run.traceback for run in TrainingRun.objects.filter(status="failed"))


def test_a_fit_that_calls_exit_is_a_failed_run(make_backend, queue):
    name = make_backend("""
        import sys
        class Exits(LabelStudioMLBase):
            def fit(self, event, data, **kwargs):
                sys.exit(3)
    """)
    receive(name, created(1))
    drain_all()
    assert set(TrainingRun.objects.values_list("status", flat=True)) == {"failed"}


def test_a_broken_config_is_told_by_the_run(make_backend, queue):
    receive(make_backend(COUNTS), created(1, label_config="<View"))
    drain_all()
    run = TrainingRun.objects.latest("id")
    assert (run.status, "not well-formed" in run.traceback) == ("failed", True)


def test_a_fit_that_changes_nothing_makes_no_version(make_backend, queue):
    name = make_backend("""
        class Looks(LabelStudioMLBase):
            def fit(self, event, data, **kwargs):
                self.set("key", "same")
    """)
    for number in (1, 2):
        receive(name, created(number))
    drain_all()
    assert ModelVersion.objects.count() == 2


def test_a_fit_names_its_version(make_backend, queue):
    name = make_backend("""
        class Names(LabelStudioMLBase):
            def fit(self, event, data, **kwargs):
                self.set("model_version", "epoch-3")
                self.set("key", self.model_version)
    """)
    receive(name, created(1))
    drain_all()
    project = Project.objects.get()
    assert project.live is not None
    assert project.live.name == "epoch-3"


def test_without_auto_version_a_fit_writes_into_the_live_version(make_backend, queue):
    name = make_backend(COUNTS.replace("def fit", "auto_version = False\n        def fit"))
    receive(name, created(1))
    drain_all()
    assert ModelVersion.objects.count() == 1
    assert seen(Project.objects.get()) == [1]


def test_each_project_learns_from_its_own_events(make_backend, queue):
    name = make_backend(COUNTS)
    for number in (1, 2, 3, 4):
        receive(name, created(number, ls_id=number % 2))
    drain_all()
    assert [seen(project) for project in Project.objects.order_by("ls_id")] == [[2, 4], [1, 3]]


def test_an_event_for_a_class_not_yet_imported_is_sorted_out_by_the_worker(make_backend, queue):
    name = make_backend(COUNTS)
    receipt = receive(name, {"action": "TASKS_CREATED", "tasks": [], "project": project_json()})
    drain_all()
    assert Event.objects.get(pk=receipt.event_id).status == "ignored"


def test_process_event_may_be_overridden_for_other_events(make_backend, queue):
    name = make_backend("""
        class Curious(LabelStudioMLBase):
            def process_event(self, event, data, job_id, additional_params):
                self.set("heard", [event, job_id])
    """)
    receipt = receive(name, {"action": "TASKS_CREATED", "tasks": [], "project": project_json()})
    drain_all()
    state = LiveState(Project.objects.get().pk)
    state.begin("")
    assert state.get("heard") == ["TASKS_CREATED", str(receipt.run_id)]


def test_a_burst_of_events_queues_one_job(make_backend, queue):
    name = make_backend(COUNTS)
    for number in range(5):
        receive(name, created(number))
    assert queue.count == 1


def test_an_event_is_kept_when_the_queue_is_away_and_found_by_the_next_worker(make_backend, queue, monkeypatch):
    name = make_backend(COUNTS)
    nowhere = redis.Redis(unix_socket_path="/nowhere.sock")
    with monkeypatch.context() as patch:
        patch.setattr("django_rq.queues.get_connection", lambda *_, **__: nowhere)
        receipt = receive(name, created(1))
    assert (Event.objects.get(pk=receipt.event_id).status, queue.count) == ("pending", 0)
    assert drains.sweep(trusting=False) == 1
    assert queue.count == 1


def test_the_events_of_a_worker_that_died_are_learnt_by_the_next(make_backend, queue):
    name = make_backend(COUNTS)
    receipt = receive(name, created(1))
    run = TrainingRun.objects.get(events=receipt.event_id)
    assert run.claim("a worker that died", "")
    TrainingRun.objects.update(heartbeat_at=timezone.now() - timedelta(minutes=1))
    drain_all()
    run.refresh_from_db()
    assert run.status == "lost"
    assert seen(Project.objects.get()) == [1]


def test_a_run_that_was_taken_from_its_worker_commits_nothing(make_backend, queue):
    name = make_backend("""
        from registry.models import TrainingRun
        class Robbed(LabelStudioMLBase):
            def fit(self, event, data, job_id, **kwargs):
                self.set("key", "value")
                TrainingRun.objects.get(pk=job_id).lose()
    """)
    receive(name, created(1))
    drain_all()
    assert ModelVersion.objects.count() == 1


def test_an_event_whose_runs_are_always_lost_is_given_up_and_the_next_one_trained(make_backend, queue):
    name = make_backend("""
        from registry.models import TrainingRun
        class Robbed(LabelStudioMLBase):
            def fit(self, event, data, job_id, **kwargs):
                self.set("seen", [data["annotation"]["id"]])
                if data["annotation"]["id"] == 1:
                    TrainingRun.objects.get(pk=job_id).lose()
    """)
    for number in (1, 2):
        receive(name, created(number))
    drain_all()
    assert list(Event.objects.order_by("id").values_list("status", "attempts")) == [("failed", 3), ("done", 1)]
    assert seen(Project.objects.get()) == [2]


def test_a_move_of_the_live_version_during_a_fit_stands_and_the_event_is_learnt_on_it(make_backend, queue):
    name = make_backend("""
        from registry.models import ModelVersion, Promotion
        from registry.versions import promote
        class Interrupted(LabelStudioMLBase):
            def fit(self, event, data, **kwargs):
                self.set("seen", (self.get("seen") or []) + [1])
                if not Promotion.objects.filter(actor="ann").exists():
                    promote(ModelVersion.objects.get(name="good"), by="ann", reason="meanwhile")
    """)
    project = a_project(name)
    good = a_version(project, "good", seen=["good"])
    a_version(project, "bad", seen=["bad"])
    receive(name, created(1))
    drain_all()
    project.refresh_from_db()
    assert project.live is not None
    assert (seen(project), project.live.parent) == (["good", 1], good)


def test_only_one_process_drains_a_project(make_backend, queue):
    receive(make_backend(COUNTS), created(1))
    project = Project.objects.get()
    held, done = threading.Event(), threading.Event()

    def hold():
        with drains.sole(project.pk) as alone:
            assert alone
            held.set()
            done.wait(10)
        connections.close_all()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(10)
    assert training.drain(project.pk) == 0
    done.set()
    thread.join()
    assert training.drain(project.pk) == 1


def test_a_rolled_back_version_is_what_the_next_fit_starts_from(make_backend, queue):
    name = make_backend(COUNTS)
    for number in (1, 2, 3):
        receive(name, created(number))
    drain_all()
    promote(ModelVersion.objects.get(name="0.1.0"), by="ann", reason="3 was wrong")
    receive(name, created(4))
    drain_all()
    assert seen(Project.objects.get()) == [1, 4]
