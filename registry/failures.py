"""Keep what went wrong where an operator finds it: grouped, counted, secrets masked."""

import hashlib
import json
import logging
import re
import traceback
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import connection
from django.utils import timezone

from backends import loading
from backends.errors import BackendNotFound
from registry import projects
from registry.errors import BackendFailed, InvalidProjectKey
from registry.masking import mask_pairs, mask_secrets, mask_values, secrets_in
from registry.models import Project
from registry.text import excerpt, shortened, storable

logger = logging.getLogger(__name__)

# A flood of ever different garbage makes this many groups for a backend and no more; whatever else
# comes is counted in one group. Refused requests and the server's own failures have room of their
# own, so that nobody's garbage hides a model that fails.
MAX_GROUPS = 200
OVERFLOW = "too_many_kinds"
_MAX_SUMMARY = 1_000
_MAX_REQUEST = 500
_MAX_BODY = 4_000
_MAX_TRACEBACK = 20_000
_VARIABLE = re.compile(r"'[^']*'|\"[^\"]*\"|“[^”]*”|\d+")

# One statement, so that any number of processes count one group without losing a failure.
_RECORD = """
    WITH room AS (
        SELECT EXISTS (
            SELECT 1 FROM registry_failure WHERE backend = %(backend)s AND fingerprint = %(fingerprint)s
        ) OR (
            SELECT count(*) FROM registry_failure
            WHERE backend = %(backend)s AND (status >= 500) = (%(status)s >= 500)
        ) < %(max_groups)s AS left_over
    )
    INSERT INTO registry_failure AS known (
        backend, fingerprint, project_id, status, code,
        summary, count, first_seen, last_seen, request, body, traceback)
    SELECT %(backend)s, CASE WHEN left_over THEN %(fingerprint)s ELSE %(overflow)s || (%(status)s / 100) END,
        %(project)s, %(status)s, CASE WHEN left_over THEN %(code)s ELSE %(overflow)s END,
        %(summary)s, 1, %(now)s, %(now)s, %(request)s, %(body)s, %(traceback)s
    FROM room
    ON CONFLICT (backend, fingerprint) DO UPDATE SET
        count = known.count + 1, last_seen = greatest(known.last_seen, excluded.last_seen),
        project_id = excluded.project_id, status = excluded.status, summary = excluded.summary,
        request = excluded.request, body = excluded.body, traceback = excluded.traceback
"""


@dataclass(frozen=True)
class Problem:
    """A request that failed, as the HTTP surface saw it. Nothing in it need be masked yet."""

    backend: str
    endpoint: str
    request: str
    """Method and path."""
    status: int
    code: str
    detail: str
    """What the client was told."""
    error: Exception | None = None
    """What was raised; None where the request was refused and no traceback would tell more."""
    body: Any = None
    """The parsed body, the text that could not be parsed, or None where it is not to be kept."""
    project: Any = None
    """As Label Studio named it in the body."""


def record(problem: Problem) -> None:
    """Count the failure and keep its last request; never raise.

    Where it cannot be stored, the log says so: an answer must not hang on its bookkeeping.
    """
    try:
        backend = _known(problem.backend)
        project = _project_of(backend, problem.project)
        row = _row(problem, backend, project)
        with connection.cursor() as cursor:
            cursor.execute(_RECORD, row)
    except Exception as exc:
        logger.warning("The failure %s of %s is not recorded: %s", problem.code, problem.endpoint, exc)


def _row(problem: Problem, backend: str, project: Project | None) -> dict[str, Any]:
    secrets = list(secrets_in(shortened(problem.body)))
    if project is not None:
        secrets.append(project.access_token)

    def clean(text: str) -> str:
        return storable(mask_values(mask_secrets(text), secrets))

    cause = _cause(problem.error)
    told = "".join(traceback.format_exception(cause)) if cause else ""
    return {
        "backend": backend,
        "fingerprint": _fingerprint(problem, project),
        "project": project.pk if project else None,
        "status": problem.status,
        "code": problem.code[:100],
        "summary": clean(_summary(problem))[:_MAX_SUMMARY],
        "request": clean(mask_pairs(problem.request))[:_MAX_REQUEST],
        "body": mask_values(excerpt(problem.body, _MAX_BODY), secrets),
        # The end of a long one names the error.
        "traceback": clean(told)[-_MAX_TRACEBACK:],
        "now": timezone.now(),
        "max_groups": MAX_GROUPS,
        "overflow": OVERFLOW,
    }


def _known(backend: str) -> str:
    """Return the name, or "" where it is whatever somebody put into the address."""
    try:
        loading.folder_of(backend, settings.BACKENDS_PATH)
    except BackendNotFound:
        return ""
    return backend[:100]


def _project_of(backend: str, named: Any) -> Project | None:
    try:
        return projects.find(backend, projects.parse_webhook_key(named))
    except InvalidProjectKey:
        return None


def _cause(error: Exception | None) -> BaseException | None:
    """Return what the backend's own code raised, where it is that which failed."""
    return error.__cause__ or error if isinstance(error, BackendFailed) else error


def _summary(problem: Problem) -> str:
    cause = _cause(problem.error)
    if cause is None or str(cause) == problem.detail:
        return problem.detail
    where = f"{problem.error} " if cause is not problem.error else ""
    return f"{where}{type(cause).__name__}: {cause}"


def _fingerprint(problem: Problem, project: Project | None) -> str:
    """Return what failures of one kind have in common: not the numbers and names in their texts."""
    cause = _cause(problem.error)
    places = []
    if cause is not None:
        codes = (frame.f_code for frame, _ in traceback.walk_tb(cause.__traceback__))
        # Each function once: how deep a recursion went is no difference in kind.
        places = [type(cause).__name__, *dict.fromkeys(f"{code.co_filename}:{code.co_qualname}" for code in codes)]
    detail = _VARIABLE.sub("…", problem.detail)
    same = [problem.endpoint, problem.code, detail, project.pk if project else None, places]
    return hashlib.sha256(json.dumps(same).encode()).hexdigest()
