"""The content of model files, kept once by its hash in Django storage, and never held in memory."""

import hashlib
from pathlib import Path
from typing import IO

from django.core.files import File
from django.core.files.storage import Storage, storages
from django.db import transaction
from django.utils import timezone

from registry.errors import ArtifactError
from registry.models import StoredFile

STORAGE = "artifacts"
CHUNK_BYTES = 1024 * 1024


def store(path: Path) -> StoredFile:
    """Keep the file's content, and return what is known of it. Content that is there already is not sent again."""
    digest, size = _digest(path)
    if StoredFile.objects.filter(digest=digest, complete=True).update(stored_at=timezone.now()):
        return StoredFile.objects.get(digest=digest)
    # Committed before the content: a crash from here on leaves nothing that pruning does not know of.
    StoredFile.objects.get_or_create(digest=digest, defaults={"size": size})
    with transaction.atomic():
        # Another process that stores the same content waits here, and finds it complete.
        kept = StoredFile.objects.select_for_update().get(digest=digest)
        if not kept.complete:
            _save(path, kept)
        kept.complete, kept.stored_at = True, timezone.now()
        kept.save(update_fields=["complete", "stored_at"])
    return kept


def fetch(kept: StoredFile, target: Path) -> None:
    """Write the content to the target file; raise ArtifactError where it is gone or not what was stored."""
    with target.open("wb") as copy:
        send(kept, copy)


def send(kept: StoredFile, target: IO[bytes]) -> None:
    """Write the content to an open file; raise ArtifactError as `fetch` does, at the end of what is not right."""
    hasher = hashlib.sha256()
    try:
        with _storage().open(kept.storage_name, "rb") as source:
            while chunk := source.read(CHUNK_BYTES):
                hasher.update(chunk)
                target.write(chunk)
    except FileNotFoundError as exc:
        raise ArtifactError(f"The artifact storage has no {kept.storage_name} any more; restore it there.") from exc
    if hasher.hexdigest() != kept.digest:
        raise ArtifactError(f"{kept.storage_name} in the artifact storage was changed after it was stored.")


def remove(kept: StoredFile) -> None:
    """Remove the content from the storage, where it is there."""
    _storage().delete(kept.storage_name)


def _save(path: Path, kept: StoredFile) -> None:
    storage = _storage()
    # What a crash left under this name is not whole, and a storage does not overwrite.
    if storage.exists(kept.storage_name):
        storage.delete(kept.storage_name)
    with path.open("rb") as source:
        name = storage.save(kept.storage_name, File(source))
    if name != kept.storage_name:
        storage.delete(name)
        raise ArtifactError(f"The artifact storage would not keep {kept.storage_name}, but {name}.")


def _digest(path: Path) -> tuple[str, int]:
    with path.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest(), path.stat().st_size


def _storage() -> Storage:
    return storages[STORAGE]
