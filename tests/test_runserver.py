"""The commands that run the server on one machine, as real processes."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import redis
import requests
import rq
from django.contrib.auth import authenticate, get_user_model
from django.core.management import call_command

from mlserver.embedded import redis_socket_path
from mlserver.embedded.processes import alive
from registry.models import TrainingRun
from tests.factories import annotation_created, receive
from tests.processes import clean_up, eventually, processes_of
from tests.servers import PROJECT, free_port


class Server:
    """`manage.py runserver` on a free port, with its engines in a var folder of its own."""

    def __init__(self, var_dir: Path, *options: str) -> None:
        self.var_dir = var_dir
        self.port = free_port()
        self._log = var_dir.with_name(f"server-{self.port}.log")
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                [*manage("runserver", str(self.port)), *options],
                cwd=PROJECT,
                env=environment(var_dir),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def __enter__(self) -> "Server":
        eventually(lambda: "is ready" in self.output or self.process.poll() is not None, seconds=60)
        assert self.process.poll() is None, self.output
        return self

    def __exit__(self, *error: object) -> None:
        self.process.terminate()
        self.process.wait()

    @property
    def output(self) -> str:
        return self._log.read_text()

    def descendants(self, word: str = "") -> list[psutil.Process]:
        """Return the processes that the server started, or those whose command has that word."""
        found = []
        for process in psutil.Process(self.process.pid).children(recursive=True):
            with suppress(psutil.Error):
                if alive(process) and word in " ".join(process.cmdline()):
                    found.append(process)
        return found

    def worker(self) -> psutil.Process:
        """Return the worker, once there is one."""
        eventually(lambda: self.descendants("rqworker"))
        return self.descendants("rqworker")[0]

    def queue(self) -> rq.Queue:
        return rq.Queue(connection=redis.Redis(unix_socket_path=str(redis_socket_path(self.var_dir))))


def manage(*arguments: str) -> list[str]:
    return [sys.executable, "manage.py", *arguments]


def environment(var_dir: Path) -> dict[str, str]:
    # An empty variable means that it is not set.
    return os.environ | {"VAR_DIR": str(var_dir), "DATABASE_URL": "", "REDIS_URL": "", "ML_BACKEND": "text_classifier"}


def run(var_dir: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        manage(*arguments), cwd=PROJECT, env=environment(var_dir), capture_output=True, text=True, timeout=60
    )


@pytest.fixture
def var_dir(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "var"
    clean_up(tmp_path / "var")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A running server, for tests that leave it so."""
    var_dir = tmp_path_factory.mktemp("server") / "var"
    with Server(var_dir) as server:
        yield server
    clean_up(var_dir)


def test_a_server_started_without_any_configuration_answers(server):
    answer = requests.get(f"http://127.0.0.1:{server.port}/health", timeout=10)
    assert (answer.status_code, answer.json()["status"]) == (200, "UP")


def test_it_says_what_to_paste_where_data_is_and_how_to_stop(server):
    for words in (f"http://localhost:{server.port}\n", "/admin/\n", "text_classifier", str(server.var_dir), "Ctrl-C"):
        assert words in server.output


def test_it_says_which_folder_holds_a_database_that_lies_elsewhere(server):
    assert str((server.var_dir / "postgres").resolve().parent) in server.output


def test_the_admin_opens_with_the_password_that_was_printed(server):
    password = server.output.split("Password")[1].split()[0]
    login = f"http://127.0.0.1:{server.port}/admin/login/"
    with requests.Session() as session:
        session.get(login, timeout=10)
        form = {"username": "admin", "password": password, "csrfmiddlewaretoken": session.cookies["mlserver_csrftoken"]}
        answer = session.post(f"{login}?next=/admin/", data=form, timeout=10)
    assert answer.url.endswith("/admin/")
    assert answer.status_code == 200


def test_a_port_that_is_taken_is_named_before_anything_starts(server, tmp_path):
    done = run(tmp_path / "var", "runserver", str(server.port))
    assert done.returncode == 1
    assert f"Port {server.port} on 127.0.0.1 is in use" in done.stderr
    assert "PORT=" in done.stderr
    assert not (tmp_path / "var" / "engines").exists()


def test_an_unknown_backend_is_answered_with_those_there_are(tmp_path):
    done = run(tmp_path / "var", "runserver", str(free_port()), "--backend", "no_such")
    assert done.returncode == 1
    assert "no_such" in done.stderr
    assert "text_classifier" in done.stderr
    assert not (tmp_path / "var" / "engines").exists()


def test_a_worker_that_died_is_started_again(server):
    first = server.worker()
    first.kill()
    eventually(lambda: [process for process in server.descendants("rqworker") if process != first])


def test_a_killed_server_takes_worker_job_and_engines_with_it(var_dir):
    with Server(var_dir) as server:
        worker = server.worker()
        server.queue().enqueue("time.sleep", 600)
        eventually(worker.children)
        started = server.descendants()
        server.process.kill()
        eventually(lambda: not any(alive(process) for process in started))
    eventually(lambda: not processes_of(var_dir))


def test_a_serving_process_killed_under_its_reloader_leaves_no_worker(var_dir):
    with Server(var_dir) as server:
        worker = server.worker()
        psutil.Process(worker.ppid()).kill()
        eventually(lambda: not alive(worker))


def test_the_password_is_shown_at_the_first_start_only(var_dir):
    with Server(var_dir, "--no-worker", "--noreload") as first:
        assert "shown only once" in first.output
        assert first.descendants("rqworker") == []
    with Server(var_dir, "--no-worker", "--noreload") as second:
        assert "Password" not in second.output


def test_a_backend_named_on_the_command_line_is_served(var_dir, make_backend, settings):
    name = make_backend("""
        class Named(LabelStudioMLBase):
            def predict(self, tasks, context=None, **kwargs):
                return []
    """)
    folder = str(settings.BACKENDS_PATH[-1])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BACKENDS_PATH", folder)
        with Server(var_dir, "--no-worker", "--noreload", "--backend", name) as server:
            answer = requests.get(f"http://127.0.0.1:{server.port}/health", timeout=10)
    assert answer.json()["backend"] == name


def test_ensureadmin_makes_one_administrator_and_shows_the_password_once(db, capsys):
    call_command("ensureadmin")
    password = capsys.readouterr().out.split("Password")[1].split()[0]
    user = authenticate(username="admin", password=password)
    assert user
    assert user.is_superuser
    call_command("ensureadmin")
    assert capsys.readouterr().out == ""
    assert get_user_model().objects.filter(is_superuser=True).count() == 1


def test_a_worker_trains_on_what_waited_before_it_started(make_backend, queue, process_env):
    name = make_backend("""
        class Learning(LabelStudioMLBase):
            def fit(self, event, data, **kwargs):
                self.set("learnt", event)
    """)
    receive(name, annotation_created(1, "good", "Positive"))
    queue.empty()
    done = subprocess.run(
        manage("rqworker", "--burst"), cwd=PROJECT, env=process_env, capture_output=True, text=True, timeout=60
    )
    assert TrainingRun.objects.get().status == TrainingRun.Status.SUCCEEDED, done.stderr
