"""Move a version from one server to another, as one file that both trust.

An archive is signed with ARCHIVE_KEY, which both servers share. Pickles in it carry no signature of
their own: each server signs those that it stores with its SECRET_KEY, and an import does so once the
archive's signature has been found right.
"""

import gzip
import hashlib
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC
from pathlib import Path
from typing import IO, cast

from django.contrib.auth.models import AbstractUser
from django.core.exceptions import PermissionDenied
from django.db import DataError
from django.utils import timezone

from registry import artifacts, codec, entries, files, lineage, versions
from registry.archive_format import Manifest, ModelFile, Origin, Reader, StateValue, Writer
from registry.codec import Encoded
from registry.errors import ArchiveError, ArtifactError, VersionError
from registry.lineage import Lineage
from registry.models import Artifact, ModelVersion, Project, StateEntry, StoredFile
from registry.versions import Change

_GZIP = b"\x1f\x8b"


def export(version: ModelVersion, target: IO[bytes]) -> None:
    """Write the version as an archive, the same bytes each time.

    Raise ArchiveError where it was pruned or is written to meanwhile, StateError for a pickle that this
    server did not sign, ArtifactError for a file that the storage has lost.
    """
    rows = Artifact.objects.filter(version=version).select_related("file").order_by("path")
    stored = {row.path: row.file for row in rows}
    keys = StateEntry.objects.filter(version=version).order_by("key").values_list("key", flat=True)
    manifest = Manifest(
        _origin(version),
        lineage.of(version),
        state=[_state_value(version, key) for key in keys],
        artifacts=[ModelFile(path, kept.digest, kept.size) for path, kept in stored.items()],
    )
    # Asked now: what pruning had removed by then is not in the manifest.
    if ModelVersion.objects.filter(pk=version.pk, pruned_at__isnull=False).exists():
        raise ArchiveError(f"The state of {version} was pruned: there is nothing left of it to export.")
    writer = Writer(target)
    writer.begin(manifest)
    for name, member in manifest.members():
        writer.open(name, member.size)
        if isinstance(member, StateValue):
            target.write(_unchanged(version, member))
        else:
            files.send(stored[member.path], target)
        writer.close(member.size)
    writer.end()


def import_(project: Project, source: IO[bytes], *, by: AbstractUser | str, any_backend: bool = False) -> ModelVersion:
    """Make a version of the project from an archive; it is not live.

    All of the archive is checked before any of it is stored. Raise ArchiveError where it is not as it
    was exported or, but for `any_backend`, is of another backend; PermissionDenied for a user who may not.
    """
    if not isinstance(by, str) and not by.has_perm("registry.add_modelversion"):
        raise PermissionDenied("You need the permission “Can add model version”.")
    reader = Reader(source)
    manifest = reader.begin()
    _check(manifest)
    if manifest.origin.backend != project.backend and not any_backend:
        raise ArchiveError(
            f"The version is of the backend {manifest.origin.backend} and the project is served by {project.backend}. "
            "Choose a project of the same backend, or ask for any backend where both read the same state."
        )
    with artifacts.scratch(artifacts.IMPORT) as folder:
        _check_room(manifest, folder)
        places = {}
        for number, (name, member) in enumerate(manifest.members()):
            places[member] = folder / str(number)
            reader.extract(name, member, places[member])
        reader.end()
        return _adopt(project, manifest, places, versions.actor(by))


@contextmanager
def writing(path: Path) -> Iterator[IO[bytes]]:
    """Open a new file for an archive, gzipped where its name ends with .gz; it appears when it is whole."""
    if path.exists():
        raise ArchiveError(f"{path} is there already. Choose another name, or remove it.")
    aside = path.with_name(f"{path.name}.part")
    try:
        with aside.open("wb") as plain:
            if path.suffix == ".gz":
                # Neither a name nor a time in it: the same version is the same bytes.
                with gzip.GzipFile("", "wb", compresslevel=6, fileobj=plain, mtime=0) as zipped:
                    yield cast("IO[bytes]", zipped)
            else:
                yield plain
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


@contextmanager
def reading(path: Path) -> Iterator[IO[bytes]]:
    """Open an archive, gzipped or not."""
    with path.open("rb") as plain:
        if plain.peek(len(_GZIP)).startswith(_GZIP):
            with gzip.GzipFile(fileobj=plain) as zipped:
                yield cast("IO[bytes]", zipped)
        else:
            yield plain


class _Extracted(Mapping[str, Encoded]):
    """State values in files, read one at a time and signed as this server's own."""

    def __init__(self, places: Mapping[StateValue | ModelFile, Path]) -> None:
        self._places = {value.key: (value, place) for value, place in places.items() if isinstance(value, StateValue)}

    def __getitem__(self, key: str) -> Encoded:
        value, place = self._places[key]
        return codec.signed(value.kind, place.read_bytes())

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


def _origin(version: ModelVersion) -> Origin:
    project = version.project
    return Origin(
        backend=project.backend,
        project=str(project),
        number=version.number,
        name=version.name,
        parent=version.parent.name if version.parent else None,
        created_at=version.created_at,
        note=version.note,
        tags=version.tags,
        evaluation=version.evaluation,
    )


def _state_value(version: ModelVersion, key: str) -> StateValue:
    stored = _stored(version, key)
    content = codec.unsigned(key, stored)
    return StateValue(key, StateEntry.Kind(stored.kind), _digest(content), len(content))


def _unchanged(version: ModelVersion, value: StateValue) -> bytes:
    content = codec.unsigned(value.key, _stored(version, value.key))
    if _digest(content) != value.digest:
        raise ArchiveError(f"{version} was written to while it was exported. Export it again.")
    return content


def _stored(version: ModelVersion, key: str) -> Encoded:
    stored = entries.read(version.pk, key)
    if stored is None:
        raise ArchiveError(f"{version} was pruned while it was exported.")
    return stored


def _check(manifest: Manifest) -> None:
    """Raise ArchiveError for names that would take each other's place, or lead somewhere else."""
    paths = [file.path for file in manifest.artifacts]
    for path in paths:
        try:
            artifacts.check_path(path)
        except ArtifactError as exc:
            raise ArchiveError(str(exc)) from exc
    folders = {parent.as_posix() for path in paths for parent in Path(path).parents}
    named = [value.key for value in manifest.state]
    if len(set(named)) < len(named) or len(set(paths)) < len(paths) or folders.intersection(paths):
        raise ArchiveError("The archive holds two things of one name. Export the version again.")


def _check_room(manifest: Manifest, folder: Path) -> None:
    needed = sum(member.size for _, member in manifest.members())
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise ArchiveError(
            f"The archive holds {needed} bytes and the disk of ARTIFACT_CACHE has {free} left. Make room there."
        )


def _adopt(
    project: Project, manifest: Manifest, places: Mapping[StateValue | ModelFile, Path], actor: str
) -> ModelVersion:
    values = _Extracted(places)
    entries.store_blobs(values)
    trees: dict[str, dict[str, StoredFile]] = {}
    for file in manifest.artifacts:
        trees.setdefault(file.path.partition("/")[0], {})[file.path] = files.store(places[file])
    # Which numbers its events had there says nothing here, where others have them.
    learnt = Lineage(**vars(manifest.lineage) | {"first_event": None, "last_event": None})
    origin = manifest.origin
    try:
        return versions.adopt(
            project.pk,
            Change(values, trees, learnt, origin.name),
            note=_note(manifest, actor),
            tags=origin.tags,
            evaluation=origin.evaluation,
        )
    except (VersionError, DataError, ValueError, OverflowError) as exc:
        raise ArchiveError(f"The archive's manifest holds what cannot be stored: {exc}") from exc


def _note(manifest: Manifest, actor: str) -> str:
    origin, learnt = manifest.origin, manifest.lineage
    told = (
        f"Imported on {timezone.now():%Y-%m-%d %H:%M} UTC by {actor}: version {origin.name}, number {origin.number}, "
    )
    told += f"of {origin.project}, made on {origin.created_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC."
    if origin.parent is not None:
        told += f" There it follows {origin.parent}."
    if learnt.first_event is not None:
        told += f" It learnt from the events {learnt.first_event} to {learnt.last_event} there."
    return "\n\n".join(filter(None, [told, origin.note]))


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
