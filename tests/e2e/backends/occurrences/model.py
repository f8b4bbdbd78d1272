"""Suggest the other places where the text that was just labelled stands."""

from collections.abc import Iterator
from typing import Any

from backends import LabelStudioMLBase, ModelResponse

Region = dict[str, Any]


class Occurrences(LabelStudioMLBase):
    """Interactive: nothing is suggested before the annotator has drawn a region."""

    def predict(
        self, tasks: list[dict[str, Any]], context: dict[str, Any] | None = None, **kwargs: Any
    ) -> ModelResponse:
        """Return, per task, a region for each further occurrence of what was drawn."""
        drawn = (context or {}).get("result", [])
        return ModelResponse(predictions=[self._suggest(task, drawn) for task in tasks])

    def _suggest(self, task: dict[str, Any], drawn: list[Region]) -> dict[str, Any]:
        from_name, to_name, field = self.get_first_tag_occurence("Labels", "Text")
        text = task["data"][field]
        regions = []
        for region in drawn:
            value = region["value"]
            for start in _places(text, text[value["start"] : value["end"]]):
                if start != value["start"]:
                    end = start + value["end"] - value["start"]
                    found = {"start": start, "end": end, "text": text[start:end], "labels": value["labels"]}
                    regions.append({"from_name": from_name, "to_name": to_name, "type": "labels", "value": found})
        return {"result": regions, "score": 1.0 if regions else 0.0}


def _places(text: str, part: str) -> Iterator[int]:
    start = text.find(part) if part else -1
    while start >= 0:
        yield start
        start = text.find(part, start + len(part))
