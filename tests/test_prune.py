"""What is too old goes, and nothing that anybody could still need."""

import threading
from datetime import timedelta
from io import StringIO

import django_rq
import pytest
from django.core.management import call_command
from django.db import connection, connections, transaction
from django.utils import timezone

from registry import entries, failures, jobs, pruning, versions
from registry.codec import encode
from registry.errors import VersionError
from registry.models import Blob, Event, Failure, ModelVersion, Project, Promotion, StateEntry, TrainingRun
from tests.factories import a_project, a_version, annotation_created, receive
from tests.processes import eventually

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _keeps_little(settings):
    settings.KEEP_EVENTS_DAYS = settings.KEEP_RUNS_DAYS = settings.KEEP_FAILURES_DAYS = 10
    settings.KEEP_VERSIONS = 3


def days_ago(days):
    return timezone.now() - timedelta(days=days)


def an_event(project, days, status="done", run=None):
    event = Event.objects.create(
        project=project, action="X", body=b"{}", status=status, run=run, happened_at=days_ago(0)
    )
    Event.objects.filter(pk=event.pk).update(received_at=days_ago(days))
    return event


def a_run(project, days, status="succeeded"):
    run = TrainingRun.objects.create(project=project, status=status)
    TrainingRun.objects.filter(pk=run.pk).update(created_at=days_ago(days))
    return run


def age_the_ledger(days):
    """Make every move as old as that. The ledger itself allows no such thing."""
    Promotion.objects.update(created_at=days_ago(days))


def some_versions(project, count):
    return [a_version(project, f"v{number}", large=f"{number}" * 10_000) for number in range(1, count + 1)]


def orphan(text, hours):
    blob = Blob.objects.create(digest=encode("key", text).digest, data=text.encode(), size=len(text))
    Blob.objects.filter(pk=blob.pk).update(stored_at=timezone.now() - timedelta(hours=hours))
    return blob


def names_with_state():
    return sorted(set(StateEntry.objects.values_list("version__name", flat=True)))


def test_old_events_go_and_those_that_wait_stay():
    project = a_project()
    old, waiting, new = an_event(project, 11), an_event(project, 11, "pending"), an_event(project, 9)
    assert pruning.prune().events == 1
    assert set(Event.objects.all()) == {waiting, new}
    assert old.pk not in Event.objects.values_list("pk", flat=True)


def test_old_runs_go_unless_unfinished_waited_for_or_of_a_kept_version():
    project = a_project()
    kept = [
        a_run(project, 11, "queued"),
        a_run(project, 11, "running"),
        a_run(project, 9),
        a_run(project, 11, "failed"),
    ]
    an_event(project, 11, "pending", run=kept[3])
    maker = a_run(project, 11)
    ModelVersion.objects.create(project=project, number=1, name="made", run=maker)
    gone = a_run(project, 11, "failed")
    event = an_event(project, 1, "failed", run=gone)
    assert pruning.prune().runs == 1
    assert set(TrainingRun.objects.all()) == {*kept, maker}
    assert Event.objects.get(pk=event.pk).run is None


def test_failures_not_seen_for_long_go():
    for code in ("old", "new"):
        failures.record(failures.Problem("text_classifier", "predict", "POST /predict", 400, code, "x"))
    Failure.objects.filter(code="old").update(last_seen=days_ago(11))
    assert pruning.prune().failures == 1
    assert Failure.objects.get().code == "new"


def test_versions_beyond_the_count_lose_their_state_and_keep_their_name(monkeypatch):
    monkeypatch.setattr(pruning, "REACH_MOVES", 2)
    project = a_project()
    some_versions(project, 6)
    age_the_ledger(31)
    assert pruning.prune().versions == 4  # and the initial one
    assert names_with_state() == ["v4", "v5", "v6"]
    assert ModelVersion.objects.filter(pruned_at=None).count() == 3
    assert (ModelVersion.objects.count(), Promotion.objects.count()) == (7, 7)
    assert ModelVersion.objects.get(name="v4").parent.name == "v3"
    assert pruning.prune().versions == 0


def test_what_the_ledger_reaches_keeps_its_state(monkeypatch):
    monkeypatch.setattr(pruning, "REACH_MOVES", 2)
    project = a_project()
    made = some_versions(project, 8)
    age_the_ledger(31)
    versions.promote(made[0], by="ann", reason="back")
    age_the_ledger(40)
    versions.promote(made[1], by="ann", reason="on")
    pruning.prune()
    # The live one, where each of the latest two moves came from, and the newest three.
    assert names_with_state() == ["v1", "v2", "v6", "v7", "v8"]


def test_versions_that_were_live_this_month_keep_their_state():
    project = a_project()
    some_versions(project, 30)
    assert pruning.prune().versions == 0
    age_the_ledger(31)
    assert pruning.prune().versions == 10  # beyond the 20 latest moves: the initial one, v1 to v9
    assert Project.objects.get().live.name in names_with_state()


def test_a_pruned_version_cannot_be_made_live(monkeypatch):
    monkeypatch.setattr(pruning, "REACH_MOVES", 1)
    project = a_project()
    first = some_versions(project, 6)[0]
    age_the_ledger(31)
    pruning.prune()
    with pytest.raises(VersionError, match="was pruned"):
        versions.promote(first, by="ann", reason="back")
    assert "v1" not in versions.names(project.backend)
    assert versions.next_free_name(project.pk, "v0") == "v7"


def test_blobs_that_nobody_refers_to_go_after_an_hour():
    a_version(a_project(), large="x" * 10_000)
    Blob.objects.update(stored_at=days_ago(2))
    orphan("old", hours=2)
    young = orphan("young", hours=0)
    assert pruning.prune().blobs == 1
    assert set(Blob.objects.all()) == {young, StateEntry.objects.get(key="large").blob}


def test_the_blobs_of_pruned_versions_go_with_them_and_a_dry_run_counts_the_same(monkeypatch):
    monkeypatch.setattr(pruning, "REACH_MOVES", 1)
    project = a_project()
    some_versions(project, 6)
    an_event(project, 11)
    age_the_ledger(31)
    Blob.objects.update(stored_at=days_ago(2))
    counted = pruning.prune(dry_run=True)
    assert Event.objects.count() + Blob.objects.count() == 7
    assert pruning.prune() == counted
    assert (counted.versions, counted.blobs, Blob.objects.count()) == (4, 3, 3)


def test_an_old_blob_that_a_commit_takes_up_again_stays():
    text = "z" * 10_000
    orphan(text, hours=5)
    version = a_version(a_project())
    removed = []

    def prune():
        removed.append(pruning.prune().blobs)
        connections.close_all()

    with transaction.atomic():
        entries.write(version, {"large": encode("large", text)})
        thread = threading.Thread(target=prune)
        thread.start()
        eventually(lambda: waits_for_a_lock() or removed)
    thread.join()
    assert removed == [0]
    assert Blob.objects.get().entries.get().key == "large"


def waits_for_a_lock():
    """Return whether a pruning waits for what this test's transaction holds."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE %s"
    with connection.cursor() as cursor:
        # What it shows is otherwise the same for the whole transaction.
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute(waiting, ["%DELETE FROM registry_blob%"])
        return cursor.fetchone()[0]


def test_zero_keeps_for_ever(settings, monkeypatch):
    monkeypatch.setattr(pruning, "REACH_MOVES", 1)
    settings.KEEP_EVENTS_DAYS = settings.KEEP_RUNS_DAYS = settings.KEEP_FAILURES_DAYS = settings.KEEP_VERSIONS = 0
    project = a_project()
    some_versions(project, 6)
    age_the_ledger(5000)
    an_event(project, 5000)
    a_run(project, 5000)
    assert pruning.prune() == pruning.Pruned(0, 0, 0, 0, 0, 0)


def test_more_than_a_batch_is_removed(monkeypatch):
    monkeypatch.setattr(pruning, "_BATCH", 2)
    project = a_project()
    for number in range(5):
        an_event(project, 11)
        orphan(str(number), hours=2)
    removed = pruning.prune()
    assert (removed.events, removed.blobs) == (5, 5)


def test_the_command_says_what_it_removed():
    an_event(a_project(), 11)
    said = []
    for arguments in (["--dry-run"], []):
        output = StringIO()
        call_command("prune", *arguments, stdout=output)
        said.append(output.getvalue())
    assert said[0].startswith("Would remove: 1 events, 0 runs")
    assert said[1].startswith("Removed: 1 events, 0 runs")


def test_any_number_of_workers_have_it_pruned_once_a_day(queue):
    django_rq.get_connection("default").delete(pruning._PRUNED_TODAY)
    assert [pruning.request_daily() for _ in range(3)] == [True, False, False]
    assert [job.func for job in queue.jobs] == [jobs.prune]
    assert 0 < django_rq.get_connection("default").ttl(pruning._PRUNED_TODAY) <= 24 * 60 * 60


def test_an_event_that_came_is_still_trained_on_after_its_elders_went(make_backend, queue):
    name = make_backend("class Any(LabelStudioMLBase): pass")
    receive(name, annotation_created(1, "text", "Positive"))
    Event.objects.update(received_at=days_ago(5000))
    jobs.prune()
    assert Event.objects.pending().count() == 1
