"""Learns the numbers of annotations, slowly, and writes down when each fit began and ended.

It is served from folders of two names: `each` trains on every event, `together` on all that wait.
"""

import os
import sys
import time
from pathlib import Path

from backends import LabelStudioMLBase, TrainingPolicy

_FOLDER = Path(__file__).parent
SECONDS = {"slow": 2.0}


class Learns(LabelStudioMLBase):
    """Predicts what it has learnt."""

    training_policy = TrainingPolicy(every_event=_FOLDER.name == "each")
    max_concurrency = 8

    def predict(self, tasks, context=None, **kwargs):
        """Return the numbers in the order in which they were learnt."""
        return [{"result": [{"seen": self.get("seen") or []}], "score": 1.0} for _ in tasks]

    def fit(self, event, data, events=None, **kwargs):
        """Learn the numbers; a text of “poison” raises, one of “slow” takes long."""
        text = data["task"]["data"]["text"]
        self._write("begin")
        time.sleep(SECONDS.get(text, 0.05))
        if text == "poison":
            raise RuntimeError("poison")
        numbers = [item["annotation"]["id"] for item in events or [data]]
        self.set("seen", [*(self.get("seen") or []), *numbers])
        self._write("end")

    def _write(self, what):
        with (_FOLDER / "trace").open("a") as trace:
            trace.write(f"{what} {self.project_id} {os.getpid()} {sys.argv[0]}\n")
