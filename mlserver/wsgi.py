"""The WSGI application: the admin and the operators' API with Django's middleware, the ML protocol without it."""

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

import django
from django.core.handlers.exception import convert_exception_to_response
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse, HttpResponseBase

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mlserver.settings")
django.setup(set_prefix=False)

_BROWSER_PREFIXES = ("/admin/", "/api/", "/static/", "/queues/")


class ProtocolHandler(WSGIHandler):
    """Answer LS without sessions, CSRF, cookies or messages: it sends none, and has no use for them."""

    def load_middleware(self, is_async: bool = False) -> None:
        self._view_middleware: list[object] = []
        self._template_response_middleware: list[object] = []
        self._exception_middleware: list[object] = []
        self._middleware_chain = convert_exception_to_response(self._get_response)  # type: ignore[attr-defined]

    def get_response(self, request: HttpRequest) -> HttpResponseBase:
        """Answer with the length, without which gunicorn sends every answer in chunks."""
        response = super().get_response(request)
        if isinstance(response, HttpResponse) and not response.has_header("Content-Length"):
            response.headers["Content-Length"] = str(len(response.content))
        return response


_browser = WSGIHandler()
_protocol = ProtocolHandler()


def application(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    """Pass a request to the admin and the operators' API, or to the protocol, by its path."""
    handler = _browser if environ.get("PATH_INFO", "").startswith(_BROWSER_PREFIXES) else _protocol
    return handler(environ, start_response)
