"""Counts for monitoring, in Prometheus's text format (version 0.0.4)."""

from collections.abc import Iterable

from django.db.models import Count

from registry.models import Event, Project, TrainingRun


def exposition() -> str:
    """Return every metric with its help line."""
    lines: list[str] = []
    lines += _family("mlserver_projects", "Label Studio projects seen.", _counts(Project, "backend"))
    lines += _family("mlserver_events", "Webhooks stored.", _counts(Event, "status"))
    lines += _family("mlserver_training_runs", "Training runs.", _counts(TrainingRun, "status"))
    return "\n".join(lines) + "\n"


def _counts(model: type[Project | Event | TrainingRun], label: str) -> list[tuple[str, int]]:
    rows = model._default_manager.values_list(label).annotate(count=Count("pk")).order_by(label)
    return [(f'{label}="{value}"', count) for value, count in rows]


def _family(name: str, help_text: str, samples: Iterable[tuple[str, int]]) -> list[str]:
    head = [f"# HELP {name} {help_text}", f"# TYPE {name} gauge"]
    return head + [f"{name}{{{labels}}} {value}" for labels, value in samples]
