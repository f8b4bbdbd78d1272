"""Remove what is too old to be asked for: by age and count, in small transactions.

Of a version only the state is removed. Its row stays, since the ledger is append-only and refers to
it, since its children name it as their parent, and since its name must never be given out again.
"""

import shutil
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import django_rq
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from registry import drains, files, versions
from registry.artifacts import IMPORT, WORKSHOP
from registry.models import (
    Alias,
    Artifact,
    Blob,
    Event,
    Failure,
    ModelVersion,
    Project,
    Promotion,
    StateEntry,
    StoredFile,
    TrainingRun,
)

# What the ledger may lead an operator back to.
REACH_DAYS = 30
REACH_MOVES = 20
# A commit stores its blobs before the entries that refer to them.
BLOB_GRACE = timedelta(hours=1)
_BATCH = 200
_DAY_SECONDS = 24 * 60 * 60
_PRUNED_TODAY = "mlserver:pruned"

# The age stands in the outer condition too: Postgres looks at that one again when it has waited for
# a transaction that took the blob up anew.
_DELETE_BLOBS = """
    DELETE FROM registry_blob AS blob
    WHERE stored_at < %(before)s
        AND NOT EXISTS (SELECT 1 FROM registry_stateentry WHERE blob_id = blob.digest)
        AND digest IN (
            SELECT digest FROM registry_blob AS old
            WHERE stored_at < %(before)s
                AND NOT EXISTS (SELECT 1 FROM registry_stateentry WHERE blob_id = old.digest)
            LIMIT %(batch)s
        )
"""


@dataclass(frozen=True)
class Pruned:
    """How much was removed of each kind."""

    events: int
    runs: int
    failures: int
    versions: int
    blobs: int
    files: int

    def __str__(self) -> str:
        return (
            f"{self.events} events, {self.runs} runs, {self.failures} failures, "
            f"the state of {self.versions} versions, {self.blobs} blobs, {self.files} model files"
        )


def prune(*, dry_run: bool = False) -> Pruned:
    """Remove what the KEEP_ settings do not keep; with `dry_run`, only count it.

    Two of these at once do no harm: each leaves alone what the other one holds.
    """
    return Pruned(
        events=_remove(_old_events(), dry_run),
        runs=_remove(_old_runs(), dry_run),
        failures=_remove(_old_failures(), dry_run),
        versions=_prune_versions(dry_run),
        blobs=_count_blobs() if dry_run else _remove_blobs(),
        files=_unheld_files().count() if dry_run else _remove_files(),
    )


def request_daily() -> bool:
    """Enqueue a pruning, unless one was enqueued within the last day; return whether it was.

    Every worker asks, and the queue's own Redis lets one of them.
    """
    if not django_rq.get_connection(drains.QUEUE).set(_PRUNED_TODAY, "1", nx=True, ex=_DAY_SECONDS):
        return False
    django_rq.get_queue(drains.QUEUE).enqueue("registry.jobs.prune", result_ttl=0)
    return True


def _before(days: int) -> datetime:
    return timezone.now() - timedelta(days=days)


def _old_events() -> QuerySet[Event]:
    if not settings.KEEP_EVENTS_DAYS:
        return Event.objects.none()
    old = Event.objects.filter(received_at__lt=_before(settings.KEEP_EVENTS_DAYS))
    return old.exclude(status=Event.Status.PENDING)


def _old_runs() -> QuerySet[TrainingRun]:
    if not settings.KEEP_RUNS_DAYS:
        return TrainingRun.objects.none()
    unfinished = TrainingRun.objects.unfinished().values("pk")
    made = ModelVersion.objects.filter(run=OuterRef("pk"), pruned_at=None)
    waiting = Event.objects.pending().order_by().filter(run=OuterRef("pk"))
    old = TrainingRun.objects.filter(created_at__lt=_before(settings.KEEP_RUNS_DAYS)).exclude(pk__in=unfinished)
    return old.filter(~Exists(made), ~Exists(waiting))


def _old_failures() -> QuerySet[Failure]:
    if not settings.KEEP_FAILURES_DAYS:
        return Failure.objects.none()
    return Failure.objects.filter(last_seen__lt=_before(settings.KEEP_FAILURES_DAYS))


def _remove(rows: QuerySet[Any], dry_run: bool) -> int:
    if dry_run:
        return rows.count()
    total = 0
    while count := _remove_batch(rows):
        total += count
    return total


@transaction.atomic
def _remove_batch(rows: QuerySet[Any]) -> int:
    held = rows.select_for_update(skip_locked=True, of=("self",)).order_by("pk")
    ids = list(held.values_list("pk", flat=True)[:_BATCH])
    # Without their columns: logs and bodies are large, and are only to go.
    rows.model._default_manager.filter(pk__in=ids).only("pk").delete()
    return len(ids)


def _old_versions(project_id: int) -> QuerySet[ModelVersion]:
    """Return the versions beyond the count that are not live and out of the ledger's reach."""
    moves = Promotion.objects.filter(project_id=project_id)
    latest = moves.order_by("-id").values("pk")[:REACH_MOVES]
    # A version that was live within these days came or went by a move within them, or is live now.
    reach = moves.filter(Q(created_at__gte=_before(REACH_DAYS)) | Q(pk__in=latest))
    unpruned = ModelVersion.objects.filter(project_id=project_id, pruned_at=None)
    newest = unpruned.order_by("-number").values("pk")[: settings.KEEP_VERSIONS]
    return (
        unpruned.exclude(pk__in=newest)
        .exclude(pk__in=reach.values("to_version"))
        .exclude(pk__in=reach.filter(from_version__isnull=False).values("from_version"))
        .exclude(pk__in=Project.objects.filter(pk=project_id, live__isnull=False).values("live"))
        .exclude(pk__in=Alias.objects.filter(project_id=project_id).values("version"))
    )


def _projects_with_old_versions() -> list[int]:
    if not settings.KEEP_VERSIONS:
        return []
    counted = Project.objects.annotate(unpruned=Count("versions", filter=Q(versions__pruned_at=None)))
    return list(counted.filter(unpruned__gt=settings.KEEP_VERSIONS).order_by("pk").values_list("pk", flat=True))


def _prune_versions(dry_run: bool) -> int:
    total = 0
    for project_id in _projects_with_old_versions():
        if dry_run:
            total += _old_versions(project_id).count()
            continue
        while count := _prune_version_batch(project_id):
            total += count
    return total


@transaction.atomic
def _prune_version_batch(project_id: int) -> int:
    # Under the lock that every move of the live pointer takes, so that none of them becomes live.
    versions.locked(project_id)
    ids = list(_old_versions(project_id).order_by("number").values_list("pk", flat=True)[:_BATCH])
    StateEntry.objects.filter(version__in=ids).delete()
    Artifact.objects.filter(version__in=ids).delete()
    return ModelVersion.objects.filter(pk__in=ids).update(pruned_at=timezone.now())


def _unheld_files() -> QuerySet[StoredFile]:
    """Return the stored files that no version holds, those of a store that was cut off included."""
    held = Artifact.objects.filter(file=OuterRef("pk"))
    return StoredFile.objects.filter(~Exists(held), stored_at__lt=timezone.now() - BLOB_GRACE)


def _remove_files() -> int:
    total = 0
    for digest in list(_unheld_files().values_list("pk", flat=True)):
        total += _remove_file(digest)
    _remove_workshops()
    return total


@transaction.atomic
def _remove_file(digest: str) -> int:
    # Asked again under the row's lock: a fit may have taken the file up meanwhile.
    kept = StoredFile.objects.select_for_update(skip_locked=True).filter(pk=digest).first()
    if kept is None or not _unheld_files().filter(pk=digest).exists():
        return 0
    files.remove(kept)
    kept.delete()
    return 1


def _remove_workshops() -> None:
    """Remove from this machine what fits and imports have left that were killed."""
    running = set(TrainingRun.objects.running().values_list("pk", flat=True))
    for folder in settings.ARTIFACT_CACHE.glob(f"{WORKSHOP}*"):
        run_id = folder.name.removeprefix(WORKSHOP).split("-")[0]
        if not (run_id.isdecimal() and int(run_id) in running):
            shutil.rmtree(folder, ignore_errors=True)
    for folder in settings.ARTIFACT_CACHE.glob(f"{IMPORT}*"):
        if folder.stat().st_mtime < time.time() - _DAY_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)


def _remove_blobs() -> int:
    total = 0
    with connection.cursor() as cursor:
        while True:
            cursor.execute(_DELETE_BLOBS, {"before": timezone.now() - BLOB_GRACE, "batch": _BATCH})
            count: int = cursor.rowcount
            total += count
            if count < _BATCH:
                return total


def _count_blobs() -> int:
    """Count the blobs that would be left to nobody once the old versions have lost their state."""
    going = [
        pk
        for project_id in _projects_with_old_versions()
        for pk in _old_versions(project_id).values_list("pk", flat=True)
    ]
    kept = StateEntry.objects.filter(blob=OuterRef("pk")).exclude(version__in=going)
    return Blob.objects.filter(~Exists(kept), stored_at__lt=timezone.now() - BLOB_GRACE).count()
