"""Who may talk to the models: basic authentication, or a token in the address.

Label Studio's own webhooks carry no credentials at all, but they keep the path of the backend's
address. So `http://host:9090/t/<token>` is the one address that authenticates every call.
"""

import base64
import binascii
from hmac import compare_digest
from typing import Any

from django.conf import settings
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request


class ProtocolAuthentication(BaseAuthentication):
    """Accept the path token, or the basic credentials; anybody where neither is configured."""

    def authenticate(self, request: Request) -> tuple[None, str] | None:
        """Return how the request was authenticated; raise AuthenticationFailed where it was not."""
        token = _path_token(request)
        if token is not None:
            if settings.URL_TOKEN and compare_digest(token.encode(), settings.URL_TOKEN.encode()):
                return None, "token"
            raise AuthenticationFailed("The token in the address is not this server's URL_TOKEN.")
        if not (settings.BASIC_AUTH_USER or settings.URL_TOKEN):
            return None
        if settings.BASIC_AUTH_USER and _basic_matches(request.META.get("HTTP_AUTHORIZATION", "")):
            return None, "basic"
        raise AuthenticationFailed(
            "Set this server's user name and password on the backend in Label Studio, or put its token into "
            "the address, http://host:port/t/<token>. Webhooks carry no password, so training needs the token."
        )

    def authenticate_header(self, request: Request) -> str:
        """Return the challenge that makes a refusal a 401."""
        return 'Basic realm="Label Studio ML backend", charset="UTF-8"'


def _path_token(request: Request) -> str | None:
    context: dict[str, Any] = request.parser_context or {}
    token: str | None = context["kwargs"].get("token")
    return token


def _basic_matches(header: str) -> bool:
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return False
    try:
        given = base64.b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError):
        return False
    expected = f"{settings.BASIC_AUTH_USER}:{settings.BASIC_AUTH_PASS}"
    # Clients differ in how they encode a name like “Jürgen”; Label Studio's sends Latin-1.
    matches = compare_digest(given, expected.encode())
    try:
        return compare_digest(given, expected.encode("latin-1")) or matches
    except UnicodeEncodeError:
        return matches
