"""Two versions beside one another, as tables."""

from collections.abc import Callable, Iterable, Mapping
from itertools import islice

from django.template.defaultfilters import filesizeformat
from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from registry.admin.base import NOTHING, table
from registry.admin.evaluations import number
from registry.admin.state import preview
from registry.comparison import Comparison, Differences, compare
from registry.models import Artifact, ModelVersion, StateEntry

MAX_ROWS = 100

_Read = Callable[[ModelVersion, list[str]], Mapping[str, str]]


def differences(before: ModelVersion, after: ModelVersion) -> SafeString:
    """Return what is added, changed and removed in `after`, and the metrics of both."""
    comparison = compare(before, after)
    names = ("", before.name, after.name)
    context = {
        "state": table(("Key", "", before.name, after.name), _rows(comparison, comparison.state, _values)),
        "files": table(("File", "", before.name, after.name), _rows(comparison, comparison.artifacts, _sizes)),
        "metrics": table(names, ((one.name, number(one.before), number(one.after)) for one in comparison.metrics)),
        "more": [max(0, _count(found) - MAX_ROWS) for found in (comparison.state, comparison.artifacts)],
        "comparison": comparison,
    }
    return render_to_string("registry/admin/differences.html", context)


def _rows(comparison: Comparison, found: Differences, read: _Read) -> Iterable[tuple[str, str, str, str]]:
    shown = list(islice(_named(found), MAX_ROWS))
    names = [name for name, _ in shown]
    before, after = read(comparison.before, names), read(comparison.after, names)
    return [(name, how, before.get(name, NOTHING), after.get(name, NOTHING)) for name, how in shown]


def _named(found: Differences) -> Iterable[tuple[str, str]]:
    for how, names in (("changed", found.changed), ("added", found.added), ("removed", found.removed)):
        yield from ((name, how) for name in names)


def _count(found: Differences) -> int:
    return sum(1 for _ in _named(found))


def _values(version: ModelVersion, keys: list[str]) -> dict[str, str]:
    entries = StateEntry.objects.filter(version=version, key__in=keys).select_related("blob").defer("blob__data")
    return {entry.key: preview(entry) for entry in entries}


def _sizes(version: ModelVersion, paths: list[str]) -> dict[str, str]:
    rows = Artifact.objects.filter(version=version, path__in=paths).values_list("path", "file__size")
    return {path: filesizeformat(size) for path, size in rows}
