"""A pytest plugin: tests of one module are steps that build on one another, and each is timed."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass
class _Step:
    module: str
    sentence: str
    outcome: str = "passed"
    setup_seconds: float = 0.0
    seconds: float = 0.0


class Steps:
    """Put modules in order, skip what follows a failed step in its module, and print the times."""

    def __init__(self, modules: Sequence[str], artifacts: Path, old: bool) -> None:
        self._modules = modules
        self._artifacts = artifacts
        self._old = old
        self._steps: dict[str, _Step] = {}
        self._failed: dict[str, str] = {}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        order = {module: place for place, module in enumerate(self._modules)}
        items.sort(key=lambda item: order.get(_module(item.nodeid), len(order)))

    def pytest_configure(self, config: pytest.Config) -> None:
        config.addinivalue_line("markers", "newest(reason): not with the old Label Studio, for that reason")

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        if self._old and (marker := item.get_closest_marker("newest")):
            pytest.skip(marker.args[0])
        if failed := self._failed.get(_module(item.nodeid)):
            pytest.skip(f"an earlier step failed: {failed}")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        name = report.nodeid.rpartition("::")[2].removeprefix("test_")
        step = self._steps.setdefault(report.nodeid, _Step(_module(report.nodeid), name.replace("_", " ")))
        if report.when == "call":
            step.seconds = report.duration
        else:
            step.setup_seconds += report.duration
        if not report.passed:
            step.outcome = report.outcome
        if report.failed:
            self._failed.setdefault(step.module, step.sentence)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not self._steps:
            return
        lines = self._table()
        terminalreporter.section("steps")
        for line in lines:
            terminalreporter.write_line(line)
        self._artifacts.mkdir(parents=True, exist_ok=True)
        (self._artifacts / "steps.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def _table(self) -> list[str]:
        lines = [f"{'setup s':>8} {'step s':>8}  "]
        module = ""
        for step in self._steps.values():
            if step.module != module:
                module = step.module
                lines.append(f"{'':17}  [{module}]")
            outcome = "" if step.outcome == "passed" else f"  ({step.outcome})"
            lines.append(f"{step.setup_seconds:8.1f} {step.seconds:8.1f}  {step.sentence}{outcome}")
        setup = sum(step.setup_seconds for step in self._steps.values())
        seconds = sum(step.seconds for step in self._steps.values())
        return [*lines, f"{setup:8.1f} {seconds:8.1f}  all {len(self._steps)} steps"]


def _module(nodeid: str) -> str:
    return Path(nodeid.partition("::")[0]).stem.removeprefix("test_")
