"""The stored values of a version: read, write, copy."""

import hashlib
from collections.abc import Mapping

from django.db import connection

from registry.codec import Encoded
from registry.errors import StateError
from registry.models import Blob, ModelVersion, StateEntry

# Larger values go into blobs, which versions share; smaller ones cost less to copy than to refer to.
INLINE_BYTES = 4096
MAX_BYTES = 512 * 1024 * 1024
MAX_KEY = 255


def read(version_id: int, key: str) -> Encoded | None:
    """Return the stored value of the key, or None."""
    row = StateEntry.objects.filter(version_id=version_id, key=key).values_list("kind", "data", "blob__data").first()
    if row is None:
        return None
    kind, data, blob = row
    return Encoded(kind, bytes(blob if data is None else data))


def exists(version_id: int, key: str) -> bool:
    """Return whether the version has the key."""
    return StateEntry.objects.filter(version_id=version_id, key=key).exists()


def write(version: ModelVersion, values: Mapping[str, Encoded]) -> None:
    """Set the keys to the values."""
    for key, value in values.items():
        blob = _blob(value.data) if len(value.data) > INLINE_BYTES else None
        StateEntry.objects.update_or_create(
            version=version,
            key=key,
            defaults={"kind": value.kind, "data": None if blob else value.data, "blob": blob},
        )


def copy(source: ModelVersion, target: ModelVersion) -> None:
    """Give `target` every key of `source`. Blobs are shared, so this costs rows and not bytes."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO registry_stateentry (version_id, key, kind, data, blob_id) "
            "SELECT %s, key, kind, data, blob_id FROM registry_stateentry WHERE version_id = %s",
            [target.pk, source.pk],
        )


def check(key: str, value: Encoded) -> None:
    """Raise StateError for a key or a value that cannot be stored."""
    if not key or len(key) > MAX_KEY or "\0" in key:
        raise StateError(f"A state key needs 1 to {MAX_KEY} characters.")
    if len(value.data) > MAX_BYTES:
        raise StateError(
            f"The value of {key!r} takes {len(value.data)} bytes; state holds up to {MAX_BYTES} bytes a value."
        )


def _blob(data: bytes) -> Blob:
    digest = hashlib.sha256(data).hexdigest()
    # One statement, whoever else stores the same content at the same moment.
    Blob.objects.bulk_create([Blob(digest=digest, data=data, size=len(data))], ignore_conflicts=True)
    return Blob(digest=digest)
