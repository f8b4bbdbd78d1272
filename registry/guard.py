"""Keep a version that was trained for one labelling config from answering in another one's labels."""

from collections.abc import Mapping
from typing import Any

from backends.label_config import LabelConfig
from registry.lineage import config_hash
from registry.models import ModelVersion, Project

Dropped = set[tuple[str, str]]
"""Control and label of what was taken out; the label is empty where the control itself is gone."""


class LabelGuard:
    """Takes out of predictions what the labelling config does not have any more."""

    def __init__(self, config: LabelConfig) -> None:
        self._controls = config.parsed

    def keep(self, results: list[Any]) -> tuple[list[Any], Dropped]:
        """Return Label Studio's `results` without what vanished, and what that was."""
        dropped: Dropped = set()
        return [self._item(item, dropped) for item in results], dropped

    def _item(self, item: Any, dropped: Dropped) -> Any:
        if isinstance(item, list):
            return [self._item(one, dropped) for one in item]
        regions = (self._region(region, dropped) for region in item["result"])
        return item | {"result": [region for region in regions if region is not None]}

    def _region(self, region: dict[str, Any], dropped: Dropped) -> dict[str, Any] | None:
        name = region.get("from_name")
        if not isinstance(name, str):
            # A relation between regions has no control.
            return region
        control = self._controls.get(name)
        if control is None:
            dropped.add((name, ""))
            return None
        key = str(region.get("type", "")).lower()
        value = region.get("value")
        # A control without labels of its own takes any answer, as one does whose labels come from the task.
        if not control["labels"] or not isinstance(value, Mapping) or not isinstance(value.get(key), list):
            return region
        known = [answer for answer in value[key] if _is_known(answer, control["labels"])]
        if len(known) == len(value[key]):
            return region
        dropped.update((name, str(answer)) for answer in value[key] if answer not in known)
        return region | {"value": {**value, key: known}} if known else None


def guard_for(version: ModelVersion, config: LabelConfig) -> LabelGuard | None:
    """Return what guards the version's predictions; None where it was trained for this very config, or for none."""
    if not version.label_config_hash or version.label_config_hash == config_hash(config.xml):
        return None
    return LabelGuard(config)


def ask_for_training(project: Project, version: ModelVersion) -> None:
    """Note on the project that its live version was trained for another labelling config."""
    reason = f"The labelling config has changed since {version.name} was trained."
    Project.objects.filter(pk=project.pk).exclude(retraining_reason=reason).update(retraining_reason=reason)


def explain(version: ModelVersion, dropped: Dropped) -> str:
    """Say in words what was taken out of the version's predictions, and what to do."""
    labels = sorted({f"{label!r} of {control!r}" for control, label in dropped if label})
    controls = sorted({f"the control {control!r}" for control, label in dropped if not label})
    return (
        f"Left out of what version {version.name} predicts: {', '.join(labels + controls)}. "
        "The labelling config has it no more; train the project again."
    )


def _is_known(answer: Any, labels: list[str]) -> bool:
    # Taxonomy's answers are paths.
    return all(part in labels for part in answer) if isinstance(answer, list) else answer in labels
