"""A model whose fit takes 50 ms, for each event one."""

import time
from typing import Any

from backends import LabelStudioMLBase

FIT_SECONDS = 0.05


class Each(LabelStudioMLBase):
    """Learns how many events there were."""

    max_concurrency = 64

    def predict(self, tasks: list[dict[str, Any]], context: dict[str, Any] | None = None, **kwargs: Any) -> Any:
        """Say nothing of each task."""
        return [{"result": [], "score": 0.5} for _ in tasks]

    def fit(self, event: str, data: dict[str, Any], events: list[Any] | None = None, **kwargs: Any) -> None:
        """Take the time that a small model takes."""
        time.sleep(FIT_SECONDS)
        self.set("events", (self.get("events") or 0) + len(events or [data]))
