"""What one version has that another one has not: state, model files, and how they measure up."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import CharField, Func
from django.db.models.functions import Coalesce

from registry.models import Artifact, ModelVersion, StateEntry


@dataclass(frozen=True)
class Differences:
    """Names that were added, changed and removed, each list sorted."""

    added: list[str]
    changed: list[str]
    removed: list[str]

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed)


@dataclass(frozen=True)
class Measured:
    """One metric of both versions, None where a version was not measured by it."""

    name: str
    before: float | None
    after: float | None


@dataclass(frozen=True)
class Comparison:
    """How `after` differs from `before`."""

    before: ModelVersion
    after: ModelVersion
    state: Differences
    artifacts: Differences
    metrics: list[Measured]


class _Digest(Func):
    """SHA-256 of a bytea, hexadecimal, as blobs are named."""

    template = "encode(sha256(%(expressions)s), 'hex')"
    output_field = CharField()


def compare(before: ModelVersion, after: ModelVersion) -> Comparison:
    """Compare two versions, of one project or of two. No value is read for it, only hashes."""
    return Comparison(
        before,
        after,
        state=_differences(_state(before), _state(after)),
        artifacts=_differences(_files(before), _files(after)),
        metrics=_metrics(before.metrics, after.metrics),
    )


def _state(version: ModelVersion) -> dict[str, Any]:
    entries = StateEntry.objects.filter(version=version)
    rows = entries.values_list("key", "kind", Coalesce("blob_id", _Digest("data")))
    return {key: (kind, digest) for key, kind, digest in rows}


def _files(version: ModelVersion) -> dict[str, Any]:
    return dict(Artifact.objects.filter(version=version).values_list("path", "file_id"))


def _differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> Differences:
    return Differences(
        added=sorted(after.keys() - before.keys()),
        changed=sorted(name for name in after.keys() & before.keys() if after[name] != before[name]),
        removed=sorted(before.keys() - after.keys()),
    )


def _metrics(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Measured]:
    return [Measured(name, before.get(name), after.get(name)) for name in sorted(before.keys() | after.keys())]
