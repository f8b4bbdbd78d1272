"""The OpenAPI document of the API, and the page that shows it."""

import functools
from http import HTTPStatus
from typing import Any

from django.http import HttpResponse
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiJsonRenderer
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularSwaggerView
from rest_framework.request import Request

from mlserver.api.base import OperatorView

_ERROR = {
    "type": "object",
    "properties": {
        "code": {"type": "string", "description": "For programs."},
        "detail": {"type": "string", "description": "For people: what to change."},
    },
    "required": ["code", "detail"],
    "additionalProperties": False,
}
_EXAMPLES = {
    400: ("invalid_request", "reason: This field is required."),
    401: ("not_authenticated", "Send the header “Authorization: Token <key>” …"),
    403: ("permission_denied", "You need the permission registry.promote_modelversion; …"),
    404: ("not_found", "There is none with this id, or not any more."),
    409: ("version_conflict", "0.2.0 is live already."),
    413: ("body_too_large", "The body is larger than 1024 KB; name fewer events at once."),
    415: ("unsupported_media_type", "Send the body as application/json."),
    429: ("throttled", "Request was throttled. Expected available in 12 seconds."),
    503: ("database_unavailable", "The database cannot be reached; try again."),
}
_HEADERS = {401: "WWW-Authenticate", 429: "Retry-After", 503: "Retry-After"}


class SchemaView(OperatorView):
    """The document. It tells nothing that the source does not, so anybody may read it."""

    permission_classes = []

    @extend_schema(exclude=True)
    def get(self, request: Request) -> HttpResponse:
        """Answer with the document as JSON."""
        return HttpResponse(_document(), content_type=OpenApiJsonRenderer.media_type)


class DocsView(OperatorView, SpectacularSwaggerView):
    """The document as a page to read and to try out."""

    permission_classes = []
    renderer_classes = SpectacularSwaggerView.renderer_classes
    url_name = "api-schema"


def only_the_api(endpoints: list[Any]) -> list[Any]:
    """Leave Label Studio's protocol out of the document: Label Studio wrote that one."""
    return [endpoint for endpoint in endpoints if endpoint[0].startswith("/api/")]


def describe_errors(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Say of each operation how it may be refused."""
    components = result["components"]
    components["schemas"]["Error"] = _ERROR
    components["responses"] = {_name(status): _response(status) for status in _EXAMPLES}
    for path, operations in result["paths"].items():
        for method, operation in operations.items():
            for status in _refusals(path, method, operation):
                operation["responses"][str(status)] = {"$ref": f"#/components/responses/{_name(status)}"}
    return result


def refuse_unknown_fields(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Say of what is sent that it has no other fields."""
    for name, schema in result["components"]["schemas"].items():
        if name.endswith("Request") and schema.get("type") == "object":
            schema["additionalProperties"] = False
    return result


@functools.cache
def _document() -> bytes:
    document = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    return OpenApiJsonRenderer().render(document, renderer_context={})


def _refusals(path: str, method: str, operation: dict[str, Any]) -> list[int]:
    statuses = [401, 403, 429, 503]
    # Whatever is sent with a GET is refused as well, though nothing is to be sent.
    statuses += [413, 415] if method == "get" else [400, 409, 413, 415]
    if any(parameter["in"] == "query" for parameter in operation.get("parameters", [])):
        statuses.append(400)
    if "{id}" in path:
        statuses.append(404)
    return sorted(statuses)


def _name(status: int) -> str:
    return HTTPStatus(status).phrase.title().replace(" ", "")


def _response(status: int) -> dict[str, Any]:
    code, detail = _EXAMPLES[status]
    schema = {"$ref": "#/components/schemas/Error"}
    content = {"application/json": {"schema": schema, "example": {"code": code, "detail": detail}}}
    response: dict[str, Any] = {"description": HTTPStatus(status).phrase, "content": content}
    if header := _HEADERS.get(status):
        response["headers"] = {header: {"schema": {"type": "string"}}}
    return response
