"""Model files: written in a fit, read where the version serves, kept once, checked, cached and pruned."""

import hashlib
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from backends.artifacts import InvalidArtifactName, TemporaryArtifacts
from backends.base import LabelStudioMLBase
from registry import artifact_cache, artifacts, files, pruning, serving, training, versions
from registry.errors import ArtifactError
from registry.models import Artifact, Event, ModelVersion, Project, StoredFile, TrainingRun
from registry.projects import Standing
from tests.factories import annotation_created, receive

pytestmark = pytest.mark.django_db(transaction=True)

WEIGHTS = """
    class Weights(LabelStudioMLBase):
        def predict(self, tasks, **kwargs):
            path = self.artifact_path("weights.bin")
            return [{"result": [], "score": float(path.read_text()) if path.exists() else 0.0} for _ in tasks]
        def fit(self, event, data, **kwargs):
            self.artifact_path("weights.bin").write_text(str(data["annotation"]["id"]))
"""
FOLDER = """
    class Folder(LabelStudioMLBase):
        def fit(self, event, data, **kwargs):
            folder = self.artifact_path("tokenizer")
            (folder / "sub").mkdir(parents=True, exist_ok=True)
            (folder / "sub" / f"{data['annotation']['id']}.txt").write_text("the same")
            (folder / "same.txt").write_text("the same")
"""


@pytest.fixture(autouse=True)
def places(tmp_path, settings) -> tuple[Path, Path]:
    """Return a storage and a cache of the test's own."""
    storage, cache = tmp_path / "storage", tmp_path / "cache"
    settings.STORAGES = settings.STORAGES | {
        "artifacts": {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": storage}}
    }
    settings.ARTIFACT_CACHE = cache
    return storage, cache


def train(name: str, *numbers: int) -> Project:
    for number in numbers:
        receive(name, annotation_created(number, "text", "Positive"))
    project = Project.objects.get(backend=name)
    training.drain(project.pk)
    project.refresh_from_db()
    return project


def score(project: Project) -> float:
    standing = Standing(project.pk, project.generation, project.state_revision)
    results = serving.predict(standing, [{"id": 1, "data": {}}], label_config=None, context=None)
    return float(results[0]["score"])


def paths(version: ModelVersion | None) -> list[str]:
    return list(Artifact.objects.filter(version=version).order_by("path").values_list("path", flat=True))


def stored(storage: Path) -> list[Path]:
    return sorted(path for path in storage.rglob("*") if path.is_file())


# --- As a model's author sees them ---------------------------------------------------------------


def test_what_a_fit_writes_is_read_by_the_predictions_of_its_version(make_backend, queue):
    project = train(make_backend(WEIGHTS), 7)
    assert score(project) == 7.0


def test_before_anything_is_learnt_there_is_no_file(make_backend, queue):
    project = train(make_backend(WEIGHTS.replace("fit", "fit_later")), 1)
    assert score(project) == 0.0


def test_a_folder_is_an_artifact_too_and_the_next_fit_adds_to_it(make_backend, queue):
    project = train(make_backend(FOLDER), 1, 2)
    assert paths(project.live) == ["tokenizer/same.txt", "tokenizer/sub/1.txt", "tokenizer/sub/2.txt"]
    tree = artifacts.tree_of(project.live.pk, "tokenizer")
    folder = artifact_cache.path("tokenizer", tree)
    assert (folder / "sub" / "2.txt").read_text() == "the same"


def test_a_fit_that_removes_its_file_leaves_a_version_without_it(make_backend, queue):
    name = make_backend("""
        class Fickle(LabelStudioMLBase):
            def fit(self, event, data, **kwargs):
                path = self.artifact_path("weights.bin")
                path.unlink() if path.exists() else path.write_text("weights")
    """)
    project = train(name, 1)
    before = project.live
    project = train(name, 2)
    assert (paths(before), paths(project.live)) == (["weights.bin"], [])


def test_a_fit_that_fails_leaves_the_files_as_they_were(make_backend, queue):
    name = make_backend("""
        class Fails(LabelStudioMLBase):
            def fit(self, event, data, **kwargs):
                path = self.artifact_path("weights.bin")
                path.write_text(str(data["annotation"]["id"]))
                if data["annotation"]["id"] == 2:
                    raise RuntimeError("no memory")
    """)
    project = train(name, 1, 2)
    tree = artifacts.tree_of(project.live.pk, "weights.bin")
    assert artifact_cache.path("weights.bin", tree).read_text() == "1"


def test_a_fit_that_writes_the_same_again_makes_no_version(make_backend, queue):
    name = make_backend("""
        class Same(LabelStudioMLBase):
            def fit(self, event, data, **kwargs):
                self.artifact_path("weights.bin").write_text("always")
    """)
    assert train(name, 1, 2, 3).versions.count() == 2


def test_a_file_that_is_not_asked_for_goes_on_to_the_next_version(make_backend, queue):
    name = make_backend("""
        class Once(LabelStudioMLBase):
            def fit(self, event, data, **kwargs):
                if not self.get("done"):
                    self.artifact_path("weights.bin").write_text("weights")
                self.set("done", data["annotation"]["id"])
    """)
    assert paths(train(name, 1, 2).live) == ["weights.bin"]


def test_after_a_rollback_the_older_file_is_served(make_backend, queue):
    name = make_backend(WEIGHTS)
    project = train(name, 1, 2)
    assert score(project) == 2.0
    versions.rollback(project.pk, by="ann", reason="worse")
    project.refresh_from_db()
    assert score(project) == 1.0


@pytest.mark.parametrize("name", ["", "..", "a/b", "/etc/passwd", ".hidden", "a\\b", "nul\0", "x" * 201])
def test_a_name_that_is_no_plain_file_name_is_refused(name):
    with pytest.raises(InvalidArtifactName, match="plain file name"):
        TemporaryArtifacts().path(name)


def test_a_model_on_its_own_has_files_too():
    model: Any = LabelStudioMLBase()
    model.artifact_path("weights.bin").write_text("weights")
    assert model.artifact_path("weights.bin").read_text() == "weights"


# --- In the storage and the cache ----------------------------------------------------------------


def test_equal_content_is_stored_once(make_backend, queue, places):
    train(make_backend(FOLDER), 1, 2, 3)
    assert len(stored(places[0])) == 1
    assert StoredFile.objects.get().complete


def test_content_that_was_changed_in_the_storage_is_not_served(make_backend, queue, places):
    project = train(make_backend(WEIGHTS), 7)
    stored(places[0])[0].write_text("8")
    with pytest.raises(ArtifactError, match="changed after it was stored"):
        artifact_cache.path("weights.bin", artifacts.tree_of(project.live.pk, "weights.bin"))


def test_content_that_is_gone_from_the_storage_is_named(make_backend, queue, places):
    project = train(make_backend(WEIGHTS), 7)
    stored(places[0])[0].unlink()
    with pytest.raises(ArtifactError, match=hashlib.sha256(b"7").hexdigest()):
        artifact_cache.path("weights.bin", artifacts.tree_of(project.live.pk, "weights.bin"))


def test_a_file_is_fetched_once(make_backend, queue, places):
    project = train(make_backend(WEIGHTS), 7)
    assert score(project) == 7.0
    stored(places[0])[0].unlink()
    assert score(project) == 7.0


def test_the_cache_drops_what_was_not_asked_for_longest_when_it_is_full(tmp_path, settings, monkeypatch, places):
    settings.ARTIFACT_CACHE_MB = 1
    monkeypatch.setattr(artifact_cache, "_IN_USE_SECONDS", 0)
    found = []
    for number in range(3):
        source = tmp_path / f"{number}.bin"
        source.write_bytes(bytes([number]) * 600_000)
        found.append(artifact_cache.path("weights.bin", {"weights.bin": files.store(source)}))
    assert [path.exists() for path in found] == [False, False, True]


def test_what_a_cut_off_store_left_is_stored_anew(tmp_path, places):
    source = tmp_path / "weights.bin"
    source.write_text("whole")
    digest = hashlib.sha256(b"whole").hexdigest()
    kept = StoredFile.objects.create(digest=digest, size=5)
    torn = places[0] / kept.storage_name
    torn.parent.mkdir(parents=True)
    torn.write_text("who")
    assert files.store(source).complete
    assert torn.read_text() == "whole"


def test_pruning_finds_what_a_cut_off_store_left(tmp_path, places):
    kept = StoredFile.objects.create(digest="ab" * 32, size=5)
    torn = places[0] / kept.storage_name
    torn.parent.mkdir(parents=True)
    torn.write_text("who")
    StoredFile.objects.update(stored_at=timezone.now() - timedelta(days=1))
    assert pruning.prune().files == 1
    assert not torn.exists()
    assert not StoredFile.objects.exists()


def test_pruning_leaves_what_versions_hold(make_backend, queue, places):
    train(make_backend(FOLDER), 1)
    StoredFile.objects.update(stored_at=timezone.now() - timedelta(days=1))
    assert pruning.prune().files == 0
    assert len(stored(places[0])) == 1


def test_pruning_removes_the_folder_of_a_fit_that_was_killed(make_backend, queue, places):
    project = train(make_backend(WEIGHTS), 1)
    running = TrainingRun.objects.create(project=project, status=TrainingRun.Status.RUNNING)
    dead, alive = (places[1] / f"run-{number}-x" for number in (running.pk - 1, running.pk))
    dead.mkdir(parents=True)
    alive.mkdir()
    pruning.prune()
    assert (dead.exists(), alive.exists()) == (False, True)


def test_a_fit_leaves_no_folder_behind(make_backend, queue, places):
    train(make_backend(WEIGHTS), 1)
    assert Event.objects.get().status == "done"
    assert list(places[1].glob("run-*")) == []
