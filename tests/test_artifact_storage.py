"""Where model files are kept: a folder, or a bucket of a service that speaks S3."""

import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import FileSystemStorage, storages
from moto.server import ThreadedMotoServer

from mlserver.artifact_storage import artifact_storage
from registry import artifact_cache, files
from registry.models import StoredFile

pytestmark = pytest.mark.django_db(transaction=True)

_MEGABYTE = 1024 * 1024


@pytest.fixture
def keep_in(settings, tmp_path):
    """Return a function that has model files kept in that place."""
    settings.ARTIFACT_CACHE = tmp_path / "cache"

    def keep(place: str) -> None:
        settings.STORAGES = settings.STORAGES | {"artifacts": artifact_storage(place)}

    return keep


@pytest.fixture
def bucket(monkeypatch) -> Iterator[Any]:
    """Return an empty bucket named `models`, of a server on this machine."""
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
    }.items():
        monkeypatch.setenv(name, value)
    models = boto3.resource("s3").create_bucket(Bucket="models")
    yield models
    # The next server finds what this one was given: both are in this process.
    models.objects.delete()
    server.stop()


def a_file(folder: Path, megabytes: int) -> Path:
    path = folder / "weights.bin"
    with path.open("wb") as target:
        for number in range(megabytes):
            target.write(bytes([number % 251]) * _MEGABYTE)
    return path


def test_a_file_goes_to_a_bucket_and_comes_back(keep_in, bucket, tmp_path):
    keep_in("s3://models/of/mine")
    source = a_file(tmp_path, 12)
    kept = files.store(source)
    assert [item.key for item in bucket.objects.all()] == [f"of/mine/{kept.storage_name}"]
    assert artifact_cache.path("weights.bin", {"weights.bin": kept}).read_bytes() == source.read_bytes()


def test_what_a_cut_off_store_left_in_a_bucket_is_replaced_and_can_be_removed(keep_in, bucket, tmp_path):
    keep_in("s3://models")
    kept = files.store(a_file(tmp_path, 1))
    bucket.Object(kept.storage_name).put(Body=b"torn")
    StoredFile.objects.update(complete=False)
    files.store(tmp_path / "weights.bin")
    assert bucket.Object(kept.storage_name).content_length == _MEGABYTE
    files.remove(kept)
    assert list(bucket.objects.all()) == []


def test_a_large_file_passes_without_being_held_in_memory(keep_in, tmp_path):
    keep_in(str(tmp_path / "storage"))
    source = a_file(tmp_path, 200)
    tracemalloc.start()
    kept = files.store(source)
    artifact_cache.path("weights.bin", {"weights.bin": kept})
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 16 * _MEGABYTE


@pytest.mark.parametrize("place", ["s3://", "ftp://host/folder"])
def test_a_place_that_cannot_be_one_is_refused_by_name(place):
    with pytest.raises(ImproperlyConfigured, match="ARTIFACT_STORAGE"):
        artifact_storage(place)


def test_by_default_files_lie_in_the_var_folder(settings):
    storage = storages["artifacts"]
    assert isinstance(storage, FileSystemStorage)
    assert Path(storage.location) == settings.VAR_DIR / "artifacts"
