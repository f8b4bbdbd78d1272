"""The Django storage of model files, by where it is said to be."""

from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

# A file that is read from S3 is put on disk beyond this; by default it would be held in memory.
_MEMORY_BYTES = 8 * 1024 * 1024


def artifact_storage(place: str) -> dict[str, Any]:
    """Return the settings of the storage: a folder, or `s3://bucket/prefix`.

    Address and credentials of S3 come from the variables that boto3 reads: AWS_ACCESS_KEY_ID,
    AWS_SECRET_ACCESS_KEY, AWS_DEFAULT_REGION, AWS_ENDPOINT_URL.
    """
    parts = urlsplit(place)
    if not parts.scheme:
        return {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": place}}
    if parts.scheme != "s3" or not parts.netloc:
        raise ImproperlyConfigured("ARTIFACT_STORAGE must be a folder, or s3://bucket/prefix.")
    options = {
        "bucket_name": parts.netloc,
        "location": parts.path.strip("/"),
        "file_overwrite": True,
        "max_memory_size": _MEMORY_BYTES,
    }
    return {"BACKEND": "storages.backends.s3.S3Storage", "OPTIONS": options}
