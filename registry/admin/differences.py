"""Two versions beside one another, as tables."""

from collections.abc import Callable, Iterable, Mapping

from django.template.defaultfilters import filesizeformat
from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from registry.admin.base import NOTHING, table
from registry.admin.evaluations import number
from registry.admin.state import preview
from registry.comparison import Comparison, Differences, compare
from registry.models import Artifact, ModelVersion, StateEntry

_MAX_ROWS = 100

_Read = Callable[[ModelVersion, list[str]], Mapping[str, str]]


def differences(before: ModelVersion, after: ModelVersion) -> SafeString | str:
    """Return what is added, changed and removed in `after`, and the metrics of both."""
    for version in (before, after):
        if version.pruned_at:
            return f"The state of {version} was removed for its age: there is nothing to compare."
    comparison = compare(before, after)
    names = ("", before.name, after.name)
    context = {
        "state": table(("Key", "", before.name, after.name), _rows(comparison, comparison.state, _values)),
        "files": table(("File", "", before.name, after.name), _rows(comparison, comparison.artifacts, _sizes)),
        "metrics": table(names, ((one.name, number(one.before), number(one.after)) for one in comparison.metrics)),
        "more": [max(0, len(_named(found)) - _MAX_ROWS) for found in (comparison.state, comparison.artifacts)],
        "comparison": comparison,
    }
    return render_to_string("registry/admin/differences.html", context)


def _rows(comparison: Comparison, found: Differences, read: _Read) -> Iterable[tuple[str, str, str, str]]:
    shown = _named(found)[:_MAX_ROWS]
    names = [name for name, _ in shown]
    before, after = read(comparison.before, names), read(comparison.after, names)
    return [(name, how, before.get(name, NOTHING), after.get(name, NOTHING)) for name, how in shown]


def _named(found: Differences) -> list[tuple[str, str]]:
    lists = (("changed", found.changed), ("added", found.added), ("removed", found.removed))
    return [(name, how) for how, names in lists for name in names]


def _values(version: ModelVersion, keys: list[str]) -> dict[str, str]:
    entries = StateEntry.objects.filter(version=version, key__in=keys).select_related("blob").defer("blob__data")
    return {entry.key: preview(entry) for entry in entries}


def _sizes(version: ModelVersion, paths: list[str]) -> dict[str, str]:
    rows = Artifact.objects.filter(version=version, path__in=paths).values_list("path", "file__size")
    return {path: filesizeformat(size) for path, size in rows}
