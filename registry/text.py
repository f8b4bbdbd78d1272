"""Text as Postgres can keep it and a person can read it."""

import json
from collections.abc import Iterable
from typing import Any

from registry.masking import mask_pairs, mask_secrets, masked

_MAX_DEPTH = 8
_MAX_ITEMS = 3
_MAX_FIELDS = 50
_MAX_STRING = 300
_MAX_NESTING = 100


def storable(text: str) -> str:
    """Return the text without what a Postgres text column cannot hold."""
    return text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")


def excerpt(body: Any, limit: int) -> str:
    """Return the beginning of a request's body for a person, its secrets masked.

    Takes parsed JSON, of which long lists and texts are shortened so that its whole shape is seen,
    or the text that could not be parsed.
    """
    if body is None:
        return ""
    if isinstance(body, str):
        text = mask_pairs(body[: 2 * limit])
    else:
        text = json.dumps(masked(shortened(body)), indent=2, ensure_ascii=False)
    text = storable(mask_secrets(text))
    return text if len(text) <= limit else text[:limit] + "…"


def presentable(value: Any) -> Any:
    """Return a copy of a JSON value for a person: secrets masked, and shortened where it is nested too deeply."""
    return masked(shortened(value) if _nests_deeper(value, _MAX_NESTING) else value)


def shortened(value: Any, depth: int = 0) -> Any:
    """Return a small copy of a JSON value: long texts and lists are cut, deep parts left out."""
    if isinstance(value, str):
        return value if len(value) <= _MAX_STRING else f"{value[:_MAX_STRING]}… ({len(value)} characters)"
    if not isinstance(value, dict | list):
        return value
    if depth == _MAX_DEPTH:
        return "…"
    if isinstance(value, list):
        more = [f"… {len(value) - _MAX_ITEMS} more"] if len(value) > _MAX_ITEMS else []
        return [shortened(item, depth + 1) for item in value[:_MAX_ITEMS]] + more
    fields = list(value.items())[:_MAX_FIELDS]
    return {key[:_MAX_STRING]: shortened(item, depth + 1) for key, item in fields}


def _nests_deeper(value: Any, limit: int) -> bool:
    """Look level by level: what is nested a thousand times is too much for a function that calls itself."""
    level = [value]
    for _ in range(limit):
        level = [part for item in level for part in _parts(item)]
        if not level:
            return False
    return True


def _parts(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()
