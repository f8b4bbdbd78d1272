"""The stored values of a version: read, write, copy."""

from collections.abc import Mapping

from django.db import connection
from django.db.models import BigIntegerField, Sum
from django.db.models.functions import Coalesce, Length
from django.utils import timezone

from registry.codec import Encoded
from registry.errors import StateError
from registry.models import Blob, ModelVersion, StateEntry

# Larger values go into blobs, which versions share; smaller ones cost less to copy than to refer to.
INLINE_BYTES = 4096
MAX_BYTES = 512 * 1024 * 1024
MAX_KEY = 255
_SIZE = Coalesce(Length("data"), "blob__size", output_field=BigIntegerField())


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


def store_blobs(values: Mapping[str, Encoded]) -> None:
    """Store the large values ahead of `write`, which is quick then: it holds locks that others wait for."""
    for value in values.values():
        if len(value.data) > INLINE_BYTES:
            _store_blob(value.digest, value.data)


def write(version: ModelVersion, values: Mapping[str, Encoded]) -> None:
    """Set the keys to the values."""
    large = {key: value.digest for key, value in values.items() if len(value.data) > INLINE_BYTES}
    # Blobs in one order, whatever the keys: two writers may each hold one that the other needs.
    for digest, key in sorted((digest, key) for key, digest in large.items()):
        _store_blob(digest, values[key].data)
    StateEntry.objects.bulk_create(
        [
            StateEntry(
                version=version,
                key=key,
                kind=value.kind,
                data=None if key in large else value.data,
                blob_id=large.get(key),
            )
            for key, value in values.items()
        ],
        update_conflicts=True,
        unique_fields=["version", "key"],
        update_fields=["kind", "data", "blob"],
    )


def copy(source: ModelVersion, target: ModelVersion) -> None:
    """Give `target` every key of `source`. Blobs are shared, so this costs rows and not bytes."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO registry_stateentry (version_id, key, kind, data, blob_id) "
            "SELECT %s, key, kind, data, blob_id FROM registry_stateentry WHERE version_id = %s",
            [target.pk, source.pk],
        )


def size(version: ModelVersion) -> int:
    """Return how many bytes the version's values take, those that it shares with others included."""
    total = StateEntry.objects.filter(version=version).aggregate(total=Sum(_SIZE))["total"]
    return int(total or 0)


def sizes(version: ModelVersion) -> list[tuple[str, str, int]]:
    """Return the version's keys, of which kind each value is, and how many bytes it takes."""
    return list(StateEntry.objects.filter(version=version).order_by("key").values_list("key", "kind", _SIZE))


def check(key: str, value: Encoded) -> None:
    """Raise StateError for a key or a value that cannot be stored."""
    if not key or len(key) > MAX_KEY or "\0" in key:
        raise StateError(f"A state key needs 1 to {MAX_KEY} characters.")
    if len(value.data) > MAX_BYTES:
        raise StateError(
            f"The value of {key!r} takes {len(value.data)} bytes; state holds up to {MAX_BYTES} bytes a value."
        )


def _store_blob(digest: str, data: bytes) -> None:
    # The new time keeps a blob that nobody has referred to for long from being pruned before this
    # transaction commits. Content that is stored already is not sent again.
    if Blob.objects.filter(digest=digest).update(stored_at=timezone.now()):
        return
    # One statement, whoever else stores the same content at the same moment.
    blob = Blob(digest=digest, data=data, size=len(data))
    Blob.objects.bulk_create([blob], update_conflicts=True, unique_fields=["digest"], update_fields=["stored_at"])
