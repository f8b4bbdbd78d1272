"""Read settings from environment variables and fail loudly, naming the variable."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off"}
_RATE = re.compile(r"([1-9]\d{0,8})/(s|sec|min|m|h|hour|d|day)", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True)
class Rate:
    """So many requests in so many seconds."""

    limit: int
    seconds: int


def env_str(name: str, default: str = "") -> str:
    """Return the variable with surrounding blanks removed; unset and empty mean the default."""
    return os.environ.get(name, "").strip() or default


def env_bool(name: str, default: bool) -> bool:
    """Return the variable as a truth value; raise when it reads as neither yes nor no."""
    text = env_str(name).lower()
    if not text:
        return default
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ImproperlyConfigured(f"{name} must be one of true, false, 1, 0, yes, no, on, off; it is {text!r}.")


def env_int(name: str, default: int, *, minimum: int = 0) -> int:
    """Return the variable as a whole number of at least `minimum`."""
    text = env_str(name)
    if not text:
        return default
    try:
        number = int(text)
    except ValueError:
        raise ImproperlyConfigured(f"{name} must be a whole number; it is {text!r}.") from None
    if number < minimum:
        raise ImproperlyConfigured(f"{name} must be {minimum} or more; it is {number}.")
    return number


def env_rate(name: str, default: str) -> Rate:
    """Return the variable as a rate, such as 600/min."""
    text = env_str(name, default)
    match = _RATE.fullmatch(text)
    if match is None:
        raise ImproperlyConfigured(
            f"{name} must be a number of requests per sec, min, hour or day, such as 600/min; it is {text!r}."
        )
    return Rate(int(match[1]), _SECONDS[match[2][0]])


def env_list(name: str, default: str = "", separator: str = ",") -> list[str]:
    """Return the variable's parts between separators, without the empty ones."""
    return [part.strip() for part in env_str(name, default).split(separator) if part.strip()]


def env_secret(name: str, default: str = "") -> str:
    """Return a secret from the variable or, where `<name>_FILE` names a file, from that file.

    The value never appears in an error message.
    """
    file_name = env_str(f"{name}_FILE")
    if not file_name:
        return env_str(name, default)
    if env_str(name):
        raise ImproperlyConfigured(f"Set {name} or {name}_FILE, not both.")
    try:
        secret = Path(file_name).read_text(encoding="utf-8").strip()
    except OSError as exc:
        raise ImproperlyConfigured(f"{name}_FILE names a file that cannot be read: {exc.strerror}.") from exc
    if not secret:
        raise ImproperlyConfigured(f"{name}_FILE names an empty file.")
    return secret
