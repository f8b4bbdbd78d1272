"""Who operates: a user with a token, or one who is logged in to the admin."""

from typing import Any

from rest_framework.authentication import TokenAuthentication
from rest_framework.exceptions import AuthenticationFailed


class OperatorTokenAuthentication(TokenAuthentication):
    """Accept `Authorization: Token <key>`."""

    def authenticate_credentials(self, key: str) -> Any:
        """Return the token's user; raise AuthenticationFailed, also for what no token can hold."""
        if not key.isalnum():
            raise AuthenticationFailed("This is no token of this server; ./manage.py drf_create_token USER makes one.")
        return super().authenticate_credentials(key)
