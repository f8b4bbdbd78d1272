"""Send a burst of webhooks while fits run: how fast they are acknowledged, and when all are trained on.

Beside this server stands a bare Django view that inserts one row and answers: what storing costs at least.
"""

import argparse
import asyncio
import json
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import psycopg2

from bench.cases import recorded
from bench.delivery import Answer, Delivery, deliver
from bench.engines import execute, throwaway_engines
from bench.report import aligned
from bench.servers import ROOT, Server, environment_of, running
from mlserver.embedded import DATABASE, POSTGRES_USER, ensure_postgres

_PROJECTS = 20
_CONNECTIONS = 50
# Every so many webhooks somebody asks for the health, and for a prediction.
_ASKED = 20
_SECONDS_TO_DRAIN = 900
_BARE = "Django, one INSERT"
_TABLE = "CREATE TABLE bench_event (id bigserial PRIMARY KEY, received_at timestamptz DEFAULT now(), body bytea)"


@dataclass(frozen=True)
class Burst:
    """What came of one burst."""

    name: str
    answers: Sequence[Answer]
    seconds: float
    """From the first webhook to the last answer."""
    drained: float | None = None
    """From the first webhook until everything was trained on."""
    runs: int = 0
    jobs: int = 0


def main() -> None:
    """Run the bench as the command line asks."""
    options = _options()
    with (
        throwaway_engines() as engines,
        running(engines, options.web, options.threads) as (ours, bare),
        _workers(engines, options.workers),
    ):
        database = _database_url(engines)
        execute(database, _TABLE)
        bursts = [
            _burst(_BARE, bare, "/insert", options.events),
            _trained_burst("mlserver, one fit for all that wait", ours, "/together", options.events, database),
            _trained_burst("mlserver, a fit for each event", ours, "/each", options.each, database),
        ]
    _print(bursts, options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.events", description=__doc__)
    parser.add_argument("--events", type=int, default=10_000, help="webhooks of a burst (default: %(default)s)")
    parser.add_argument("--each", type=int, default=1_000, help="where each has a fit (default: %(default)s)")
    parser.add_argument("--web", type=int, default=2, help="gunicorn's workers (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=4, help="threads of each (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="RQ's workers (default: %(default)s)")
    return parser.parse_args()


@contextmanager
def _workers(engines: dict[str, str], count: int) -> Iterator[None]:
    command = [sys.executable, "manage.py", "rqworker"]
    started = [
        subprocess.Popen(command, cwd=ROOT, env=environment_of(engines), stderr=subprocess.DEVNULL)
        for _ in range(count)
    ]
    try:
        yield
    finally:
        for worker in started:
            worker.send_signal(signal.SIGTERM)
        for worker in started:
            worker.wait()


def _trained_burst(name: str, server: Server, prefix: str, events: int, database: str) -> Burst:
    begin = time.perf_counter()
    burst = _burst(name, server, prefix, events)
    backend = prefix.removeprefix("/")
    waiting = "SELECT count(*) FROM registry_event e JOIN registry_project p ON p.id = e.project_id"
    deadline = begin + _SECONDS_TO_DRAIN
    while _ask(database, f"{waiting} WHERE p.backend = %s AND e.status = 'pending'", backend)[0]:
        if time.perf_counter() > deadline:
            raise RuntimeError(f"{name}: not all was trained on within {_SECONDS_TO_DRAIN} s.\n{server.log()}")
        time.sleep(0.1)
    drained = time.perf_counter() - begin
    counts = "SELECT count(*), count(DISTINCT r.job) FROM registry_trainingrun r"
    of_backend = "JOIN registry_project p ON p.id = r.project_id WHERE p.backend = %s AND r.status = 'succeeded'"
    runs, jobs = _ask(database, f"{counts} {of_backend}", backend)
    return Burst(name, burst.answers, burst.seconds, drained, runs, jobs)


def _burst(name: str, server: Server, prefix: str, events: int) -> Burst:
    answers: list[Answer] = []
    port = urlsplit(server.address).port or 0
    for endpoint in ("health", "predict"):
        _warm(server.address + prefix, endpoint)
    begin = time.perf_counter()
    asyncio.run(deliver(port, _requests(prefix, events), _CONNECTIONS, answers))
    return Burst(name, answers, time.perf_counter() - begin)


def _requests(prefix: str, events: int) -> Iterator[Delivery]:
    webhook, predict = recorded("webhook_ANNOTATION_CREATED"), json.dumps(recorded("predict_single")).encode()
    for number in range(1, events + 1):
        project = 1 + number % _PROJECTS
        told = webhook | {
            "annotation": webhook["annotation"] | {"id": number},
            "project": webhook["project"] | {"id": project},
        }
        yield Delivery(f"{prefix}/webhook", json.dumps(told).encode(), project, number)
        if number % _ASKED == 0:
            yield Delivery(f"{prefix}/health")
            yield Delivery(f"{prefix}/predict", predict)


def _warm(address: str, endpoint: str) -> None:
    body = None if endpoint == "health" else json.dumps(recorded("predict_single")).encode()
    request = urllib.request.Request(f"{address}/{endpoint}", body, {"Content-Type": "application/json"})
    urllib.request.urlopen(request, timeout=30).close()


def _print(bursts: Sequence[Burst], options: argparse.Namespace) -> None:
    print(
        f"{_PROJECTS} projects, {_CONNECTIONS} connections; gunicorn with {options.web} workers of "
        f"{options.threads} threads, {options.workers} RQ workers, fits of 50 ms.\n"
    )
    rows = [["", "events", "acknowledged/s", "p50 ms", "p95 ms", "p99 ms", "max ms", "over 1 s", "not 201"]]
    for burst in bursts:
        webhooks = [answer for answer in burst.answers if answer.delivery.number]
        refused = sum(answer.status != 201 for answer in webhooks)
        late = sum(answer.seconds > 1 for answer in webhooks)
        rate = f"{len(webhooks) / burst.seconds:.0f}"
        rows.append([burst.name, str(len(webhooks)), rate, *_latencies(webhooks), str(late), str(refused)])
    print(aligned(rows))
    print("\nMeanwhile:")
    rows = [["", "request", "p50 ms", "p95 ms", "p99 ms", "max ms", "not 200"]]
    for burst in bursts:
        for endpoint in ("health", "predict"):
            asked = [answer for answer in burst.answers if answer.delivery.path.endswith(endpoint)]
            refused = sum(answer.status != 200 for answer in asked)
            rows.append([burst.name, endpoint, *_latencies(asked), str(refused)])
    print(aligned(rows))
    print()
    for burst in bursts:
        if burst.drained is not None:
            print(f"{burst.name}: trained on after {burst.drained:.1f} s, by {burst.runs} runs in {burst.jobs} jobs.")


def _latencies(answers: Sequence[Answer]) -> list[str]:
    seconds = sorted(answer.seconds for answer in answers)
    last = len(seconds) - 1
    return [f"{seconds[int(last * share)] * 1e3:.1f}" for share in (0.5, 0.95, 0.99, 1)]


def _database_url(engines: dict[str, str]) -> str:
    if "DATABASE_URL" in engines:
        return engines["DATABASE_URL"]
    folder = ensure_postgres(Path(engines["VAR_DIR"])).socket.parent
    return f"postgresql://{POSTGRES_USER}@{quote(str(folder), safe='')}/{DATABASE}"


def _ask(url: str, statement: str, *parameters: Any) -> tuple[Any, ...]:
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchone() or ()


if __name__ == "__main__":
    main()
