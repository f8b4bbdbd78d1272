"""The server as production runs it: a real gunicorn with processes of its own."""

from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest

from registry import training, versions
from registry.models import ModelVersion, Project, Promotion
from tests.factories import annotation_created, receive
from tests.servers import Gunicorn

TOKEN = "a-token-that-nobody-may-read"

# Tells by whom it was imported and who predicts, and makes a new version when a task says so.
TELLTALE = """
    import os
    IMPORTED_BY = os.getpid()

    class Telltale(LabelStudioMLBase):
        def predict(self, tasks, context=None, **kwargs):
            if tasks[0]["data"]["text"] == "new version":
                self.bump_model_version()
            return [{"result": [{"imported by": IMPORTED_BY, "predicted by": os.getpid()}]} for _ in tasks]
"""

LEARNS = """
    class Learns(LabelStudioMLBase):
        def fit(self, event, data, **kwargs):
            self.set("seen", [*(self.get("seen") or []), data["annotation"]["id"]])
            self.artifact_path("weights.txt").write_text(f"weights of {data['annotation']['id']}")
        def predict(self, tasks, context=None, **kwargs):
            weights = self.artifact_path("weights.txt")
            text = weights.read_text() if weights.exists() else ""
            return [{"result": [{"seen": self.get("seen"), "weights": text}]} for _ in tasks]
"""


@contextmanager
def only(worker: psutil.Process, among: list[psutil.Process]) -> Iterator[None]:
    """Let this worker alone run, so that it is the one that answers."""
    others = [other for other in among if other.pid != worker.pid]
    for other in others:
        other.suspend()
    try:
        yield
    finally:
        for other in others:
            other.resume()


@pytest.fixture
def serve(tmp_path, process_env):
    """Return a function that starts a server with these settings, stopped after the test."""
    servers: list[Gunicorn] = []

    def start(**settings: str) -> Gunicorn:
        servers.append(Gunicorn(process_env | settings, tmp_path / f"gunicorn.{len(servers)}.log"))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


def test_it_serves_health_and_predictions_and_opens_no_control_socket(chosen, serve, tmp_path):
    server = serve(ML_BACKEND=chosen(TELLTALE), HOME=str(tmp_path), XDG_RUNTIME_DIR=str(tmp_path))
    server.await_start()

    assert server.ask("/health")["status"] == "UP"
    assert server.predict()["model_version"] == "0.0.1"
    assert not list(tmp_path.rglob("gunicorn.ctl"))


def test_each_worker_sees_the_other_ones_new_version_at_its_next_request(chosen, serve):
    server = serve(ML_BACKEND=chosen(TELLTALE))
    server.await_start()
    one, other = workers = server.workers()
    with only(other, workers):
        before = server.predict()

    with only(one, workers):
        server.predict("new version")
    with only(other, workers):
        after = server.predict()

    assert after["result"][0]["predicted by"] == before["result"][0]["predicted by"] == other.pid
    assert (before["model_version"], after["model_version"]) == ("0.0.1", "0.1.0")


def test_after_ten_fits_a_rollback_to_the_third_is_served_by_each_worker_and_learnt_on(
    chosen, serve, queue, tmp_path, settings
):
    name = chosen(LEARNS)
    artifacts = settings.STORAGES["artifacts"] | {"OPTIONS": {"location": tmp_path / "artifacts"}}
    settings.STORAGES = settings.STORAGES | {"artifacts": artifacts}
    settings.ARTIFACT_CACHE = tmp_path / "cache"
    for number in range(1, 11):
        receive(name, annotation_created(number, "text", "Positive"))
    project = Project.objects.get()
    training.drain(project.pk)
    server = serve(
        ML_BACKEND=name, ARTIFACT_STORAGE=str(tmp_path / "artifacts"), ARTIFACT_CACHE=str(tmp_path / "cache")
    )
    server.await_start()
    workers = server.workers()
    for worker in workers:
        with only(worker, workers):
            assert server.predict()["result"][0]["weights"] == "weights of 10"

    third = ModelVersion.objects.get(name="0.3.0")
    versions.promote(third, by="ann", reason="the third was the best")
    for worker in workers:
        with only(worker, workers):
            after = server.predict()
        assert after["result"] == [{"seen": [1, 2, 3], "weights": "weights of 3"}]
        assert after["model_version"] == "0.3.0"

    receive(name, annotation_created(11, "text", "Positive"))
    training.drain(project.pk)
    assert ModelVersion.objects.latest("id").parent == third
    assert server.predict()["result"] == [{"seen": [1, 2, 3, 11], "weights": "weights of 11"}]
    move = Promotion.objects.filter(actor="ann").get()
    assert (str(move.to_version), move.reason, move.created_at is not None) == ("0.3.0", "the third was the best", True)


@pytest.mark.parametrize("preload", [True, False])
def test_the_backend_is_imported_by_the_master_or_where_it_must_not_by_each_worker(chosen, serve, preload):
    server = serve(ML_BACKEND=chosen(TELLTALE), PRELOAD_BACKEND=str(preload))
    server.await_start()

    region = server.predict()["result"][0]

    assert region["imported by"] == (server.process.pid if preload else region["predicted by"])


def test_a_backend_that_cannot_be_imported_is_told_of_and_the_server_serves(chosen, serve):
    server = serve(ML_BACKEND=chosen("import a_library_that_is_not_there"))
    server.await_start()

    assert server.ask("/health")["status"] == "UP"
    assert "cannot be used" in server.log
    assert "'a_library_that_is_not_there', which is not installed" in server.log


def test_the_access_log_is_off_unless_asked_for_and_never_shows_a_token(serve):
    silent, logging = serve(), serve(ACCESS_LOG="true", URL_TOKEN=TOKEN)
    for server in (silent, logging):
        server.await_start()
        server.ask(f"/t/{TOKEN}/health")
    logging.await_in_log('"GET /t/•••/health HTTP/1.1" 200')

    assert "/health" not in silent.log
    assert TOKEN not in logging.log


def test_a_setting_that_is_wrong_is_named_in_one_line(serve):
    server = serve(WEB_WORKERS="many")

    assert server.process.wait(timeout=30) != 0
    assert server.log.strip() == "Error: WEB_WORKERS must be a whole number; it is 'many'."
