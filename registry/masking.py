"""Mask the secrets that Label Studio's payloads carry before a person sees them."""

from typing import Any

MASK = "•••"
_SECRET_KEYS = frozenset({"token", "access_token", "password", "task_data_login", "task_data_password", "login"})


def masked(value: Any) -> Any:
    """Return a copy of a JSON value with every non-empty secret in it masked, at any depth."""
    if isinstance(value, dict):
        return {key: MASK if key in _SECRET_KEYS and item else masked(item) for key, item in value.items()}
    if isinstance(value, list):
        return [masked(item) for item in value]
    return value
