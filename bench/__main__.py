"""Measure the server and the baselines in turns, and print the medians."""

import argparse
import json
import urllib.request
from collections.abc import Sequence

from bench.cases import Case, all_cases
from bench.engines import throwaway_engines
from bench.load import CONNECTIONS, Generator, generator, measure
from bench.report import Rounds, cost, generator_load, memory_table, table
from bench.servers import Contender, Server, running

_OURS = "mlserver"
_PLAIN = "DRF as it comes"
_FIXED = "DRF, fixed orjson"
_FUNCTION = "Django function"


def main() -> None:
    """Run the bench as the command line asks."""
    options = _options()
    cases = [case for case in all_cases() if not options.only or case.name.startswith(tuple(options.only))]
    name, generate = generator()
    print(
        f"{options.rounds} rounds of {options.seconds} s each, {CONNECTIONS} connections by {name}; "
        f"gunicorn with {options.workers} worker(s) of {options.threads} threads."
    )
    with (
        throwaway_engines() as engines,
        running(engines, options.workers, options.threads) as (ours, bare),
    ):
        contenders = _contenders(ours, bare)
        _prepare(cases, contenders)
        rounds = _measure(cases, contenders, generate, options)
        memory = ours.memory() + bare.memory()
    _print(rounds, table(rounds), memory_table(memory))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--seconds", type=int, default=3, help="length of one run (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="runs per request and server (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=1, help="gunicorn's workers (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=4, help="threads of each (default: %(default)s)")
    names = [case.name for case in all_cases()]
    parser.add_argument("--only", action="append", metavar="NAME", help=f"measure only these: {', '.join(names)}")
    options = parser.parse_args()
    if options.only and not all(any(name.startswith(part) for name in names) for part in options.only):
        parser.error(f"--only takes the beginning of one of: {', '.join(names)}")
    return options


def _contenders(ours: Server, bare: Server) -> list[Contender]:
    return [
        Contender(_OURS, ours, ""),
        Contender(_PLAIN, bare, "/drf"),
        Contender(_FIXED, bare, "/drf-orjson"),
        Contender(_FUNCTION, bare, "/django"),
    ]


def _prepare(cases: Sequence[Case], contenders: Sequence[Contender]) -> None:
    """Set the project up, and say where the answers that are compared differ."""
    setup = next(case for case in all_cases() if case.name == "setup")
    for case in (setup, *cases):
        answers = [_answer(case, contender) for contender in contenders]
        # The numbers of events and runs differ, of course.
        if case.name != "webhook" and any(answer != answers[0] for answer in answers):
            print(f"The answers to {case.name} differ: {answers}")


def _answer(case: Case, contender: Contender) -> object:
    headers = {"Content-Type": "application/json"} if case.body else {}
    request = urllib.request.Request(contender.url(case), case.body, headers)
    with urllib.request.urlopen(request, timeout=30) as response:
        return response.status, json.load(response)


def _measure(
    cases: Sequence[Case], contenders: Sequence[Contender], generate: Generator, options: argparse.Namespace
) -> Rounds:
    rounds: Rounds = {case.name: {contender.name: [] for contender in contenders} for case in cases}
    for case in cases:
        for contender in contenders:
            generate(case, contender.url(case), 1)
        # In turns, so that whatever else the machine does falls upon all of them.
        for _ in range(options.rounds):
            for contender in contenders:
                cpu = contender.server.cpu_seconds
                run = measure(generate, case, contender.url(case), options.seconds, cpu)
                rounds[case.name][contender.name].append(run)
    return rounds


def _print(rounds: Rounds, *tables: str) -> None:
    for text in tables:
        print(f"\n{text}")
    print(f"\nThe load generator took {generator_load(rounds):.0%} of a core at most.")
    for case, contenders in rounds.items():
        if case.startswith("predict"):
            plain = cost(contenders[_OURS], contenders[_PLAIN])
            fixed = cost(contenders[_OURS], contenders[_FIXED])
            print(
                f"Cost of {case}: {plain:+.0f} % over the bare DRF view as it comes, {fixed:+.0f} % over the fixed one."
            )


if __name__ == "__main__":
    main()
