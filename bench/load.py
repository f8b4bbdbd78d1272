"""Send a request over and over on a few connections, and measure."""

import json
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench import sockets
from bench.cases import Case

CONNECTIONS = 8
_SCRIPT = Path(__file__).resolve().parent / "wrk.lua"


@dataclass(frozen=True)
class Measure:
    """What one run showed."""

    per_second: float
    p50: float
    p90: float
    p99: float
    """The latencies that half, nine tenths and 99 % of the requests stay under, in milliseconds."""
    errors: int
    server_cpu: float
    """What a request takes of a web process's time, in microseconds."""
    generator_cpu: float
    """How much of one core the generator itself took: near 1, it is what was measured."""


@dataclass(frozen=True)
class _Load:
    """What a generator has seen; latencies in seconds."""

    requests: int
    seconds: float
    latencies: tuple[float, float, float]
    errors: int


Generator = Callable[[Case, str, int], _Load]


def generator() -> tuple[str, Generator]:
    """Return the load generator of this machine and its name: wrk where it is installed."""
    return ("wrk", _by_wrk) if shutil.which("wrk") else ("the bench's own client, as wrk is missing", _by_sockets)


def measure(generate: Generator, case: Case, url: str, seconds: int, server_cpu: Callable[[], float]) -> Measure:
    """Load the address for that long."""
    generator_before, server_before = _child_seconds(), server_cpu()
    load = generate(case, url, seconds)
    p50, p90, p99 = (latency * 1e3 for latency in load.latencies)
    return Measure(
        per_second=load.requests / load.seconds,
        p50=p50,
        p90=p90,
        p99=p99,
        errors=load.errors,
        server_cpu=(server_cpu() - server_before) / max(load.requests, 1) * 1e6,
        generator_cpu=(_child_seconds() - generator_before) / load.seconds,
    )


def _by_wrk(case: Case, url: str, seconds: int) -> _Load:
    with tempfile.NamedTemporaryFile() as body:
        body.write(case.body or b"")
        body.flush()
        options = ["-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout=10s", "-s", str(_SCRIPT)]
        arguments = [case.method, body.name if case.body else "-"]
        done = subprocess.run(["wrk", *options, url, "--", *arguments], check=True, capture_output=True, text=True)
    found = json.loads(done.stdout.rstrip().rpartition("\n")[2])
    latencies = (found["p50"] / 1e6, found["p90"] / 1e6, found["p99"] / 1e6)
    return _Load(found["requests"], found["microseconds"] / 1e6, latencies, found["errors"])


def _by_sockets(case: Case, url: str, seconds: int) -> _Load:
    latencies, errors = sockets.hammer(case, url, seconds, CONNECTIONS)
    latencies.sort()
    last = len(latencies) - 1
    p50, p90, p99 = (latencies[int(last * share)] for share in (0.5, 0.9, 0.99))
    return _Load(len(latencies), seconds, (p50, p90, p99), errors)


def _child_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
