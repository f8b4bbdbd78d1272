"""Every error as `{"code", "detail"}`, saying what to change; never a traceback."""

import logging
from typing import Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.views import defaults
from pydantic import ValidationError
from rest_framework import status
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.response import Response

from backends.errors import BackendBroken, BackendNotFound, InvalidPrediction, LabelConfigError
from registry import failures
from registry.connections import is_lost
from registry.errors import BackendFailed, Busy, InvalidProjectKey

logger = logging.getLogger(__name__)


class BodyTooLarge(APIException):
    """The body is larger than MAX_BODY_MB."""

    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_code = "body_too_large"


class InvalidJSON(APIException):
    """The body is not JSON."""

    status_code = status.HTTP_400_BAD_REQUEST
    default_code = "invalid_json"


# The text of these is written for the client.
_EXPLAINED: dict[type[Exception], tuple[int, str]] = {
    InvalidProjectKey: (status.HTTP_400_BAD_REQUEST, "invalid_project"),
    LabelConfigError: (status.HTTP_400_BAD_REQUEST, "invalid_label_config"),
    BackendNotFound: (status.HTTP_404_NOT_FOUND, "unknown_backend"),
    InvalidPrediction: (status.HTTP_500_INTERNAL_SERVER_ERROR, "invalid_prediction"),
    Busy: (status.HTTP_503_SERVICE_UNAVAILABLE, "busy"),
}
# The text of these may quote a model's data or a secret, so it goes to the log alone.
_WITHHELD: dict[type[Exception], tuple[int, str, str]] = {
    BackendBroken: (500, "backend_broken", "The backend cannot be loaded; the server's log says why."),
    BackendFailed: (500, "backend_failed", "The backend raised an error; the server's log has its traceback."),
}
_RETRY_AFTER_SECONDS = "5"
# What Label Studio sends, and whose refusal it shows to nobody.
_RECORDED_ENDPOINTS = frozenset({"setup", "predict", "webhook", "train"})


def exception_handler(exc: Exception, context: dict[str, Any]) -> Response:
    """Turn whatever a view raised into its answer; what is the server's fault is logged.

    Operators find it among the failures in the admin: each of the server's own, and each refusal
    of what Label Studio sends.
    """
    response = response_to(exc, context)
    # A database that is away is not asked to write down that it is: the log has it.
    if not is_lost(exc):
        _record(exc, response, context["request"])
    return response


def response_to(exc: Exception, context: dict[str, Any]) -> Response:
    """Return the answer to whatever a view raised; log what is the server's fault."""
    if isinstance(exc, APIException):
        return _from_api_exception(exc)
    if isinstance(exc, ValidationError):
        return answer(400, "invalid_request", _validation_detail(exc))
    for kind, (code, name) in _EXPLAINED.items():
        if isinstance(exc, kind):
            if code == status.HTTP_500_INTERNAL_SERVER_ERROR:
                logger.error("%s %s", type(context["view"]).__name__, exc)
            return answer(code, name, str(exc))
    if is_lost(exc):
        # A line, and no traceback: they come by the hundred until the database is back.
        logger.error("%s cannot reach the database: %s", type(context["view"]).__name__, exc)
        return answer(503, "database_unavailable", "The database cannot be reached; try again.")
    logger.error("%s failed", type(context["view"]).__name__, exc_info=exc)
    for kind, (code, name, detail) in _WITHHELD.items():
        if isinstance(exc, kind):
            return answer(code, name, detail)
    return answer(500, "internal_error", "The server failed; its log has the traceback.")


def not_found(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Answer an address that does not exist."""
    if request.path.startswith("/admin/"):
        return defaults.page_not_found(request, exception)
    return _plain(404, "not_found", "There is nothing at this address; `GET /` lists what there is.")


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer a request that Django refuses before any view."""
    if isinstance(exception, RequestDataTooBig):
        return _plain(413, "body_too_large", "The body is too large; see MAX_BODY_MB.")
    return _plain(400, "bad_request", "The request is malformed.")


def server_error(request: HttpRequest) -> HttpResponseBase:
    """Answer an error outside of the protocol's views; Django has logged it."""
    if request.path.startswith("/admin/"):
        return defaults.server_error(request)
    return _plain(500, "internal_error", "The server failed; its log has the traceback.")


def _record(exc: Exception, response: Response, request: Request) -> None:
    match = request._request.resolver_match
    endpoint = (match and match.url_name) or ""
    own_fault = response.status_code >= status.HTTP_500_INTERNAL_SERVER_ERROR
    if not own_fault and not (request.method == "POST" and endpoint in _RECORDED_ENDPOINTS):
        return
    body = _body_of(exc, request)
    failures.record(
        failures.Problem(
            backend=(match and match.kwargs.get("backend")) or settings.ML_BACKEND,
            endpoint=endpoint,
            request=f"{request.method} {request.get_full_path()}",
            status=response.status_code,
            code=response.data["code"],
            detail=response.data["detail"],
            error=exc if own_fault else None,
            body=body,
            project=body.get("project") if isinstance(body, dict) else None,
        )
    )


def _body_of(exc: Exception, request: Request) -> Any:
    """Return the body as far as it was read: nothing of a stranger's, or of one that is too large."""
    if isinstance(exc, InvalidJSON):
        return getattr(exc.__cause__, "doc", None)
    # Asking for `request.data` would read a body that was refused unread.
    data = vars(request).get("_full_data")
    return data if isinstance(data, dict | list) else None


def _from_api_exception(exc: APIException) -> Response:
    code = exc.get_codes()
    headers = {}
    if auth_header := getattr(exc, "auth_header", None):
        headers["WWW-Authenticate"] = auth_header
    return Response(
        {"code": code if isinstance(code, str) else "invalid_request", "detail": str(exc.detail)},
        status=exc.status_code,
        headers=headers,
    )


def answer(status_code: int, code: str, detail: str) -> Response:
    """Return the answer of an error."""
    headers = {"Retry-After": _RETRY_AFTER_SECONDS} if status_code == status.HTTP_503_SERVICE_UNAVAILABLE else None
    return Response({"code": code, "detail": detail}, status=status_code, headers=headers)


def _plain(status_code: int, code: str, detail: str) -> HttpResponse:
    return JsonResponse({"code": code, "detail": detail}, status=status_code)


def _validation_detail(exc: ValidationError) -> str:
    """Name each wrong field and what it must be, without quoting what was sent."""
    parts = []
    for error in exc.errors(include_url=False, include_input=False, include_context=False):
        field = ".".join(str(part) for part in error["loc"]) or "The body"
        parts.append(f"{field}: {error['msg']}")
    return "; ".join(parts[:5])
