"""Three ways to answer without doing anything."""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import IO, Any

import orjson
from django.db import connection
from django.http import HttpRequest, HttpResponseBase, JsonResponse
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from bench.baselines.answers import answer

View = Callable[..., HttpResponseBase]


class PlainView(APIView):
    """A DRF view as it comes."""

    endpoint = ""

    def get(self, request: Request) -> Response:
        """Answer a request without a body."""
        status, data = answer(self.endpoint, None)
        return Response(data, status=status)

    def post(self, request: Request) -> Response:
        """Answer by the parsed body."""
        status, data = answer(self.endpoint, request.data)
        return Response(data, status=status)


class _Parser(BaseParser):
    media_type = "application/json"

    def parse(self, stream: IO[Any], media_type: str | None = None, context: Mapping[str, Any] | None = None) -> Any:
        return orjson.loads(stream.read())


class _Renderer(BaseRenderer):
    media_type = "application/json"
    format = "json"
    charset = None

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Mapping[str, Any] | None = None
    ) -> bytes:
        return orjson.dumps(data)


class _Negotiation(BaseContentNegotiation):
    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> BaseParser:
        return next(iter(parsers))

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        renderer = next(iter(renderers))
        return renderer, renderer.media_type


class FixedView(PlainView):
    """A DRF view stripped of all that it decides per request."""

    authentication_classes = []
    permission_classes = []
    throttle_classes = []
    parser_classes = [_Parser]
    renderer_classes = [_Renderer]
    content_negotiation_class = _Negotiation
    versioning_class = None


def plain_drf(endpoint: str) -> View:
    """Return the DRF view as it comes."""
    return PlainView.as_view(endpoint=endpoint)


def fixed_drf(endpoint: str) -> View:
    """Return the DRF view with one parser and one renderer, both orjson's."""
    return FixedView.as_view(endpoint=endpoint)


def plain_django(endpoint: str) -> View:
    """Return a view that is a function."""

    def view(request: HttpRequest) -> JsonResponse:
        status, data = answer(endpoint, json.loads(request.body) if request.method == "POST" else None)
        return JsonResponse(data, status=status)

    return view


def inserting_django(endpoint: str) -> View:
    """Return a view that stores a webhook in a table of its own, which is the least that keeps it."""
    plain = plain_django(endpoint)

    def view(request: HttpRequest) -> HttpResponseBase:
        if endpoint == "webhook":
            with connection.cursor() as cursor:
                cursor.execute("INSERT INTO bench_event (body) VALUES (%s)", [request.body])
        response = plain(request)
        response["Content-Length"] = len(getattr(response, "content", b""))
        return response

    return view
