"""Take three seconds to learn."""

import time
from typing import Any

from backends import LabelStudioMLBase

FIT_SECONDS = 3.0


class Slow(LabelStudioMLBase):
    """Counts the events it has learnt from."""

    def fit(self, event: str, data: dict[str, Any], **kwargs: Any) -> None:
        """Sleep, and count."""
        time.sleep(FIT_SECONDS)
        self.set("count", (self.get("count") or 0) + 1)
