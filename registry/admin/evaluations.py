"""How versions were evaluated, in words and tables."""

from collections.abc import Mapping
from typing import Any

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from backends.measures import lower_is_better
from registry.admin.base import NOTHING, table
from registry.masking import mask_secrets
from registry.models import ModelVersion

_DECISIONS = {"promoted": "good enough", "held": "held back"}
_NOT_MEASURES = ("control", "kind", "count")


def decision(version: ModelVersion) -> str:
    """Return what was decided about the version in two or three words; nothing where nothing was."""
    made = str((version.evaluation or {}).get("decision", ""))
    return _DECISIONS.get(made, made)


def reasons(version: ModelVersion) -> str:
    """Return why it was decided so, in sentences."""
    # An error of the backend is among them at times, and may quote anything.
    return mask_secrets(" ".join(map(str, (version.evaluation or {}).get("reasons", []))))


def summary(version: ModelVersion) -> SafeString | str:
    """Return the decision and its reasons."""
    if not version.evaluation:
        return NOTHING
    return format_html("<b>{}.</b> {}", decision(version).capitalize(), reasons(version))


def number(value: Any) -> str:
    """Return a measure for a person; a dash where it could not be told."""
    return f"{value:.4g}" if isinstance(value, int | float) else NOTHING


def change(name: str, before: Any, after: Any) -> str:
    """Return by how much a measure changed, and whether that is better, where the measure says so."""
    if not isinstance(before, int | float) or not isinstance(after, int | float):
        return NOTHING
    if before == after:
        return "the same"
    return f"{after - before:+.4g}, {'better' if (after < before) == lower_is_better(name) else 'worse'}"


def explained(version: ModelVersion) -> SafeString | str:
    """Return the decision, its reasons, what was measured on, and the measures of both versions."""
    told = version.evaluation
    if not told:
        return "It was not evaluated."
    parts: list[str] = [summary(version)]
    if told.get("tasks"):
        parts.append(_terms(told))
    if told.get("unmeasured"):
        parts.append(f"Not measured: {', '.join(map(str, told['unmeasured']))}.")
    rows = list(_rows(told))
    if rows:
        live = f"{told.get('live', 'the live version')} (live then)"
        parts.append(table(("Control", "Measure", "Tasks", version.name, live, "Difference"), rows))
    return format_html_join("", '<div style="margin-bottom: 8px">{}</div>', ((part,) for part in parts))


def _terms(told: Mapping[str, Any]) -> str:
    text = f"Measured on {told['tasks']} held-out tasks, which no fit is shown."
    margin = told.get("margin")
    if margin is None:
        return text
    return text + (f" Up to {number(margin)} worse is allowed (the margin)." if margin else " No worse is allowed.")


def _rows(told: Mapping[str, Any]) -> list[tuple[str, ...]]:
    live = {str(measured.get("control")): measured for measured in told.get("live_measures", [])}
    rows: list[tuple[str, ...]] = []
    for measured in told.get("candidate_measures", []):
        control, kind, count = (str(measured.get(name)) for name in _NOT_MEASURES)
        for name, value in measured.items():
            if name not in _NOT_MEASURES:
                known = live.get(control, {}).get(name)
                row = (f"{control} ({kind})", name, count, number(value), number(known), change(name, known, value))
                rows.append(row)
    return rows
