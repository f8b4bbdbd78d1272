"""Whether what a fit made becomes the live version by itself."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field


@dataclass(frozen=True)
class PromotionPolicy:
    """What becomes of a version that a fit made.

    `at_once`: it goes live. `hold`: it is the project's candidate until an operator makes it live.
    `evaluate`: it goes live unless it is worse than the live version on held-out tasks by more than
    `margin`, a share: 0.02 is two points of accuracy or F1, and two percent of a mean error.

    Held out is the share `held_out` of the annotated tasks, of each kind of annotation alike, and
    `max_held_out` tasks at most. No fit is shown them.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=True)

    mode: Literal["at_once", "hold", "evaluate"] = "at_once"
    margin: Annotated[float, Field(ge=0, le=1)] = 0.0
    held_out: Annotated[float, Field(gt=0, le=0.5)] = 0.2
    max_held_out: Annotated[int, Field(ge=1, le=10_000)] = 200


AT_ONCE = PromotionPolicy()
