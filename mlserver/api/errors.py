"""Errors of the API, in the protocol's shape: `{"code", "detail"}`, saying what to change."""

import math
from collections.abc import Iterator
from typing import Any

from django.core.exceptions import ObjectDoesNotExist, PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from rest_framework.exceptions import NotAuthenticated, Throttled, ValidationError
from rest_framework.response import Response

from backends.errors import BackendNotFound
from mlserver.protocol.errors import answer, response_to
from registry.errors import EventError, PolicyError, RunError, VersionError

# The text of these is written for the client.
_EXPLAINED: dict[type[Exception], tuple[int, str]] = {
    BackendNotFound: (409, "unknown_backend"),
    EventError: (400, "unknown_events"),
    PermissionDenied: (403, "permission_denied"),
    PolicyError: (400, "invalid_policy"),
    RunError: (409, "run_conflict"),
    VersionError: (409, "version_conflict"),
}
_MAX_REASONS = 5


def exception_handler(exc: Exception, context: dict[str, Any]) -> Response:
    """Turn whatever a view raised into its answer; what is the server's fault is logged."""
    if isinstance(exc, ValidationError):
        return answer(400, "invalid_request", "; ".join(list(_reasons(exc.detail))[:_MAX_REASONS]))
    if isinstance(exc, Http404 | ObjectDoesNotExist):
        return answer(404, "not_found", "There is none with this id, or not any more.")
    for kind, (code, name) in _EXPLAINED.items():
        if isinstance(exc, kind):
            return answer(code, name, str(exc))
    response = response_to(exc, context)
    if isinstance(exc, NotAuthenticated):
        response.data["detail"] = (
            "Send the header “Authorization: Token <key>”, of a key that ./manage.py drf_create_token USER makes, "
            "or log in at /admin/ and send the session's cookies."
        )
    if isinstance(exc, Throttled):
        response["Retry-After"] = str(math.ceil(getattr(exc, "wait", None) or 1))
    return response


@csrf_exempt
def no_such_address(request: HttpRequest) -> HttpResponse:
    """Answer an address under /api/ that does not exist."""
    return JsonResponse(
        {"code": "not_found", "detail": "There is nothing at this address; see /api/docs/."}, status=404
    )


def _reasons(detail: Any, field: str = "") -> Iterator[str]:
    """Yield each reason of a validation error with the name of its field."""
    if isinstance(detail, dict):
        for name, inner in detail.items():
            # What is wrong with the body as a whole stands under a name of DRF's own.
            part = "" if name == "non_field_errors" else str(name)
            yield from _reasons(inner, ".".join(filter(None, (field, part))))
    elif isinstance(detail, list):
        for inner in detail:
            yield from _reasons(inner, field)
    else:
        yield f"{field}: {detail}" if field else str(detail)
