"""Make versions, and move the pointer that says which one is live.

Every function locks its project's row first, so two of them on one project never interleave.
The lock is FOR NO KEY UPDATE: rows that merely refer to the project can be inserted beside it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from django.contrib.auth.models import AbstractUser
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import F, Max, QuerySet

from backends.version_names import next_name
from registry import entries
from registry.codec import Encoded
from registry.errors import ParentNotLive, VersionError
from registry.models import ModelVersion, Project, Promotion, TrainingRun

CODE = "the backend's code"
MAX_NAME = 255


@dataclass(frozen=True)
class Change:
    """What is new in a version beside its parent."""

    values: Mapping[str, Encoded]
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
        version = _create(project, None, None, Change(values={}, name=name))
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
        _move(project, _create(project, None, None, Change({}, name)), CODE, "The project's first version.")
    elif first_declaration and live.number == 1 and live.run_id is None and not live.children.exists():
        live.name = name
        live.save(update_fields=["name"])
        _next_generation(project)
    else:
        version = _create(project, live, None, Change({}, name))
        _move(project, version, CODE, f"The code declares version {name!r}.")
    return project


@transaction.atomic
def create(parent: ModelVersion, run: TrainingRun | None, change: Change, *, actor: str, reason: str) -> ModelVersion:
    """Make the version that follows `parent` and make it live.

    Raise ParentNotLive where `parent` is no longer live: what was learnt stands on the wrong base then.
    """
    project = locked(parent.project_id)
    if project.live_id != parent.pk:
        raise ParentNotLive(f"{parent.name} is no longer live; learn again from the version that is.")
    version = _create(project, parent, run, change)
    _move(project, version, actor, reason)
    return version


@transaction.atomic
def amend(parent: ModelVersion, values: Mapping[str, Encoded]) -> None:
    """Write what a fit learnt into the live version itself; raise ParentNotLive as `create` does."""
    project = locked(parent.project_id)
    if project.live_id != parent.pk:
        raise ParentNotLive(f"{parent.name} is no longer live; learn again from the version that is.")
    entries.write(parent, values)
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
    _move(project, _create(project, None, None, Change({}, name)), actor, "A replay begins from nothing.")


@transaction.atomic
def promote(version: ModelVersion, *, by: AbstractUser | str, reason: str) -> Promotion:
    """Make the version live, forwards or back, and write it into the ledger.

    Raise PermissionDenied for a user who may not, and VersionError where it is live already or
    where no reason is given.
    """
    if not isinstance(by, str) and not by.has_perm("registry.promote_modelversion"):
        raise PermissionDenied("You need the permission “Can make a model version live”.")
    if not reason.strip():
        raise VersionError("Give a reason: the ledger keeps it for whoever asks later.")
    project = locked(version.project_id)
    if project.live_id == version.pk:
        raise VersionError(f"{version.name} is live already.")
    if ModelVersion.objects.filter(pk=version.pk, pruned_at__isnull=False).exists():
        raise VersionError(f"The state of {version.name} was pruned: there is nothing left of it to serve.")
    return _move(project, version, by if isinstance(by, str) else by.get_username(), reason.strip())


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
    version = ModelVersion.objects.create(
        project=project, number=last + 1, name=_free_name(project, parent, change.name), parent=parent, run=run
    )
    if parent is not None:
        entries.copy(parent, version)
    entries.write(version, change.values)
    return version


def _free_name(project: Project, parent: ModelVersion | None, wanted: str | None) -> str:
    """Return a name that no version of the project has: Label Studio tells versions apart by name."""
    if wanted is None:
        return next_free_name(project.pk, parent.name if parent else "0")
    _check_name(wanted)
    taken = _taken_names(project.pk)
    name, count = wanted, 1
    while name in taken:
        count += 1
        name = f"{wanted}-{count}"
    return name


def _taken_names(project_id: int) -> set[str]:
    return set(ModelVersion.objects.filter(project_id=project_id).values_list("name", flat=True))


def _check_name(name: str) -> None:
    if not name.strip() or len(name) > MAX_NAME or "\0" in name:
        raise VersionError(f"A model version needs a name of 1 to {MAX_NAME} characters.")


def _move(project: Project, version: ModelVersion, actor: str, reason: str) -> Promotion:
    move = Promotion.objects.create(
        project=project, from_version=project.live, to_version=version, actor=actor, reason=reason
    )
    project.live = version
    project.save(update_fields=["live"])
    _next_generation(project)
    return move


def _next_generation(project: Project) -> None:
    # The row is locked, so nobody else counts at the same moment.
    project.generation += 1
    project.save(update_fields=["generation"])
