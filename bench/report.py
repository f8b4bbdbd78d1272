"""The measures as text."""

from collections.abc import Callable, Sequence
from statistics import median

from bench.load import Measure
from bench.servers import Memory

Rounds = dict[str, dict[str, list[Measure]]]
"""Measures by request and server, one for each round."""

_COLUMNS: dict[str, Callable[[Measure], str]] = {
    "req/s": lambda run: f"{run.per_second:.0f}",
    "p50 ms": lambda run: f"{run.p50:.2f}",
    "p90 ms": lambda run: f"{run.p90:.2f}",
    "p99 ms": lambda run: f"{run.p99:.2f}",
    "web CPU µs": lambda run: f"{run.server_cpu:.0f}",
    "errors": lambda run: str(run.errors),
}


def table(rounds: Rounds) -> str:
    """Return the medians of each request and server, aligned."""
    rows = [["request", "server", *_COLUMNS]]
    for case, contenders in rounds.items():
        for contender, runs in contenders.items():
            middle = _middle(runs)
            rows.append([case, contender, *(cell(middle) for cell in _COLUMNS.values())])
    return aligned(rows)


def memory_table(processes: Sequence[Memory]) -> str:
    """Return what each process holds, aligned."""
    return aligned([["process", "PSS MB"], *([item.process, f"{item.megabytes:.1f}"] for item in processes)])


def generator_load(rounds: Rounds) -> float:
    """Return the greatest share of a core that the load generator took."""
    return max(run.generator_cpu for case in rounds.values() for runs in case.values() for run in runs)


def cost(ours: Sequence[Measure], baseline: Sequence[Measure]) -> float:
    """Return how many per cent longer a request takes than the baseline's.

    The rounds are compared one by one, each with its neighbour in time, so that a machine that is
    busy for a while slows both.
    """
    return (median(bare.per_second / own.per_second for own, bare in zip(ours, baseline, strict=True)) - 1) * 100


def _middle(runs: Sequence[Measure]) -> Measure:
    return Measure(
        per_second=median(run.per_second for run in runs),
        p50=median(run.p50 for run in runs),
        p90=median(run.p90 for run in runs),
        p99=median(run.p99 for run in runs),
        errors=sum(run.errors for run in runs),
        server_cpu=median(run.server_cpu for run in runs),
        generator_cpu=median(run.generator_cpu for run in runs),
    )


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Return the rows as lines, the first one the heads."""
    columns = list(zip(*rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    numeric = [column[1][0].isdigit() for column in columns]
    lines = (
        (
            cell.rjust(width) if number else cell.ljust(width)
            for cell, width, number in zip(row, widths, numeric, strict=True)
        )
        for row in rows
    )
    return "\n".join("  ".join(line).rstrip() for line in lines)
