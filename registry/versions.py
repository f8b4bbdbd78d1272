"""Make versions, and move the pointer that says which one is live.

Every function locks its project's row first, so two of them on one project never interleave.
The lock is FOR NO KEY UPDATE: rows that merely refer to the project can be inserted beside it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth.models import AbstractUser
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import F, Max, QuerySet

from backends.version_names import next_name
from registry import artifacts, entries
from registry.artifacts import Changes
from registry.codec import Encoded
from registry.errors import ParentMoved, VersionError
from registry.lineage import Lineage, config_hash
from registry.models import Alias, ModelVersion, Project, Promotion, TrainingRun

CODE = "the backend's code"
MAX_NAME = 255


@dataclass(frozen=True)
class Change:
    """What is new in a version beside its parent."""

    values: Mapping[str, Encoded] = field(default_factory=dict)
    artifacts: Changes = field(default_factory=dict)
    lineage: Lineage = field(default_factory=Lineage)
    name: str | None = None
    """The name asked for; None for the one that follows the parent's."""


def locked(project_id: int) -> Project:
    """Return the project with its row locked until the transaction ends."""
    return Project.objects.select_for_update(no_key=True, of=("self",)).select_related("live").get(pk=project_id)


@transaction.atomic
def ensure_initial(project_id: int, name: str) -> Project:
    """Return the project with its live version; one without any gets its first, by that name."""
    project = locked(project_id)
    if project.live is None:
        version = _create(project, None, None, Change(name=name))
        _move(project, version, CODE, "The project's first version.")
    return project


@transaction.atomic
def declare(project_id: int, name: str) -> Project:
    """Take the version name that the code declares in setup(); return the project with what is live.

    It renames an initial version that has learnt nothing, and otherwise makes a new version, with the
    state of the live one, only where the declaration has changed.
    """
    project = locked(project_id)
    if project.declared_version == name:
        return project
    _check_name(name)
    first_declaration = not project.declared_version
    project.declared_version = name
    project.save(update_fields=["declared_version"])
    live = project.live
    if live is None:
        _move(project, _create(project, None, None, Change(name=name)), CODE, "The project's first version.")
    elif first_declaration and live.number == 1 and live.run_id is None and not live.children.exists():
        live.name = name
        live.save(update_fields=["name"])
        _next_generation(project)
    else:
        version = _create(project, live, None, Change(name=name))
        _move(project, version, CODE, f"The code declares version {name!r}.")
    return project


def base(project: Project) -> ModelVersion | None:
    """Return the version that the next fit goes on from.

    It is the candidate, where there is one: it has learnt what the live version has not yet. Every
    move of the live pointer does away with the candidate, so after a rollback it is the live one.
    """
    candidate = Alias.objects.candidates().filter(project=project).first()
    return candidate.version if candidate else project.live


@transaction.atomic
def create(
    parent: ModelVersion, run: TrainingRun | None, change: Change, *, actor: str, reason: str, hold: bool = False
) -> ModelVersion:
    """Make the version that follows `parent`, and make it live or, to `hold` it, the candidate.

    Raise ParentMoved where an operator meanwhile moved what a fit goes on from: it has learnt on the
    wrong base then.
    """
    project = locked(parent.project_id)
    _check_unmoved(parent, base(project) if run else project.live)
    version = _create(project, parent, run, change)
    if hold:
        Alias.objects.update_or_create(project=project, name=Alias.CANDIDATE, defaults={"version": version})
    else:
        _move(project, version, actor, reason)
    return version


@transaction.atomic
def amend(parent: ModelVersion, change: Change) -> None:
    """Write what a fit learnt into its parent itself; raise ParentMoved as `create` does."""
    project = locked(parent.project_id)
    _check_unmoved(parent, base(project))
    entries.write(parent, change.values)
    artifacts.write(parent, change.artifacts)
    _measure(parent)
    _next_generation(project)


@transaction.atomic
def write_live(project_id: int, values: Mapping[str, Encoded]) -> None:
    """Write values into whichever version is live, for every instance to read anew."""
    project = locked(project_id)
    if project.live is None:
        raise VersionError("The project has no version yet to write to.")
    entries.write(project.live, values)
    Project.objects.filter(pk=project_id).update(state_revision=F("state_revision") + 1)


@transaction.atomic
def start_afresh(project_id: int, *, actor: str) -> None:
    """Make a version that has learnt nothing, and make it live."""
    project = locked(project_id)
    name = next_free_name(project_id, project.live.name if project.live else "0")
    _move(project, _create(project, None, None, Change(name=name)), actor, "A replay begins from nothing.")


@transaction.atomic
def promote(
    version: ModelVersion,
    *,
    by: AbstractUser | str,
    reason: str,
    over: ModelVersion | None = None,
    rollback: bool = False,
) -> Promotion:
    """Make the version live, forwards or back, and write it into the ledger.

    Raise PermissionDenied for a user who may not, and VersionError where it is live already or
    where no reason is given; ParentMoved where the version `over` which it was chosen is live no more.
    """
    if not isinstance(by, str) and not by.has_perm("registry.promote_modelversion"):
        raise PermissionDenied("You need the permission “Can make a model version live”.")
    if not reason.strip():
        raise VersionError("Give a reason: the ledger keeps it for whoever asks later.")
    project = locked(version.project_id)
    if project.live_id == version.pk:
        raise VersionError(f"{version.name} is live already.")
    if over is not None:
        _check_unmoved(over, project.live)
    if ModelVersion.objects.filter(pk=version.pk, pruned_at__isnull=False).exists():
        raise VersionError(f"The state of {version.name} was pruned: there is nothing left of it to serve.")
    return _move(project, version, actor(by), reason.strip(), rollback)


@transaction.atomic
def rollback(project_id: int, *, by: AbstractUser | str, reason: str) -> Promotion:
    """Make the version live again that was live before the one that is; write it into the ledger.

    Rolling back once more goes one further back. Raise as `promote` does.
    """
    project = locked(project_id)
    before = Promotion.objects.before(project.live) if project.live else None
    if before is None:
        raise VersionError("There is no version before the live one to go back to.")
    return promote(before, by=by, reason=reason, rollback=True)


@transaction.atomic
def adopt(
    project_id: int, change: Change, *, note: str, tags: Sequence[str], evaluation: Mapping[str, Any] | None
) -> ModelVersion:
    """Make a version that was learnt elsewhere, without a parent. It is not live, and no fit goes on from it."""
    version = _create(locked(project_id), None, None, change)
    version.note, version.tags = note, list(tags)
    version.evaluation = None if evaluation is None else dict(evaluation)
    version.save(update_fields=["note", "tags", "evaluation"])
    return version


def actor(by: AbstractUser | str) -> str:
    """Return what the ledger calls whoever does something."""
    return by if isinstance(by, str) else by.get_username()


def next_free_name(project_id: int, name: str) -> str:
    """Return the first name after this one that no version of the project has."""
    taken = _taken_names(project_id)
    name = next_name(name)
    while name in taken:
        name = next_name(name)
    return name


def names(backend: str, limit: int = 100) -> list[str]:
    """Return the version names that the backend's projects have, the newest first."""
    versions: QuerySet[ModelVersion] = ModelVersion.objects.filter(project__backend=backend, pruned_at=None)
    newest = versions.values("name").annotate(newest=Max("id")).order_by("-newest")[:limit]
    return [row["name"] for row in newest]


def _create(project: Project, parent: ModelVersion | None, run: TrainingRun | None, change: Change) -> ModelVersion:
    last = project.versions.aggregate(last=Max("number"))["last"] or 0
    name = _free_name(project, parent, change.name)
    version = ModelVersion(project=project, number=last + 1, name=name, parent=parent, run=run)
    for field_name, value in vars(change.lineage).items():
        setattr(version, field_name, value)
    version.save(force_insert=True)
    if parent is not None:
        entries.copy(parent, version)
        artifacts.copy(parent, version)
    entries.write(version, change.values)
    artifacts.write(version, change.artifacts)
    _measure(version)
    return version


def _check_unmoved(parent: ModelVersion, expected: ModelVersion | None) -> None:
    if parent != expected:
        raise ParentMoved(f"What follows {parent.name} has to follow {expected} now; learn again.")


def _measure(version: ModelVersion) -> None:
    version.size = entries.size(version) + artifacts.size(version)
    version.save(update_fields=["size"])


def _free_name(project: Project, parent: ModelVersion | None, wanted: str | None) -> str:
    """Return a name that no version of the project has: Label Studio tells versions apart by name."""
    if wanted is None:
        return next_free_name(project.pk, parent.name if parent else "0")
    _check_name(wanted)
    taken = _taken_names(project.pk)
    name, count = wanted, 1
    while name in taken:
        count += 1
        suffix = f"-{count}"
        name = wanted[: MAX_NAME - len(suffix)] + suffix
    return name


def _taken_names(project_id: int) -> set[str]:
    return set(ModelVersion.objects.filter(project_id=project_id).values_list("name", flat=True))


def _check_name(name: str) -> None:
    if not name.strip() or len(name) > MAX_NAME or "\0" in name:
        raise VersionError(f"A model version needs a name of 1 to {MAX_NAME} characters.")


def _move(project: Project, version: ModelVersion, actor: str, reason: str, rollback: bool = False) -> Promotion:
    move = Promotion.objects.create(
        project=project, from_version=project.live, to_version=version, actor=actor, reason=reason, rollback=rollback
    )
    # What waited to be decided on was learnt from another version than the one that is live now.
    Alias.objects.candidates().filter(project=project).delete()
    project.live = version
    if not version.label_config_hash or version.label_config_hash == config_hash(project.label_config):
        project.retraining_reason = ""
    project.save(update_fields=["live", "retraining_reason"])
    _next_generation(project)
    return move


def _next_generation(project: Project) -> None:
    # The row is locked, so nobody else counts at the same moment.
    project.generation += 1
    project.save(update_fields=["generation"])
