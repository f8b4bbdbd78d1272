"""JSON in and out, by orjson, with nothing to negotiate."""

from collections.abc import Iterable, Mapping
from typing import IO, Any

import orjson
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from mlserver.protocol.errors import InvalidJSON


class OrjsonParser(BaseParser):
    """Parse a body of JSON in UTF-8."""

    media_type = "application/json"

    def parse(self, stream: IO[Any], media_type: str | None = None, context: Mapping[str, Any] | None = None) -> Any:
        """Return the parsed body; raise InvalidJSON with what is wrong with it."""
        body = stream.read()
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError as exc:
            raise InvalidJSON(f"The body must be JSON in UTF-8, nested no deeper than 1000 levels: {exc.msg}.") from exc


class OrjsonRenderer(BaseRenderer):
    """Render an answer as JSON."""

    media_type = "application/json"
    format = "json"
    charset = None

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Mapping[str, Any] | None = None
    ) -> bytes:
        """Return the answer's bytes."""
        return orjson.dumps(data)


class FixedNegotiation(BaseContentNegotiation):
    """Take the one parser and the one renderer, whatever the Accept header says."""

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> BaseParser | None:
        """Return the parser, or None for a body that is not declared as JSON."""
        declared = (request.content_type or "").partition(";")[0].strip().lower()
        return next(iter(parsers)) if declared == "application/json" else None

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        """Return the renderer."""
        renderer = next(iter(renderers))
        return renderer, renderer.media_type
