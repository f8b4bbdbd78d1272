"""Measure what a fit made beside the live version, on tasks that neither has learnt from, and decide."""

import logging
from collections.abc import Iterator
from typing import Any

from backends import label_config as label_configs
from backends import measures
from backends.base import LabelStudioMLBase
from backends.measures import ControlMeasures
from backends.promotion import PromotionPolicy
from backends.response import to_results
from backends.signatures import call_accepting
from registry import holdout, instances, policies, versions
from registry.annotations import ProjectAnnotations
from registry.errors import VersionError
from registry.fitting import time_limit
from registry.models import Alias, ModelVersion, Project
from registry.state import VersionState

logger = logging.getLogger(__name__)

ACTOR = "evaluation"
# As many tasks as a model is given at once.
_CHUNK = 50


def judge(version: ModelVersion) -> None:
    """Make a candidate live unless it is worse, where the project's policy is to evaluate first.

    The measures and the decision are written on the version. One that cannot be measured is held.
    """
    project = Project.objects.select_related("live").get(pk=version.project_id)
    policy = policies.promotion(project)
    if policy.mode != "evaluate" or not Alias.objects.candidates().filter(version=version).exists():
        return
    try:
        with time_limit(instances.backend_class(project.backend).fit_timeout):
            evaluation = _evaluation(project, version, policy)
    except (Exception, SystemExit) as exc:
        logger.warning("%s could not be evaluated and is held.", version, exc_info=True)
        evaluation = {"decision": "held", "reasons": [f"It could not be evaluated: {type(exc).__name__}: {exc}"]}
    version.evaluation = evaluation
    version.save(update_fields=["evaluation"])
    if evaluation["decision"] == "promoted":
        _promote(version, project, evaluation["reasons"])


def judge_waiting(project_id: int) -> None:
    """Judge the project's candidate where nobody has: its worker died first, or the policy was another one then."""
    waiting = Alias.objects.candidates().filter(project_id=project_id, version__evaluation__isnull=True)
    if alias := waiting.first():
        judge(alias.version)


def _evaluation(project: Project, version: ModelVersion, policy: PromotionPolicy) -> dict[str, Any]:
    config = label_configs.parse(project.label_config)
    tasks = list(ProjectAnnotations(project.pk, holdout.held_out_tasks()).annotated_tasks(False))
    live = project.live
    if live is None or not tasks:
        reason = "No annotated task is held out yet: there is nothing to measure on."
        return {"decision": "promoted", "reasons": [reason], "tasks": 0}
    candidate_measures = _measure(project, version, tasks)
    said: dict[str, Any] = {
        "tasks": len(tasks),
        "margin": policy.margin,
        "live": live.name,
        "unmeasured": measures.unmeasured(config),
        "candidate_measures": _as_json(candidate_measures),
    }
    try:
        live_measures = _measure(project, live, tasks)
    except (Exception, SystemExit) as exc:
        reason = f"The live version cannot predict: {type(exc).__name__}: {exc}"
        return said | {"decision": "promoted", "reasons": [reason]}
    worse = measures.worse(candidate_measures, live_measures, policy.margin)
    fine = [f"Not worse than {live.name} on {len(tasks)} held-out tasks."]
    return said | {
        "live_measures": _as_json(live_measures),
        "decision": "held" if worse else "promoted",
        "reasons": worse or fine,
    }


def _measure(project: Project, version: ModelVersion, tasks: list[dict[str, Any]]) -> list[ControlMeasures]:
    config = label_configs.parse(project.label_config)
    backend = instances.to_serve(project, VersionState(version), project.label_config)
    truth = (task["annotations"][0].get("result") or [] for task in tasks)
    return measures.measure(config, zip(truth, _predicted(backend, version, tasks), strict=True))


def _predicted(backend: LabelStudioMLBase, version: ModelVersion, tasks: list[dict[str, Any]]) -> Iterator[list[Any]]:
    """Yield the regions that the version predicts for each task, by its first prediction."""
    for start in range(0, len(tasks), _CHUNK):
        # A model must not be shown the answers.
        bare = [{key: value for key, value in task.items() if key != "annotations"} for task in tasks[start:][:_CHUNK]]
        answer = call_accepting(backend.predict, bare, context=None)
        for item in to_results(answer, len(bare), version.name):
            first = item[0] if isinstance(item, list) and item else item
            yield first.get("result") or [] if isinstance(first, dict) else []


def _promote(version: ModelVersion, project: Project, reasons: list[str]) -> None:
    try:
        versions.promote(version, by=ACTOR, reason=" ".join(reasons), over=project.live)
    except VersionError as exc:
        # An operator was faster: theirs stands.
        logger.warning("%s was found good and is not made live: %s", version, exc)


def _as_json(found: list[ControlMeasures]) -> list[dict[str, Any]]:
    return [{"control": one.control, "kind": one.kind, "count": one.count, **one.values} for one in found]
