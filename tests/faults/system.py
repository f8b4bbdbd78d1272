"""The whole of it, each part a process that can be killed: Postgres, Redis, web servers, workers."""

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import psycopg2
import redis

from bench.delivery import Answer, Delivery
from mlserver.embedded import DATABASE, POSTGRES_USER
from mlserver.embedded.accounts import account_for
from mlserver.embedded.postgres import Postgres
from mlserver.embedded.redis import Redis
from tests.factories import CREATED, annotation_created
from tests.processes import eventually
from tests.servers import PROJECT, Gunicorn, Worker

MODEL = Path(__file__).with_name("model.py")
EACH, TOGETHER = "each", "together"


class System:
    """Engines of its own, and the processes of this project that use them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._postgres = Postgres(folder)
        self._redis = Redis(folder)
        self._account = account_for(folder / "postgres")
        self._workers: list[Worker] = []
        self.backends = folder / "backends"
        for name in (EACH, TOGETHER):
            (self.backends / name).mkdir(parents=True)
            shutil.copy(MODEL, self.backends / name)
        self._postgres.start()
        self._redis.start()
        host = str(self._postgres.address.socket.parent).replace("/", "%2F")
        self.environment = {
            "DATABASE_URL": f"postgresql://{POSTGRES_USER}@{host}/{DATABASE}",
            "REDIS_URL": f"unix://{self._redis.address.socket}",
            "SECRET_KEY": "a key of the tests that signs nothing of anybody else's",
            "VAR_DIR": str(folder),
            "BACKENDS_PATH": str(self.backends),
            "ML_BACKEND": EACH,
            "HEARTBEAT_SECONDS": "3",
            "REQUEUE_SECONDS": "1",
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": ":".join([str(PROJECT), *sys.path]),
        }
        subprocess.run(
            [sys.executable, "manage.py", "migrate", "-v0"], cwd=PROJECT, env=self.environment, check=True, timeout=60
        )
        self.web = self._new_web()

    # --- Faults ---

    def restart_web(self) -> None:
        """Kill the web server, master and workers, and start another one on its port."""
        self.web.kill()
        self.web = self._new_web(self.web.port)

    def kill_redis(self) -> None:
        """Kill Redis, and what it had on disk is gone too."""
        with closing(self.redis()) as client:
            process = psutil.Process(client.info("server")["process_id"])
        process.kill()
        eventually(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE)
        shutil.rmtree(self._redis.address.data_dir)

    def start_redis(self) -> None:
        """Start an empty Redis."""
        self._redis.start()

    def restart_postgres(self, mode: str) -> None:
        """Restart Postgres as its operator would; the mode is pg_ctl's."""
        address = self._postgres.address
        where: list[str | Path] = ["-D", address.data_dir, "-l", address.data_dir / "server.log"]
        done = self._account.run([address.programs / "pg_ctl", "restart", "-w", "-m", mode, *where])
        assert done.returncode == 0, done.stdout
        # Takes the new one over, to stop it at the end.
        self._postgres.start()

    def stop_postgres(self) -> None:
        """Stop Postgres, with its data on disk."""
        self._postgres.stop()

    def start_postgres(self) -> None:
        """Start Postgres on its data."""
        self._postgres.start()

    # --- Processes ---

    def worker(self, *options: str, **settings: str) -> Worker:
        """Start a worker, which is killed at the end of the test."""
        log = self._folder / f"worker.{len(self._workers)}.log"
        self._workers.append(Worker(self.environment | settings, *options, log=log))
        return self._workers[-1]

    def clear(self) -> None:
        """End the workers, and forget every project and every job."""
        for worker in self._workers:
            worker.kill()
        self._workers.clear()
        for trace in self.backends.glob("*/trace"):
            trace.unlink()
        self.query("TRUNCATE registry_project, registry_trainingrun, registry_modelversion CASCADE")
        with closing(self.redis()) as client:
            client.flushall()

    def stop(self) -> None:
        """Stop everything."""
        self.clear()
        self.web.stop()
        self._redis.stop()
        self._postgres.stop()

    def redis(self) -> redis.Redis:
        return redis.Redis(unix_socket_path=str(self._redis.address.socket))

    def _new_web(self, port: int | None = None) -> Gunicorn:
        web = Gunicorn(self.environment, self._folder / "web.log", port)
        web.await_start()
        return web

    # --- What is seen of it from outside ---

    @property
    def logs(self) -> str:
        """The ends of what the web server and the workers of this test wrote."""
        return "\n\n".join(process.log[-5000:] for process in (self.web, *self._workers))

    def tell(self, backend: str, number: int, text: str = "text", project: int = 1) -> int:
        """Send a webhook, and return the number of its event."""
        delivery = webhook(backend, number, text, project)
        return int(self.web.ask(delivery.path, json.loads(delivery.body or b""))["event"])

    def seen(self, backend: str, project: int = 1) -> list[int]:
        """Return what the served model has learnt, in order."""
        found: list[int] = self.web.predict(backend=backend, project=f"{project}.{CREATED}")["result"][0]["seen"]
        return found

    def trace(self, backend: str) -> list[list[str]]:
        """Return the beginnings and ends of fits: what, project, process, program."""
        path = self.backends / backend / "trace"
        return [line.split(" ") for line in path.read_text().splitlines()] if path.exists() else []

    def await_fit(self, backend: str, count: int = 1) -> None:
        """Wait until that many fits have begun."""
        eventually(lambda: sum(line[0] == "begin" for line in self.trace(backend)) >= count)

    def await_trained(self, seconds: float = 45) -> None:
        """Wait until no event waits and no fit runs."""
        busy = (
            "SELECT EXISTS (SELECT FROM registry_event WHERE status = 'pending')"
            " OR EXISTS (SELECT FROM registry_trainingrun WHERE status IN ('queued', 'running'))"
        )
        eventually(lambda: self.query(busy) == [(False,)], seconds)

    def count(self, what: str, **fields: str) -> int:
        """Count the rows of a table of the registry."""
        conditions = " AND ".join(f"{name} = %s" for name in fields) or "true"
        return int(self.query(f"SELECT count(*) FROM registry_{what} WHERE {conditions}", *fields.values())[0][0])

    def query(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Ask Postgres, on a connection of its own."""
        with closing(psycopg2.connect(self.environment["DATABASE_URL"])) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement, parameters)
                return cursor.fetchall() if cursor.description else []


def webhook(backend: str, number: int, text: str = "text", project: int = 1) -> Delivery:
    """Return the webhook of a new annotation in that project."""
    body = json.dumps(annotation_created(number, text, "Positive", ls_id=project)).encode()
    return Delivery(f"/{backend}/webhook", body, project, number)


def assert_trained_once(system: System, backend: str, answers: Sequence[Answer]) -> None:
    """Check that each event answered 201 was trained on once, in order; the others once at most."""
    for project in sorted({answer.delivery.project for answer in answers}):
        accepted = [answer for answer in answers if answer.status == 201 and answer.delivery.project == project]
        in_order = [answer.delivery.number for answer in sorted(accepted, key=lambda answer: int(answer.data["event"]))]
        seen = system.seen(backend, project)
        assert len(seen) == len(set(seen))
        assert [number for number in seen if number in set(in_order)] == in_order
    assert_nothing_left(system)


def assert_nothing_left(system: System) -> None:
    """Check that every event is done, and that each fit which succeeded made one version."""
    assert system.query("SELECT DISTINCT status FROM registry_event") == [("done",)]
    made = system.query("SELECT count(*), count(DISTINCT run_id) FROM registry_modelversion WHERE run_id IS NOT NULL")
    succeeded = system.count("trainingrun", status="succeeded")
    assert made == [(succeeded, succeeded)]
