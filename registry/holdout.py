"""Tasks that are kept apart from training, to measure versions on.

A task is decided on once, and the decision stays: every version is measured on tasks that no
version has learnt from. Of each stratum, the tasks with like annotations, the same share is held out.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.db.models import Count, Q, QuerySet

from backends.promotion import PromotionPolicy
from registry import versions
from registry.annotations import ProjectAnnotations
from registry.models import AnnotatedTask

_Split = AnnotatedTask.Split
_PAIRED = ("ANNOTATION_CREATED", "ANNOTATION_UPDATED", "ANNOTATIONS_CREATED")


def tasks(project_id: int, policy: PromotionPolicy) -> frozenset[int]:
    """Return the ids of the project's held-out tasks, after deciding on those that are new."""
    _decide(project_id, policy)
    held = AnnotatedTask.objects.filter(project_id=project_id, split=_Split.HELD_OUT)
    return frozenset(held.values_list("ls_id", flat=True))


def training_tasks() -> QuerySet[AnnotatedTask]:
    """Return the tasks that a fit may see."""
    return AnnotatedTask.objects.exclude(split=_Split.HELD_OUT)


def held_out_tasks() -> QuerySet[AnnotatedTask]:
    """Return the tasks that versions are measured on."""
    return AnnotatedTask.objects.filter(split=_Split.HELD_OUT)


def without(payload: dict[str, Any], held: frozenset[int]) -> dict[str, Any] | None:
    """Return an event's body without the annotations of held-out tasks, None where none is left."""
    if not held or payload["action"] not in _PAIRED:
        return payload
    annotation, task = payload.get("annotation"), payload.get("task")
    if not isinstance(task, list) or not isinstance(annotation, list):
        return None if _id(task) in held else payload
    kept = [pair for pair in zip(annotation, task, strict=False) if _id(pair[1]) not in held]
    if not kept:
        return None
    return payload | {"annotation": [pair[0] for pair in kept], "task": [pair[1] for pair in kept]}


@transaction.atomic
def _decide(project_id: int, policy: PromotionPolicy) -> None:
    """Decide on each annotated task that is not decided on, in the order of their ids."""
    versions.locked(project_id)
    new = AnnotatedTask.objects.filter(project_id=project_id, split=_Split.UNDECIDED)
    strata, held = _counts(project_id)
    decided: dict[tuple[str, str], list[int]] = {}
    for task in ProjectAnnotations(project_id, new).annotated_tasks(False):
        stratum = _stratum(task["annotations"][0])
        strata[stratum] += 1
        chosen = _is_next(strata[stratum], policy.held_out) and held < policy.max_held_out
        held += chosen
        split = str(_Split.HELD_OUT if chosen else _Split.TRAINING)
        decided.setdefault((split, stratum), []).append(task["id"])
    for (split, stratum), numbers in decided.items():
        rows = AnnotatedTask.objects.filter(project_id=project_id, ls_id__in=numbers)
        rows.update(split=split, stratum=stratum)


def _counts(project_id: int) -> tuple[Counter[str], int]:
    """Return how many tasks each stratum has, and how many tasks are held out."""
    decided = AnnotatedTask.objects.filter(project_id=project_id).exclude(split=_Split.UNDECIDED)
    rows = decided.values_list("stratum").annotate(total=Count("pk"), held=Count("pk", filter=Q(split=_Split.HELD_OUT)))
    strata: Counter[str] = Counter()
    held = 0
    for stratum, count, count_held in rows:
        strata[stratum] = count
        held += count_held
    return strata, held


def _is_next(number: int, share: float) -> bool:
    """Return whether the stratum's task of that number, from 1 on, is held out: evenly, from the middle."""
    return int(number * share + 0.5) > int((number - 1) * share + 0.5)


def _stratum(annotation: Mapping[str, Any]) -> str:
    """Return what tasks with like annotations have in common: the labels that were given, by control."""
    found = set()
    for region in annotation.get("result") or []:
        if isinstance(region, dict):
            value = region.get("value")
            lists = [item for item in value.values() if isinstance(item, list)] if isinstance(value, dict) else []
            labels = sorted({label for item in lists for label in item if isinstance(label, str)})
            # What somebody wrote is like nothing else.
            told = [] if region.get("type") == "textarea" else labels
            found.add((str(region.get("from_name")), *told))
    return hashlib.sha256(json.dumps(sorted(found)).encode()).hexdigest()


def _id(task: Any) -> int | None:
    number = task.get("id") if isinstance(task, dict) else None
    return number if type(number) is int else None
