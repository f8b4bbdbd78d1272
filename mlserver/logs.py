"""Log formatting that keeps secrets out of the log."""

import logging
import re

from django.conf import settings

# The token of a `/t/<token>/…` address, and credentials in any URL.
_TOKEN_IN_PATH = re.compile(r"/t/[^/\s\"']+")
_CREDENTIALS_IN_URL = re.compile(r"(?<=://)[^/\s:@]*:[^/\s@]+(?=@)")
_MASK = "•••"


class SecretMaskingFormatter(logging.Formatter):
    """Format records, tracebacks included, with the server's own secrets masked."""

    def format(self, record: logging.LogRecord) -> str:
        return mask_secrets(super().format(record))


def mask_secrets(text: str) -> str:
    """Return the text with path tokens, URL credentials and configured secrets masked."""
    text = _TOKEN_IN_PATH.sub(f"/t/{_MASK}", text)
    text = _CREDENTIALS_IN_URL.sub(_MASK, text)
    for secret in (settings.URL_TOKEN, settings.BASIC_AUTH_PASS, settings.LABEL_STUDIO_API_KEY, settings.SECRET_KEY):
        if len(secret) >= 4:
            text = text.replace(secret, _MASK)
    return text
