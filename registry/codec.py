"""Encode state values to bytes and back.

Text, bytes and plain JSON stay what they are. Anything else is a pickle with an HMAC-SHA256 of the
server's SECRET_KEY in front, checked before it is loaded: whoever can write to the database alone
cannot make a server run code.
"""

import hashlib
import hmac
import math
import pickle
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import orjson
from django.conf import settings
from django.utils.crypto import salted_hmac

from registry.errors import StateError
from registry.models import StateEntry

_SALT = "registry.state.pickle"
_SIGNATURE_BYTES = hashlib.sha256().digest_size
_INT64 = range(-(2**63), 2**63)
_MAX_JSON_DEPTH = 100


@dataclass(frozen=True)
class Encoded:
    """A value as it is stored."""

    kind: str
    data: bytes

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the data, hexadecimal. Taken once: it is asked for again while a project is locked."""
        return hashlib.sha256(self.data).hexdigest()


def encode(key: str, value: Any) -> Encoded:
    """Return the value as it is stored; raise StateError where it cannot be."""
    if type(value) is str:
        return Encoded(StateEntry.Kind.TEXT, value.encode("utf-8", "surrogatepass"))
    if type(value) in (bytes, bytearray, memoryview):
        return Encoded(StateEntry.Kind.BYTES, bytes(value))
    if _is_json(value):
        return Encoded(StateEntry.Kind.JSON, orjson.dumps(value))
    try:
        pickled = pickle.dumps(value, protocol=5)
    except Exception as exc:
        raise StateError(f"The value of {key!r} ({type(value).__name__}) cannot be pickled: {exc}") from exc
    return signed(StateEntry.Kind.PICKLE, pickled)


def decode(key: str, stored: Encoded) -> Any:
    """Return the value; raise StateError where a pickle's signature is not this server's."""
    match stored.kind:
        case StateEntry.Kind.TEXT:
            return stored.data.decode("utf-8", "surrogatepass")
        case StateEntry.Kind.BYTES:
            return stored.data
        case StateEntry.Kind.JSON:
            return orjson.loads(stored.data)
    return _unpickle(key, unsigned(key, stored))


def signed(kind: str, content: bytes) -> Encoded:
    """Return the content as this server stores it, a pickle with this server's signature.

    What is signed is code that this server will run: it was made here, or its origin was checked.
    """
    if kind != StateEntry.Kind.PICKLE:
        return Encoded(kind, content)
    return Encoded(kind, _sign(content, settings.SECRET_KEY) + content)


def unsigned(key: str, stored: Encoded) -> bytes:
    """Return the content without a signature; raise StateError where a pickle's is not this server's."""
    if stored.kind != StateEntry.Kind.PICKLE:
        return stored.data
    signature, pickled = stored.data[:_SIGNATURE_BYTES], stored.data[_SIGNATURE_BYTES:]
    keys = [settings.SECRET_KEY, *map(str, settings.SECRET_KEY_FALLBACKS)]
    if not any(hmac.compare_digest(signature, _sign(pickled, secret)) for secret in keys):
        raise StateError(
            f"The pickle under {key!r} was not signed with this server's SECRET_KEY and is not loaded. "
            "If the key was changed, put the old one in SECRET_KEY_FALLBACKS."
        )
    return pickled


def _unpickle(key: str, pickled: bytes) -> Any:
    try:
        return pickle.loads(pickled)  # noqa: S301  (signed by this server)
    except Exception as exc:
        raise StateError(
            f"The value under {key!r} cannot be unpickled: {exc}. Is a library missing, or of another version?"
        ) from exc


def _sign(pickled: bytes, secret: str) -> bytes:
    return salted_hmac(_SALT, pickled, secret=secret, algorithm="sha256").digest()


def _is_json(value: Any, depth: int = 0) -> bool:
    """Whether JSON gives back exactly this value: a tuple or a dict with numbers as keys would change."""
    kind = type(value)
    if kind is dict:
        return depth < _MAX_JSON_DEPTH and all(
            type(key) is str and _is_text(key) and _is_json(item, depth + 1) for key, item in value.items()
        )
    if kind is list:
        return depth < _MAX_JSON_DEPTH and all(_is_json(item, depth + 1) for item in value)
    if kind is float:
        return math.isfinite(value)
    if kind is int:
        return value in _INT64
    return kind is bool or value is None or (kind is str and _is_text(value))


def _is_text(value: str) -> bool:
    """Whether UTF-8 can hold it: a lone surrogate is no character."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
