"""What there is to say of a version, for whoever shows it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from registry import artifacts, entries, lineage
from registry.lineage import Lineage
from registry.models import ModelVersion, Project, Promotion


@dataclass(frozen=True)
class Summary:
    """A version in a line."""

    number: int
    name: str
    live: bool
    aliases: list[str]
    parent: str | None
    run: int | None
    created_at: datetime
    pruned_at: datetime | None
    size: int
    event_count: int
    annotation_count: int
    metrics: Mapping[str, Any]
    tags: list[Any]


@dataclass(frozen=True)
class Part:
    """A state key or a model file, and how many bytes it takes."""

    name: str
    kind: str
    size: int


@dataclass(frozen=True)
class Move:
    """A row of the ledger."""

    at: datetime
    before: str | None
    after: str
    actor: str
    reason: str
    rollback: bool


@dataclass(frozen=True)
class Description:
    """All that is known of a version, but for what is in it."""

    project: str
    summary: Summary
    lineage: Lineage
    evaluation: Mapping[str, Any] | None
    note: str
    state: list[Part]
    artifacts: list[Part]
    moves: list[Move]


def summaries(project: Project) -> list[Summary]:
    """Return the project's versions, the newest first."""
    rows = project.versions.select_related("parent").prefetch_related("aliases").order_by("-number")
    return [_summary(project, version) for version in rows]


def describe(version: ModelVersion) -> Description:
    """Return what is known of the version. No value is read for it, only sizes."""
    project = version.project
    return Description(
        project=str(project),
        summary=_summary(project, version),
        lineage=lineage.of(version),
        evaluation=version.evaluation,
        note=version.note,
        state=[Part(*row) for row in entries.sizes(version)],
        artifacts=[Part(path, "file", size) for path, size in artifacts.sizes(version)],
        moves=[_move(move) for move in Promotion.objects.touching(version).order_by("id")],
    )


def _summary(project: Project, version: ModelVersion) -> Summary:
    return Summary(
        number=version.number,
        name=version.name,
        live=version.pk == project.live_id,
        aliases=sorted(alias.name for alias in version.aliases.all()),
        parent=version.parent.name if version.parent else None,
        run=version.run_id,
        created_at=version.created_at,
        pruned_at=version.pruned_at,
        size=version.size,
        event_count=version.event_count,
        annotation_count=version.annotation_count,
        metrics=version.metrics,
        tags=version.tags,
    )


def _move(move: Promotion) -> Move:
    before = move.from_version.name if move.from_version else None
    return Move(move.created_at, before, move.to_version.name, move.actor, move.reason, move.rollback)
