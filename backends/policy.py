"""When a project's events are trained on."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field

# A longer wait is a mistake, and a much longer one is beyond the calendar.
_YEAR = 366 * 24 * 3600


@dataclass(frozen=True)
class TrainingPolicy:
    """Whether each event has a fit of its own, or one fit takes all that came, and when.

    `min_annotations` new annotations are waited for, and then `quiet_seconds` without another one;
    `max_wait_seconds` after the oldest of them the fit runs all the same. START_TRAINING never
    waits. With `only_on_start` nothing else starts a fit.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=True)

    every_event: bool = False
    min_annotations: Annotated[int, Field(ge=1)] = 1
    quiet_seconds: Annotated[float, Field(ge=0, le=_YEAR)] = 0.0
    max_wait_seconds: Annotated[float, Field(ge=0, le=_YEAR)] | None = None
    only_on_start: bool = False

    def due_at(self, annotations: int, oldest: datetime, newest: datetime) -> datetime | None:
        """Return when events received between these times are to be trained on; None is not yet known."""
        if self.only_on_start:
            return None
        times = []
        if annotations >= self.min_annotations:
            times.append(newest + timedelta(seconds=self.quiet_seconds))
        if self.max_wait_seconds is not None:
            times.append(oldest + timedelta(seconds=self.max_wait_seconds))
        return min(times, default=None)


EVERY_EVENT = TrainingPolicy(every_event=True)
