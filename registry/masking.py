"""Mask secrets before a person or a log sees them: those of Label Studio's payloads, and this server's own."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from django.conf import settings

MASK = "•••"
_SECRET_KEYS = frozenset({"token", "access_token", "password", "task_data_login", "task_data_password", "login"})
# A shorter one would mask parts of ordinary words.
_MIN_LENGTH = 4

# The token of a `/t/<token>/…` address, and credentials in any URL.
_TOKEN_IN_PATH = re.compile(r"/t/[^/\s\"']+")
_CREDENTIALS_IN_URL = re.compile(r"(?<=://)[^/\s:@]*:[^/\s@]+(?=@)")
_KEYS = "|".join(sorted(_SECRET_KEYS))
_SECRET_IN_QUERY = re.compile(rf"((?:^|[?&])(?:{_KEYS})=)[^&\s\"']+")
# The closing quote may be missing, where a text was cut off.
_SECRET_IN_JSON = re.compile(rf"""(["'](?:{_KEYS})["']\s*:\s*)(?:"(?:[^"\\]|\\.)*"?|'(?:[^'\\]|\\.)*'?|[^\s,}}]+)""")


def masked(value: Any) -> Any:
    """Return a copy of a JSON value with every non-empty secret in it masked, at any depth."""
    if isinstance(value, dict):
        return {key: MASK if key in _SECRET_KEYS and item else masked(item) for key, item in value.items()}
    if isinstance(value, list):
        return [masked(item) for item in value]
    return value


def mask_secrets(text: str) -> str:
    """Return the text with path tokens, URL credentials and configured secrets masked."""
    text = _TOKEN_IN_PATH.sub(f"/t/{MASK}", text)
    text = _CREDENTIALS_IN_URL.sub(MASK, text)
    return mask_values(
        text,
        (
            settings.URL_TOKEN,
            settings.BASIC_AUTH_PASS,
            settings.LABEL_STUDIO_API_KEY,
            settings.SECRET_KEY,
            settings.ARCHIVE_KEY,
        ),
    )


def mask_pairs(text: str) -> str:
    """Return a text that may be cut-off JSON, a form or an address, with the values of secret keys masked."""
    return _SECRET_IN_QUERY.sub(rf"\1{MASK}", _SECRET_IN_JSON.sub(rf'\1"{MASK}"', text))


def mask_values(text: str, secrets: Iterable[str]) -> str:
    """Return the text with each of these secrets masked wherever it stands, the longest first."""
    for secret in sorted(set(secrets), key=len, reverse=True):
        if len(secret) >= _MIN_LENGTH:
            text = text.replace(secret, MASK)
    return text


def secrets_in(value: Any) -> Iterator[str]:
    """Yield the secrets that a JSON value carries, at any depth."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key in _SECRET_KEYS and isinstance(item, str):
                yield item
            else:
                yield from secrets_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from secrets_in(item)
