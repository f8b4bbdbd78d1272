"""What a fit tells of itself while it runs."""

from typing import Any, Protocol


class RunReport(Protocol):
    """Takes what a fit tells."""

    def progress(self, fraction: float, text: str) -> None:
        """Note how far the fit is."""

    def metrics(self, values: dict[str, Any]) -> None:
        """Note what the fit measured."""


class NoReport:
    """Takes nothing down: for a backend outside of a training run."""

    def progress(self, fraction: float, text: str) -> None: ...

    def metrics(self, values: dict[str, Any]) -> None: ...
