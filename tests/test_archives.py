"""A version moves from one server to another, whole and unchanged, or not at all."""

import gzip
import io
import os
import random
import tarfile
import tracemalloc
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied

from registry import archive_format, archives, artifacts, entries, files, pruning, serving, training, versions
from registry.archive_format import Manifest, ModelFile, Origin, StateValue, Writer
from registry.errors import ArchiveError, ArtifactError, StateError
from registry.lineage import Lineage
from registry.models import Artifact, Blob, Event, ModelVersion, Project, Promotion, StateEntry, StoredFile
from registry.projects import Standing
from registry.state import VersionState
from tests.factories import SENTIMENT, a_project, a_version, annotation_created, receive

pytestmark = pytest.mark.django_db(transaction=True)

LEARNER = """
    from collections import Counter

    class Learner(LabelStudioMLBase):
        def fit(self, event, data, **kwargs):
            counts = self.get("counts") or Counter()
            counts.update(data["annotation"]["result"][0]["value"]["choices"])
            self.set("counts", counts)
            self.set("large", "x" * 10_000)
            self.artifact_path("bias.txt").write_text("0.25")
            folder = self.artifact_path("tokenizer") / "deep"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "vocabulary.txt").write_text(data["task"]["data"]["text"])
            self.log_metrics({"accuracy": 0.75})

        def predict(self, tasks, context=None, **kwargs):
            [(choice, count)] = self.get("counts").most_common(1)
            bias = float(self.artifact_path("bias.txt").read_text())
            words = (self.artifact_path("tokenizer") / "deep" / "vocabulary.txt").read_text()
            region = {"from_name": "sentiment", "to_name": "text", "type": "choices", "value": {"choices": [choice]}}
            return [{"result": [region], "score": bias + len(words) / 1000} for _ in tasks]
"""
NOTHING = "0" * 64


@pytest.fixture(autouse=True)
def _server(tmp_path, settings):
    settings.ARCHIVE_KEY = "what both servers know"
    use_folders(settings, tmp_path / "first")


def use_folders(settings, folder):
    storage = {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": str(folder / "kept")}}
    settings.STORAGES = settings.STORAGES | {"artifacts": storage}
    settings.ARTIFACT_CACHE = folder / "cache"


def another_server(settings, folder):
    """Forget all there is, and go on as a server with a SECRET_KEY and folders of its own."""
    Project.objects.update(live=None)
    Promotion.objects.all().delete()
    ModelVersion.objects.update(parent=None)
    for model in (Event, ModelVersion, Project, Blob, StoredFile):
        model.objects.all().delete()
    settings.SECRET_KEY = "another server's"
    use_folders(settings, folder)
    serving.pool.clear()


def exported(version):
    target = io.BytesIO()
    archives.export(version, target)
    return target.getvalue()


def exported_content(version):
    return [entries.read(version.pk, key) for key, _, _ in entries.sizes(version)], artifacts.tree_of(
        version.pk, "weights.bin"
    )


def imported(project, archive, **options):
    return archives.import_(project, io.BytesIO(archive), by="ann", **options)


def an_artifact(version, content, path="weights.bin", folder=None):
    place = folder / "content"
    place.write_bytes(content)
    artifacts.write(version, {path.partition("/")[0]: {path: files.store(place)}})


def a_trained_version(make_backend, queue):
    name = make_backend(LEARNER)
    receive(name, annotation_created(1, "some words", "Positive"))
    project = Project.objects.get()
    training.drain(project.pk)
    project.refresh_from_db()
    return project.live


def predictions(project):
    project.refresh_from_db()
    standing = Standing(project.pk, project.generation, project.state_revision)
    [result] = serving.predict(standing, [{"id": 1, "data": {"text": "x"}}], label_config=SENTIMENT, context=None)
    return {key: value for key, value in result.items() if key != "model_version"}


def small(tmp_path):
    version = a_version(a_project(), "small", words=["a", "b"], model={1, 2})
    an_artifact(version, b"weights", folder=tmp_path)
    return version


def left_behind():
    """What there is of versions and of their files in the works."""
    return ModelVersion.objects.count(), StateEntry.objects.count(), Artifact.objects.count()


def test_a_version_predicts_the_same_on_an_empty_server(make_backend, queue, settings, tmp_path):
    version = a_trained_version(make_backend, queue)
    before, archive, backend = predictions(version.project), exported(version), version.project.backend
    another_server(settings, tmp_path / "second")
    project = a_project(backend, ls_id=77)
    copy = imported(project, archive)
    versions.promote(copy, by="ann", reason="It came from the test server.")
    assert before["score"] == 0.26
    assert predictions(project) == before


def test_an_imported_version_says_where_it_comes_from_and_is_not_live(make_backend, queue, settings, tmp_path):
    version = a_trained_version(make_backend, queue)
    version.note, version.tags, version.evaluation = "A good one.", ["release"], {"decision": "promoted"}
    version.save()
    archive, told = exported(version), f"version {version.name}, number 2, of {version.project}, made on 20"
    another_server(settings, tmp_path / "second")
    project = a_project(version.project.backend, ls_id=77)
    copy = imported(project, archive)
    assert (project.live, copy.number, copy.name, copy.parent, copy.run) == (None, 1, version.name, None, None)
    assert copy.note.startswith("Imported on 20")
    assert copy.note.endswith("A good one.")
    assert all(words in copy.note for words in ("by ann", told, "follows 0.0.1", "learnt from the events"))
    kept = ("tags", "evaluation", "metrics", "seed", "libraries", "code_hash", "annotations_hash", "size")
    assert [getattr(copy, name) for name in kept] == [getattr(version, name) for name in kept]
    # Another server has other events of those numbers.
    assert (copy.event_count, copy.first_event) == (1, None)


def test_an_imported_version_takes_the_next_number_and_a_free_name(tmp_path):
    version = small(tmp_path)
    copy = imported(version.project, exported(version))
    assert (copy.number, copy.name) == (version.number + 1, "small-2")
    version.project.refresh_from_db()
    assert version.project.live == version


def test_the_longest_name_is_given_a_number_too():
    version = a_version(a_project(), "x" * 255)
    assert imported(version.project, exported(version)).name == "x" * 253 + "-2"


def test_exporting_twice_gives_the_same_bytes(tmp_path):
    version = small(tmp_path)
    assert exported(version) == exported(version)
    for name in ("one.tar.gz", "two.tar.gz"):
        with archives.writing(tmp_path / name) as target:
            archives.export(version, target)
    assert (tmp_path / "one.tar.gz").read_bytes() == (tmp_path / "two.tar.gz").read_bytes()


def test_any_tar_program_can_unpack_it(tmp_path):
    version = small(tmp_path)
    an_artifact(version, b"deep", "folder/" + "long/" * 40 + "file", tmp_path)
    with tarfile.open(fileobj=io.BytesIO(exported(version))) as archive:
        names = archive.getnames()
        assert archive.extractfile("artifacts/weights.bin").read() == b"weights"
    assert names[:4] == ["manifest.sig", "manifest.json", "state/0001", "state/0002"]


def test_an_archive_holds_no_signature_of_its_server(tmp_path):
    version = small(tmp_path)
    entry, archive = version.entries.get(key="model"), exported(version)
    assert bytes(entry.data)[:32] not in archive
    assert bytes(entry.data)[32:] in archive


def test_a_pickle_signed_with_the_key_before_is_exported(tmp_path, settings):
    version = small(tmp_path)
    settings.SECRET_KEY_FALLBACKS, settings.SECRET_KEY = [settings.SECRET_KEY], "a new key"
    copy = imported(version.project, exported(version))
    settings.SECRET_KEY_FALLBACKS = []
    assert VersionState(copy).get("model") == {1, 2}


def test_a_pickle_that_this_server_did_not_sign_is_not_exported(tmp_path, settings):
    version = small(tmp_path)
    settings.SECRET_KEY = "another"
    with pytest.raises(StateError, match="not signed with this server's"):
        exported(version)


def test_another_archive_key_is_refused_with_what_to_do(tmp_path, settings):
    version = small(tmp_path)
    archive, before = exported(version), left_behind()
    settings.ARCHIVE_KEY = "another"
    with pytest.raises(ArchiveError, match="same one on both servers"):
        imported(version.project, archive)
    assert left_behind() == before


def test_no_changed_byte_passes(tmp_path):
    version = small(tmp_path)
    archive, before = bytearray(exported(version)), left_behind()
    for offset in range(0, len(archive), 3):
        flipped = 1 << random.randrange(8)
        archive[offset] ^= flipped
        with pytest.raises(ArchiveError):
            imported(version.project, archive)
        archive[offset] ^= flipped
    assert left_behind() == before
    assert not list((tmp_path / "first" / "cache").glob("import-*"))


def test_no_truncated_archive_passes(tmp_path):
    version = small(tmp_path)
    archive, before = exported(version), left_behind()
    for length in (*range(0, len(archive), 13), len(archive) - 1):
        with pytest.raises(ArchiveError, match="too early"):
            imported(version.project, archive[:length])
    assert left_behind() == before


def test_a_gzipped_archive_passes_unchanged_or_not_at_all(tmp_path):
    version = small(tmp_path)
    path = tmp_path / "small.tar.gz"
    with archives.writing(path) as target:
        archives.export(version, target)
    whole, plain = path.read_bytes(), exported(version)
    assert gzip.decompress(whole) == plain
    for offset in range(0, len(whole), 5):
        path.write_bytes(whole[:offset] + bytes([whole[offset] ^ 1 << random.randrange(8)]) + whole[offset + 1 :])
        try:
            with archives.reading(path) as source:
                copy = archives.import_(version.project, source, by="ann")
        except ArchiveError:
            continue
        # What was flipped says when it was zipped, or has another way to the same content.
        assert exported_content(copy) == exported_content(version)
    for length in range(0, len(whole), 17):
        path.write_bytes(whole[:length])
        with archives.reading(path) as source, pytest.raises(ArchiveError):
            archives.import_(version.project, source, by="ann")


def test_what_stands_behind_the_end_is_refused(tmp_path):
    version = small(tmp_path)
    with pytest.raises(ArchiveError, match="behind the archive's end"):
        imported(version.project, exported(version) + b"\0")


@pytest.mark.parametrize("content", [b"", b"no archive", b"x" * 5000, b"\0" * 5000])
def test_what_is_no_archive_is_refused(content):
    with pytest.raises(ArchiveError, match="no archive of a model version|too early"):
        imported(a_project(), content)


def a_manifest(**fields):
    origin = Origin("text_classifier", "A #1", 1, "made", None, datetime(2026, 11, 23, tzinfo=UTC), "", [], None)
    return replace(Manifest(origin, Lineage(), [], []), **fields)


def value(key="key", size=0, digest=NOTHING):
    return StateValue(key, StateEntry.Kind.BYTES, digest, size)


@pytest.mark.parametrize(
    ("manifest", "reason"),
    [
        (a_manifest(format=2), "format 2 and this server reads format 1"),
        (a_manifest(artifacts=[ModelFile("../../secret", NOTHING, 0)]), "printable path"),
        (a_manifest(artifacts=[ModelFile("/etc/passwd", NOTHING, 0)]), "printable path"),
        (a_manifest(artifacts=[ModelFile("a/../../b", NOTHING, 0)]), "printable path"),
        (a_manifest(artifacts=[ModelFile("a\nb", NOTHING, 0)]), "printable path"),
        (a_manifest(artifacts=[ModelFile(".hidden", NOTHING, 0)]), "cannot name an artifact"),
        (a_manifest(artifacts=[ModelFile("a", NOTHING, 0), ModelFile("a", NOTHING, 0)]), "two things of one name"),
        (a_manifest(artifacts=[ModelFile("a", NOTHING, 0), ModelFile("a/b", NOTHING, 0)]), "two things of one name"),
        (a_manifest(state=[value(), value()]), "two things of one name"),
        (a_manifest(artifacts=[ModelFile("a", NOTHING, 2**49)]), "Make room"),
        (a_manifest(artifacts=[ModelFile("a", NOTHING, 2**60)]), "artifacts.0.size"),
        (a_manifest(artifacts=[ModelFile("a", NOTHING, -1)]), "artifacts.0.size"),
        (a_manifest(state=[value(size=2**30)]), "state.0.size"),
        (a_manifest(state=[value(digest="../x")]), "state.0.digest"),
        (a_manifest(state=[value(key="")]), "state.0.key"),
        (a_manifest(state=[value()]), "too early"),
        (a_manifest(origin=replace(a_manifest().origin, name=" ")), "needs a name"),
        (a_manifest(origin=replace(a_manifest().origin, note="a\0b")), "cannot be stored"),
        (a_manifest(lineage=Lineage(metrics={"accuracy": float("nan")})), "cannot be stored"),
        (a_manifest(lineage=Lineage(code_hash="x" * 65)), "cannot be stored"),
    ],
)
def test_a_signed_manifest_is_not_trusted_blindly(manifest, reason):
    project, target = a_project(), io.BytesIO()
    writer = Writer(target)
    writer.begin(manifest)
    if not manifest.state:
        writer.end()
    with pytest.raises(ArchiveError, match=reason):
        imported(project, target.getvalue())
    assert left_behind() == (0, 0, 0)


def test_a_manifest_that_nobody_could_read_is_refused():
    told = archive_format._header("manifest.json", archive_format.MAX_MANIFEST_BYTES + 1)
    signature = archive_format._header("manifest.sig", 64) + b"0" * 64 + bytes(448)
    with pytest.raises(ArchiveError, match="changed on its way"):
        imported(a_project(), signature + told)


def test_a_version_of_another_backend_is_refused_unless_told_otherwise(tmp_path, make_backend):
    version, project = small(tmp_path), a_project(make_backend(LEARNER), ls_id=77)
    with pytest.raises(ArchiveError, match="of the backend text_classifier and the project is served by made"):
        imported(project, exported(version))
    assert imported(project, exported(version), any_backend=True).name == "small"


def test_a_pruned_version_is_not_exported(tmp_path):
    version = small(tmp_path)
    # By another process, since it was looked up.
    ModelVersion.objects.filter(pk=version.pk).update(pruned_at=version.created_at)
    with pytest.raises(ArchiveError, match="nothing left of it"):
        exported(version)


def test_a_user_without_the_permission_may_not_import(tmp_path):
    version = small(tmp_path)
    with pytest.raises(PermissionDenied):
        archives.import_(version.project, io.BytesIO(exported(version)), by=User.objects.create_user("bob"))


def test_large_files_are_never_held_in_memory(tmp_path):
    version = a_version(a_project())
    with (tmp_path / "large").open("wb") as file:
        file.truncate(96 * 1024 * 1024)
    artifacts.write(version, {"large": {"large": files.store(tmp_path / "large")}})
    tracemalloc.start()
    try:
        with archives.writing(tmp_path / "version.tar") as target:
            archives.export(version, target)
        # As on another server, where nothing of it is known.
        StoredFile.objects.update(complete=False)
        with archives.reading(tmp_path / "version.tar") as source:
            copy = archives.import_(version.project, source, by="ann")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert copy.size == version.size + 96 * 1024 * 1024
    assert peak < 16 * 1024 * 1024


def test_an_export_that_fails_leaves_no_file(tmp_path, settings):
    version = small(tmp_path)
    files.remove(StoredFile.objects.get())
    with pytest.raises(ArtifactError, match="artifact storage has no"), archives.writing(tmp_path / "a.tar") as target:
        archives.export(version, target)
    assert not list(tmp_path.glob("a.tar*"))


def test_what_a_killed_import_left_is_pruned(tmp_path, settings):
    for name, age in (("import-old", 10**6), ("import-new", 0)):
        folder = settings.ARTIFACT_CACHE / name
        folder.mkdir(parents=True)
        then = datetime.now(UTC).timestamp() - age
        os.utime(folder, (then, then))
    pruning.prune()
    assert [folder.name for folder in settings.ARTIFACT_CACHE.glob("import-*")] == ["import-new"]
