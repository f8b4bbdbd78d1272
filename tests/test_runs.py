"""Training runs: what they tell while they run, their end, and what operators do to them."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied
from django.db import connections
from django.utils import timezone

from mlserver.embedded.processes import alive
from registry import runs, training
from registry.errors import RunError
from registry.models import Event, ModelVersion, Project, StateEntry, TrainingRun
from registry.state import LiveState
from tests.factories import CREATED, annotation_created, project_json, receive
from tests.histories import made
from tests.processes import eventually
from tests.servers import Worker

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file for which the fits of a test wait."""
    monkeypatch.setattr("registry.monitoring.BEAT_SECONDS", 0.05)
    return tmp_path / "gate"


@pytest.fixture
def waiting(make_backend, queue, gate):
    """Return a function that makes a backend whose fit does something, waits for the gate, and ends."""

    def make(before: str, after: str = "pass") -> str:
        name: str = make_backend(f"""
            import logging, os, sys, time
            from pathlib import Path
            class Waits(LabelStudioMLBase):
                def fit(self, event, data, **kwargs):
                    number = data["annotation"]["id"]
                    {before}
                    deadline = time.monotonic() + 60
                    while not Path({str(gate)!r}).exists() and time.monotonic() < deadline:
                        time.sleep(0.02)
                    {after}
                    self.set("seen", [*(self.get("seen") or []), number])
        """)
        return name

    return make


@pytest.fixture
def learns(make_backend, queue) -> str:
    name: str = make_backend("""
        class Learns(LabelStudioMLBase):
            def fit(self, event, data, **kwargs):
                self.set("seen", [*(self.get("seen") or []), data["annotation"]["id"]])
    """)
    return name


@contextmanager
def draining(gate: Path) -> Iterator[TrainingRun]:
    """Drain beside the test, and yield the run once it runs; the gate is opened at the end."""

    def drain() -> None:
        try:
            training.drain(Project.objects.get().pk)
        finally:
            connections.close_all()

    thread = threading.Thread(target=drain)
    thread.start()
    try:
        eventually(TrainingRun.objects.running().exists)
        yield TrainingRun.objects.running().get()
    finally:
        gate.touch()
        thread.join()


def row(run: TrainingRun) -> TrainingRun:
    return TrainingRun.objects.get(pk=run.pk)


def seen() -> Any:
    state = LiveState(Project.objects.get().pk)
    state.begin("")
    return state.get("seen")


def drain() -> int:
    return training.drain(Project.objects.get().pk)


# --- What a run tells ----------------------------------------------------------------------------


def test_progress_is_on_the_row_while_the_fit_runs(waiting, gate):
    receive(waiting('self.progress(0.4, "epoch 4/10")'), made(1, 1))
    with draining(gate) as run:
        eventually(lambda: row(run).progress == 0.4)
        assert row(run).progress_text == "epoch 4/10"


def test_what_is_printed_and_logged_is_on_the_row_while_the_fit_runs(waiting, gate):
    tells = 'print("loss 0.3"); print("to stderr", file=sys.stderr); logging.getLogger("model").warning("plateau")'
    receive(waiting(tells), made(1, 1))
    with draining(gate) as run:
        eventually(lambda: "plateau" in row(run).log)
        assert "loss 0.3\n" in row(run).log
        assert "to stderr\n" in row(run).log
        assert "WARNING model: plateau" in row(run).log


def test_metrics_are_on_the_row_while_the_fit_runs_and_add_up(waiting, gate):
    receive(waiting('self.log_metrics({"loss": 0.5})', 'self.log_metrics({"accuracy": 0.9})'), made(1, 1))
    with draining(gate) as run:
        eventually(lambda: row(run).metrics == {"loss": 0.5})
    assert row(run).metrics == {"loss": 0.5, "accuracy": 0.9}


def test_the_heartbeat_goes_on_while_the_fit_runs(waiting, gate):
    receive(waiting("pass"), made(1, 1))
    with draining(gate) as run:
        eventually(lambda: (row(run).heartbeat_at or timezone.now()) > (run.heartbeat_at or timezone.now()))


def test_the_row_says_who_runs_it(waiting, gate):
    receive(waiting("pass"), made(1, 1))
    with draining(gate) as run:
        assert " pid " in row(run).worker


def test_the_last_that_a_fit_tells_is_on_the_row_when_it_has_failed(make_backend, queue):
    name = make_backend("""
        class Fails(LabelStudioMLBase):
            def fit(self, event, data, **kwargs):
                self.progress(0.9, "nearly")
                print("the last words")
                raise RuntimeError("no memory")
    """)
    receive(name, made(1, 1))
    drain()
    run = TrainingRun.objects.earliest("id")
    assert (run.status, run.progress, run.log) == ("failed", 0.9, "the last words\n")
    assert "RuntimeError: no memory" in run.traceback


def test_progress_outside_of_0_to_1_is_kept_within(make_backend, queue):
    name = make_backend("""
        class Overshoots(LabelStudioMLBase):
            def fit(self, event, data, **kwargs):
                self.progress(7)
    """)
    receive(name, made(1, 1))
    drain()
    assert TrainingRun.objects.get().progress == 1.0


def test_what_a_fit_prints_may_hold_anything(make_backend, queue):
    name = make_backend("""
        class Prints(LabelStudioMLBase):
            def fit(self, event, data, **kwargs):
                print("nul \\0, lone surrogate \\ud800, ü")
                self.log_metrics({"nan\\0": float("nan")})
                return "nul \\0"
    """)
    receive(name, made(1, 1))
    drain()
    run = TrainingRun.objects.get()
    assert (run.status, run.log, run.metrics) == ("succeeded", "nul , lone surrogate ?, ü\n", {"nan": None})


def test_a_fit_that_takes_longer_than_its_backend_allows_fails(make_backend, queue):
    name = make_backend("""
        import time
        class Slow(LabelStudioMLBase):
            fit_timeout = 1
            def fit(self, event, data, **kwargs):
                if data["annotation"]["id"] == 1:
                    time.sleep(60)
                self.set("seen", [data["annotation"]["id"]])
    """)
    for number in (1, 2):
        receive(name, made(number, number))
    drain()
    assert "FitTimeout" in TrainingRun.objects.filter(status="failed").earliest("id").traceback
    assert seen() == [2]


# --- Cancelling and retrying ---------------------------------------------------------------------


def test_a_cancelled_run_that_waits_is_not_trained_and_those_behind_it_are(learns):
    first = receive(learns, made(1, 1))
    receive(learns, made(2, 2))
    runs.cancel(TrainingRun.objects.get(events=first.event_id), by="ann")
    drain()
    assert list(Event.objects.order_by("id").values_list("status", flat=True)) == ["cancelled", "done"]
    assert seen() == [2]


def test_a_run_cancelled_while_it_runs_commits_nothing(waiting, gate):
    receive(waiting("pass"), made(1, 1))
    with draining(gate) as run:
        runs.cancel(run, by="ann")
    assert row(run).status == "cancelled"
    assert (StateEntry.objects.count(), ModelVersion.objects.count()) == (0, 1)


def test_a_cancelled_fit_is_told_by_its_next_progress(make_backend, queue, gate):
    ended = gate.with_name("ended")
    name = make_backend(f"""
        import time
        from pathlib import Path
        class Reports(LabelStudioMLBase):
            def fit(self, event, data, **kwargs):
                try:
                    while not Path({str(gate)!r}).exists():
                        self.progress(0.5)
                        time.sleep(0.02)
                finally:
                    Path({str(ended)!r}).touch()
    """)
    receive(name, made(1, 1))
    with draining(gate) as run:
        runs.cancel(run, by="ann")
        eventually(ended.exists)
        assert not gate.exists()


def test_cancelling_ends_the_fit_and_the_events_behind_are_trained(waiting, gate, process_env):
    started = gate.with_name("started")
    # The first fit waits for the gate, which the second one opens.
    act = f"Path({str(started)!r}).write_text(str(os.getpid())) if number == 1 else Path({str(gate)!r}).touch()"
    name = waiting(act)
    for number in (1, 2, 3):
        receive(name, made(number, number))
    with Worker(process_env):
        eventually(lambda: started.exists() and started.read_text())
        horse = psutil.Process(int(started.read_text()))
        runs.cancel(TrainingRun.objects.running().get(), by="ann")
        eventually(lambda: not alive(horse))
        eventually(lambda: not Event.objects.pending().exists())
    assert list(Event.objects.order_by("id").values_list("status", flat=True)) == ["cancelled", "done", "done"]
    assert seen() == [2, 3]


def test_a_run_that_is_over_cannot_be_cancelled(learns):
    receive(learns, made(1, 1))
    drain()
    with pytest.raises(RunError, match="is over already: succeeded"):
        runs.cancel(TrainingRun.objects.get(), by="ann")


def test_the_events_of_a_cancelled_run_can_be_tried_again(learns):
    receipt = receive(learns, made(1, 1))
    run = TrainingRun.objects.get(events=receipt.event_id)
    runs.cancel(run, by="ann")
    assert runs.retry(run, by="ann") == 1
    drain()
    assert seen() == [1]
    assert row(run).status == "cancelled"


def test_the_events_of_a_failed_run_have_all_their_attempts_again(make_backend, queue, tmp_path):
    mended = tmp_path / "mended"
    name = make_backend(f"""
        from pathlib import Path
        class Mended(LabelStudioMLBase):
            def fit(self, event, data, **kwargs):
                if not Path({str(mended)!r}).exists():
                    raise RuntimeError("broken")
                self.set("seen", [data["annotation"]["id"]])
    """)
    receive(name, made(1, 1))
    drain()
    mended.touch()
    assert runs.retry(TrainingRun.objects.latest("id"), by="ann") == 1
    drain()
    assert (Event.objects.get().status, Event.objects.get().attempts, seen()) == ("done", 1, [1])


def test_a_run_that_succeeded_cannot_be_tried_again(learns):
    receive(learns, made(1, 1))
    drain()
    with pytest.raises(RunError, match="No event"):
        runs.retry(TrainingRun.objects.get(), by="ann")


@pytest.mark.parametrize("act", [runs.cancel, runs.retry], ids=["cancel", "retry"])
def test_a_user_without_the_permission_may_neither_cancel_nor_retry(learns, act):
    receive(learns, made(1, 1))
    with pytest.raises(PermissionDenied):
        act(TrainingRun.objects.get(), by=get_user_model().objects.create_user("ann"))


# --- Workers that die ----------------------------------------------------------------------------


def test_a_living_run_whose_lock_was_lost_with_its_connection_is_left_alone(waiting, gate):
    started = gate.with_name("started")
    receive(waiting(f"Path({str(started)!r}).touch()"), made(1, 1))
    with draining(gate) as run:
        eventually(started.exists)
        with connections["default"].cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
        eventually(lambda: not advisory_locks())
        assert drain() == 0
        assert row(run).status == "running"
    eventually(lambda: row(run).status == "succeeded")
    assert seen() == [1]


def test_a_run_whose_heartbeat_stopped_is_lost_and_its_event_trained_on_again(learns):
    receipt = receive(learns, made(1, 1))
    run = TrainingRun.objects.get(events=receipt.event_id)
    run.claim("another machine pid 1", "")
    TrainingRun.objects.update(heartbeat_at=timezone.now() - timedelta(hours=1))
    drain()
    assert (row(run).status, seen()) == ("lost", [1])


def advisory_locks() -> int:
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
        return int(cursor.fetchone()[0])


# --- What Label Studio asks ----------------------------------------------------------------------


@pytest.fixture
def post(client, learns, settings):
    settings.ML_BACKEND = learns

    def post(path: str, body: Any) -> Any:
        return client.post(path, body, content_type="application/json")

    return post


def test_train_answers_with_a_job_whose_status_can_be_asked(post):
    answer = post("/train", {"project": f"52.{CREATED}"})
    assert answer.status_code == 201
    status = post("/job_status", {"job": answer.json()["job"]})
    assert (status.status_code, status.json()["job_status"]) == (200, "queued")


def test_the_job_of_a_webhook_can_be_asked_for_until_it_is_finished(post):
    job = post("/webhook", made(1, 1)).json()["job"]
    drain()
    assert post("/job_status", {"job": job}).json()["job_status"] == "finished"


def test_the_button_is_answered_with_a_job(post):
    answer = post("/webhook", {"action": "START_TRAINING", "project": project_json()})
    assert TrainingRun.objects.filter(pk=int(answer.json()["job"])).exists()


@pytest.mark.parametrize("job", ["4711", 4711, "a-uuid", "9" * 40])
def test_a_job_that_is_not_known_any_more_is_gone(post, job):
    answer = post("/job_status", {"job": job})
    assert (answer.status_code, answer.json()["code"]) == (410, "job_removed")


def test_a_merged_run_has_the_status_of_the_run_that_trained_its_event(post):
    job = post("/webhook", made(1, 1)).json()["job"]
    post("/webhook", made(2, 2))
    Project.objects.update(training_policy={"min_annotations": 1})
    drain()
    assert TrainingRun.objects.get(pk=int(job)).status == "merged"
    assert post("/job_status", {"job": job}).json()["job_status"] == "finished"


def test_a_project_is_training_while_events_of_it_wait(post, client):
    post("/webhook", annotation_created(1, "text", "Positive"))
    assert client.get(f"/is_training?project=52.{CREATED}").json() == {"is_training": True}
    drain()
    assert client.get(f"/is_training?project=52.{CREATED}").json() == {"is_training": False}


def test_another_project_is_not_training(post, client):
    post("/webhook", made(1, 1))
    assert client.get("/is_training?project=53").json() == {"is_training": False}
