"""The Artifacts protocol over the registry: read where a model serves, staged where it learns."""

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings
from django.db import connection
from django.db.models import Q, QuerySet, Sum

from backends.artifacts import InvalidArtifactName, check_name
from registry import artifact_cache, files
from registry.artifact_cache import Tree
from registry.connections import on_a_living_connection
from registry.errors import ArtifactError
from registry.models import Artifact, ModelVersion, StoredFile

MAX_PATH = 500
WORKSHOP = "run-"
IMPORT = "import-"

Changes = Mapping[str, Tree]
"""What a fit left under each artifact's name that it asked for; nothing where it removed it."""


class VersionArtifacts:
    """The artifacts of a version, to be read."""

    def __init__(self, version: Callable[[], ModelVersion]) -> None:
        self._version = version

    def path(self, name: str) -> Path:
        """Return the artifact's place; see the Artifacts protocol."""
        check_name(name)
        tree = on_a_living_connection(lambda: tree_of(self._version().pk, name))
        return artifact_cache.path(name, tree) if tree else artifact_cache.missing(name)


class StagedArtifacts:
    """The artifacts of a fit: copies of its parent's, to be changed, in a folder of its own."""

    def __init__(self, parent: Callable[[], ModelVersion], folder: Path) -> None:
        self._parent = VersionArtifacts(parent)
        self._folder = folder
        self._asked_for: set[str] = set()

    def path(self, name: str) -> Path:
        """Return the artifact's place; see the Artifacts protocol."""
        place = self._folder / name
        if name not in self._asked_for:
            before = self._parent.path(name)
            if before.is_dir():
                shutil.copytree(before, place, copy_function=shutil.copyfile)
            elif before.exists():
                shutil.copyfile(before, place)
            self._asked_for.add(name)
        return place

    def store(self) -> Changes:
        """Keep what the fit has left, and return it."""
        return {name: self._store(name) for name in sorted(self._asked_for)}

    def _store(self, name: str) -> Tree:
        place = self._folder / name
        if place.is_dir():
            found = sorted(path for path in place.rglob("*") if path.is_file())
        else:
            found = [place] if place.exists() else []
        return {_relative(path, self._folder): files.store(path) for path in found}


@contextmanager
def workshop(run_id: int) -> Iterator[Path]:
    """Lend a folder for the files of a fit; it goes with the fit, or is pruned after one that was killed."""
    with scratch(f"{WORKSHOP}{run_id}-") as folder:
        yield folder


@contextmanager
def scratch(prefix: str) -> Iterator[Path]:
    """Lend a folder beside the cache, where there is room for model files; it is removed at the end."""
    settings.ARTIFACT_CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=prefix, dir=settings.ARTIFACT_CACHE) as folder:
        yield Path(folder)


def tree_of(version_id: int, name: str) -> dict[str, StoredFile]:
    """Return the files of one artifact of a version."""
    return {artifact.path: artifact.file for artifact in _named(version_id, name).select_related("file")}


def copy(source: ModelVersion, target: ModelVersion) -> None:
    """Give `target` every artifact of `source`. Files are shared, so this costs rows and not bytes."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO registry_artifact (version_id, path, file_id) "
            "SELECT %s, path, file_id FROM registry_artifact WHERE version_id = %s",
            [target.pk, source.pk],
        )


def write(version: ModelVersion, changes: Changes) -> None:
    """Put what a fit left in the place of what the version had."""
    for name, tree in changes.items():
        _named(version.pk, name).delete()
        Artifact.objects.bulk_create(
            Artifact(version=version, path=relative, file=kept) for relative, kept in tree.items()
        )


def size(version: ModelVersion) -> int:
    """Return how many bytes the version's files take, those that it shares with others included."""
    total = Artifact.objects.filter(version=version).aggregate(total=Sum("file__size"))["total"]
    return int(total or 0)


def sizes(version: ModelVersion) -> list[tuple[str, int]]:
    """Return the paths of the version's files, and how many bytes each takes."""
    return list(Artifact.objects.filter(version=version).order_by("path").values_list("path", "file__size"))


def check_path(relative: str) -> None:
    """Raise ArtifactError for what is not the path of an artifact's file, or leads out of its folder."""
    parts = relative.split("/")
    inside = not {"", ".", ".."}.intersection(parts)
    if not inside or len(relative) > MAX_PATH or not relative.isprintable():
        raise ArtifactError(f"An artifact's file needs a printable path of up to {MAX_PATH} characters: {relative!r}.")
    try:
        check_name(parts[0])
    except InvalidArtifactName as exc:
        raise ArtifactError(str(exc)) from exc


def _named(version_id: int, name: str) -> QuerySet[Artifact]:
    """Return the file of that name, or the files of the folder of that name."""
    return Artifact.objects.filter(Q(path=name) | Q(path__startswith=f"{name}/"), version_id=version_id)


def _relative(path: Path, folder: Path) -> str:
    relative = path.relative_to(folder).as_posix()
    check_path(relative)
    return relative
